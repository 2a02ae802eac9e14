package all_test

import (
	"testing"

	"tutti/internal/netguard"
	"tutti/internal/task/all"
)

func TestTypes(t *testing.T) {
	t.Parallel()
	types := all.Types(all.Needs{Guard: new(netguard.Guard), Shim: []string{"tutti", "shim"}, Work: t.TempDir()})
	for _, name := range []string{"exec", "http", "noop", "starlark", "mail", "git.commit", "file.put", "file.get", "vsphere.vm.create", "vsphere.vm.read", "vsphere.vm.destroy"} {
		if _, ok := types.Type(name); !ok {
			t.Errorf("there is no task type %q", name)
		}
	}
	for _, s := range types.Specs() {
		if s.Title == "" || s.Doc == "" {
			t.Errorf("task type %s has no title or no text", s.Name)
		}
	}
}
