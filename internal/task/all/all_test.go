package all_test

import (
	"slices"
	"testing"

	"tutti/internal/task/all"
)

func TestTypes(t *testing.T) {
	t.Parallel()
	var names []string
	for _, s := range all.Types(all.Deps{}).Specs() {
		names = append(names, s.Name)
		if s.Title == "" || s.Doc == "" || s.Native {
			t.Errorf("%s = %+v; want a title and a doc, and not native", s.Name, s)
		}
	}
	want := []string{"ansible", "ansible.check", "ansible.inputs", "ansible.playbook", "budget.hold", "budget.release", "exec", "file.get", "file.put", "git.commit", "http", "mail", "noop", "rollout", "starlark",
		"terraform", "terraform.apply", "terraform.destroy", "terraform.output", "terraform.plan", "terraform.upload", "terraform.variables", "terraform.workspace",
		"vsphere.vm.create", "vsphere.vm.destroy", "vsphere.vm.read"}
	if !slices.Equal(names, want) {
		t.Errorf("types = %v; want %v", names, want)
	}
}
