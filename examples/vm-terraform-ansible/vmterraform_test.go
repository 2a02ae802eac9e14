package vmterraform_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"tutti/api"
	"tutti/errs"
	vmterraform "tutti/examples/vm-terraform-ansible"
	"tutti/internal/ansible/ansibletest"
	"tutti/internal/ansible/local"
	"tutti/internal/app"
	"tutti/internal/identity"
	"tutti/internal/shim"
	"tutti/internal/terraform/terraformtest"
	"tutti/internal/terraform/tfcli"
	"tutti/sdk"
)

// TestMain lets the test's own program be the server, which is killed, the shim and the runner.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 2 && os.Args[1] == "shim":
		os.Exit(shim.Main(os.Args[2]))
	case len(os.Args) > 1 && os.Args[1] == "terraform-run":
		os.Exit(tfcli.Main())
	case len(os.Args) > 1 && os.Args[1] == "ansible-run":
		os.Exit(local.Main())
	case len(os.Args) > 1 && os.Args[1] == "server":
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// settings are what the server's process is told.
type settings struct {
	Data, Token, Dial string
	Terraform         tfcli.Config
	Ansible           local.Config
}

func serve() error {
	var s settings
	if err := json.Unmarshal([]byte(os.Getenv("TUTTI_TEST_SERVER")), &s); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return app.Run(ctx, app.Config{
		Data: s.Data, Listen: "127.0.0.1:0", AllowDial: []string{s.Dial}, Identity: identity.Config{AdminToken: s.Token},
		Shim: []string{exe, "shim"}, Terraform: s.Terraform, Ansible: s.Ansible,
		Ready: func(st app.Started) { fmt.Println(st.Address) },
	})
}

// world is a server in a process of its own, a vCenter, and a machine that takes SSH.
type world struct {
	settings
	cmd     *exec.Cmd
	api     *sdk.Client
	vcenter *url.URL
	sshd    ansibletest.SSHD
}

func setup(t *testing.T) *world {
	t.Helper()
	program, config := terraformtest.Program(t), terraformtest.Mirror(t)
	model := simulator.VPX()
	model.Host, model.Machine, model.Cluster, model.ClusterHost, model.Portgroup = 0, 0, 1, 2, 1
	model.DelayConfig.MethodDelay = map[string]int{"PowerOnVM_Task": 1500} // milliseconds in which the server is killed
	if err := model.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Remove)
	model.Service.Listen = &url.URL{User: url.UserPassword("terraform@vsphere.local", "a-long-password")}
	server := model.Service.NewServer()
	t.Cleanup(server.Close)
	w := &world{vcenter: server.URL, sshd: ansibletest.NewSSHD(t), settings: settings{
		Data: filepath.Join(t.TempDir(), "data"), Token: identity.NewToken(), Dial: server.URL.Host,
		Terraform: tfcli.Config{Program: program, CLIConfig: config}, Ansible: local.Config{Program: ansibletest.Program(t)},
	}}
	w.start(t)
	t.Cleanup(func() { w.kill() })
	password, _ := server.URL.User.Password()
	plain := *server.URL
	plain.User = nil
	for name, value := range map[string]string{"vcenter_url": plain.String(), "vcenter_user": server.URL.User.Username(), "vcenter_password": password,
		"ssh_user": w.sshd.User, "ssh_key": w.sshd.Key, "ssh_known_hosts": w.sshd.KnownHosts} {
		if _, err := sdk.Call(t.Context(), w.api, api.SetSecret, api.SetSecretIn{Name: name, Body: api.SetSecretBody{Value: value}}); err != nil {
			t.Fatal(err)
		}
	}
	var files []api.SourceFile
	names, _ := fs.Glob(vmterraform.Files, "*.yaml")
	for _, name := range names {
		text, err := fs.ReadFile(vmterraform.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, api.SourceFile{Name: name, Text: string(text)})
	}
	if _, err := sdk.Call(t.Context(), w.api, api.ApplyDefinitions, api.ApplyIn{Body: api.ApplyBody{Files: files}}); err != nil {
		t.Fatalf("apply: %v %+v", err, errs.Public(err).Problems)
	}
	return w
}

func (w *world) start(t *testing.T) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(w.settings)
	if err != nil {
		t.Fatal(err)
	}
	w.cmd = exec.Command(exe, "server")
	w.cmd.Env = append(os.Environ(), "TUTTI_TEST_SERVER="+string(b))
	w.cmd.Stderr = os.Stderr
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	if w.api, err = sdk.New(sdk.Config{Server: strings.TrimSpace(address), Token: w.Token}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.api.Close)
}

// kill is kill -9.
func (w *world) kill() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

// machine is what the handler of managed-vm makes, for the inventory of the simulator and the machine that
// takes SSH.
func (w *world) machine(name string, cpu int) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"machine": {"type": "managed-vm", "name": %q, "hostname": "%[1]s.dev.example.com", "environment": "dev",
		"os": {"name": "rhel-9", "guest": "rhel9_64Guest"}, "cpu": %[2]d, "memory_mb": 1024, "disk_gb": 20, "network": "DC0_DVPG0",
		"placement": {"datacenter": "DC0", "cluster": "DC0_C0", "datastore": "LocalDS_0"},
		"ssh": {"address": "127.0.0.1", "port": %[3]d}, "files": %[4]q}}`, name, cpu, w.sshd.Port, w.files(name)))
}

// files is the folder that the playbook keeps for a machine.
func (w *world) files(name string) string { return filepath.Join(w.sshd.Home, name) }

// configured returns how often the playbook ran on a machine.
func (w *world) configured(t *testing.T, name string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.files(name), "history"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

func (w *world) run(t *testing.T, inputs json.RawMessage) api.Run {
	t.Helper()
	return w.runOf(t, "vm.terraform", inputs)
}

func (w *world) runOf(t *testing.T, workflow string, inputs json.RawMessage) api.Run {
	t.Helper()
	r, err := sdk.Call(t.Context(), w.api, api.StartRun, api.StartRunIn{Body: api.StartRunBody{Workflow: workflow, Inputs: inputs}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// until asks until what it asks is so.
func until(t *testing.T, what string, ask func() bool) {
	t.Helper()
	end := time.After(4 * time.Minute)
	for !ask() {
		select {
		case <-end:
			t.Fatalf("waited for ever until %s", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// asked returns what a run asks for approval.
func (w *world) asked(t *testing.T, run api.RunID) (found api.Approval) {
	t.Helper()
	until(t, "it is asked for approval", func() bool {
		page, err := sdk.Call(t.Context(), w.api, api.ListApprovals, api.ListApprovalsIn{})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.Items {
			if a.Run == run {
				found = a
				return true
			}
		}
		if r := w.get(t, run); r.State.Ended() {
			t.Fatalf("the run is %s: %+v", r.State, r.Failure)
		}
		return false
	})
	return found
}

func (w *world) decide(t *testing.T, a api.Approval, yes bool) {
	t.Helper()
	method := api.ApproveTask
	if !yes {
		method = api.RejectTask
	}
	if _, err := sdk.Call(t.Context(), w.other(t), method, api.DecideIn{ID: a.Run, Body: api.DecideBody{Task: a.Task, Digest: a.Digest, Reason: "looked at the plan"}}); err != nil {
		t.Fatal(err)
	}
}

// other is somebody else than who asked.
func (w *world) other(t *testing.T) *sdk.Client {
	t.Helper()
	_, err := sdk.Call(t.Context(), w.api, api.CreateUser, api.CreateUserIn{Body: api.CreateUserBody{
		Name: "olga", Password: "a-password-of-olga", Grants: []api.GrantView{{Namespace: "default", Role: api.Approver}},
	}})
	if err != nil && !errs.Is(err, errs.Conflict) {
		t.Fatal(err)
	}
	made, err := sdk.Call(t.Context(), w.api, api.CreateToken, api.CreateTokenIn{Body: api.CreateTokenBody{Name: "approver", User: "olga"}})
	if err != nil {
		t.Fatal(err)
	}
	return w.api.With(made.Secret, "")
}

func (w *world) get(t *testing.T, run api.RunID) api.Run {
	t.Helper()
	r, err := sdk.Call(t.Context(), w.api, api.GetRun, api.GetRunIn{ID: run})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *world) ended(t *testing.T, run api.RunID) (r api.Run) {
	t.Helper()
	until(t, "the run has ended", func() bool { r = w.get(t, run); return r.State.Ended() })
	return r
}

// machines returns the names of the machines in the vCenter.
func (w *world) machines(t *testing.T) (names []string) {
	t.Helper()
	u, err := soap.ParseURL(w.vcenter.String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := govmomi.NewClient(t.Context(), u, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Logout(context.Background()) }()
	vms, err := find.NewFinder(c.Client).VirtualMachineList(t.Context(), "/...")
	if err != nil && !strings.Contains(err.Error(), "not found") {
		t.Fatal(err)
	}
	for _, vm := range vms {
		names = append(names, vm.Name())
	}
	return names
}

// playbooks returns how often ansible-playbook was started.
func (w *world) playbooks() int {
	found, _ := filepath.Glob(filepath.Join(w.Data, "ansible", "default", "*", "shim", "begun"))
	return len(found)
}

// programs returns how often a program of a kind was started, in all workspaces.
func (w *world) programs(kind string) int {
	found, _ := filepath.Glob(filepath.Join(w.Data, "terraform", "default", "*", "runs", "*", kind+".*", "begun"))
	return len(found)
}

// The server is killed while the machine is being made. The program goes on; the next server finds it,
// and nothing is applied a second time. Then the machine is changed, and taken back.
func TestKilledDuringApply(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := w.run(t, w.machine("web-01", 2))
	a := w.asked(t, r.ID)
	if show, _ := json.Marshal(a.Show); !strings.Contains(string(show), "vcenter_machine") || a.Digest == "" {
		t.Errorf("the approval shows %s, digest %q; want the plan", show, a.Digest)
	}
	w.decide(t, a, true)
	until(t, "the apply has begun to make it", func() bool { return len(w.machines(t)) == 1 })
	w.kill()
	w.start(t)
	if r = w.ended(t, r.ID); r.State != api.Succeeded {
		t.Fatalf("the run is %s: %+v", r.State, r.Failure)
	}
	if got := w.machines(t); len(got) != 1 || got[0] != "web-01" {
		t.Errorf("the vCenter has %v; want one machine", got)
	}
	if n := w.programs("apply"); n != 1 {
		t.Errorf("%d applies were started; want 1", n)
	}
	var out struct {
		ID, Host   string
		Configured []struct{ Host, State string }
	}
	if err := json.Unmarshal(r.Outputs, &out); err != nil || out.ID == "" || out.Host == "" || len(out.Configured) != 1 || out.Configured[0].State != "changed" {
		t.Errorf("outputs %s, %v", r.Outputs, err)
	}
	if b, err := os.ReadFile(filepath.Join(w.files("web-01"), "machine.json")); err != nil || !strings.Contains(string(b), `"hostname": "web-01.dev.example.com"`) {
		t.Errorf("the machine's file is %s, %v", b, err)
	}

	var ordered struct{ Machine json.RawMessage }
	if err := json.Unmarshal(w.machine("web-01", 2), &ordered); err != nil {
		t.Fatal(err)
	}
	daily := w.runOf(t, "vm.converge", json.RawMessage(fmt.Sprintf(`{"machines": [{"name": "web-01", "spec": %s, "outputs": {}}]}`, ordered.Machine)))
	if daily = w.ended(t, daily.ID); daily.State != api.Succeeded || w.programs("apply") != 1 || w.playbooks() != 2 {
		t.Errorf("converging is %s %+v, %d applies, %d playbooks; want no apply, no question, and one more playbook", daily.State, daily.Failure, w.programs("apply"), w.playbooks())
	}
	if _, err := sdk.Call(t.Context(), w.api, api.UndoRun, api.CancelRunIn{ID: r.ID}); err != nil {
		t.Fatal(err)
	}
	until(t, "it is undone", func() bool {
		u, err := sdk.Call(t.Context(), w.api, api.GetRun, api.GetRunIn{ID: r.ID})
		return err == nil && slices.Contains(u.Flags, api.Undone) // the program that did it has ended too
	})
	if got := w.machines(t); len(got) != 0 {
		t.Errorf("the vCenter has %v after the undo; want nothing", got)
	}
	if _, err := os.Stat(w.files("web-01")); !os.IsNotExist(err) {
		t.Errorf("the machine's files are left after the undo: %v", err)
	}
}

// The server is killed while the playbook runs. It goes on; the next server finds it, and nothing is played
// a second time.
func TestKilledDuringPlaybook(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := w.run(t, w.machine("web-02", 2))
	w.decide(t, w.asked(t, r.ID), true)
	until(t, "the playbook is at work on the machine", func() bool {
		if got := w.get(t, r.ID); got.State.Ended() {
			t.Fatalf("the run is %s: %+v", got.State, got.Failure)
		}
		_, err := os.Stat(w.files("web-02"))
		return err == nil
	})
	w.kill()
	w.start(t)
	if r = w.ended(t, r.ID); r.State != api.Succeeded {
		t.Fatalf("the run is %s: %+v", r.State, r.Failure)
	}
	if n := w.playbooks(); n != 1 {
		t.Errorf("%d playbooks were started; want 1", n)
	}
	if n := w.configured(t, "web-02"); n != 1 {
		t.Errorf("the playbook ran %d times on the machine; want once", n)
	}
}

// order is a request through the catalogue, for the simulator's inventory: its preset of the type replaces what
// the handler places and how the machine is reached.
func (w *world) order(t *testing.T) {
	t.Helper()
	text, err := fs.ReadFile(vmterraform.Files, "managed-vm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lab := strings.NewReplacer(
		`"CLUSTER_DEV"`, `"DC0_C0"`, `"SSD_DEV"`, `"LocalDS_0"`, `"datacenter": "DC1"`, `"datacenter": "DC0"`, `"network": spec["network"]`, `"network": "DC0_DVPG0"`,
		`"address": hostname, "port": 22`, fmt.Sprintf(`"address": "127.0.0.1", "port": %d`, w.sshd.Port), `"files": "/etc/tutti"`, fmt.Sprintf(`"files": %q + "/" + spec["name"]`, w.sshd.Home),
		`every: 1d, `, `every: 365d, `,
	).Replace(string(text))
	if _, err := sdk.Call(t.Context(), w.api, api.ApplyDefinitions, api.ApplyIn{Body: api.ApplyBody{Files: []api.SourceFile{{Name: "managed-vm.yaml", Text: lab}}}}); err != nil {
		t.Fatalf("apply: %v %+v", err, errs.Public(err).Problems)
	}
}

// preview is the plan of a request, with its trial run, which has to end well.
func (w *world) preview(t *testing.T, body api.CreateRequestBody) (api.RequestPlan, trial) {
	t.Helper()
	p, err := sdk.Call(t.Context(), w.api, api.PlanRequest, api.PlanRequestIn{Preview: api.Duration(55 * time.Second), Body: body})
	if err != nil {
		t.Fatalf("plan: %v %+v", err, errs.Public(err).Problems)
	}
	r := p.Resources[0].Preview
	if r == nil || r.Run == "" {
		t.Fatalf("the plan has the preview %+v", r)
	}
	run := w.ended(t, r.Run) // on a slow machine it ends later than the plan waits
	if run.State != api.Succeeded {
		t.Fatalf("the trial run is %s: %+v", run.State, run.Failure)
	}
	var out trial
	if err := json.Unmarshal(run.Outputs, &out); err != nil || out.Plan == nil {
		t.Fatalf("the trial run gave %s, %v", run.Outputs, err)
	}
	return p, out
}

type trial struct {
	Plan *struct {
		Summary struct{ Add, Change, Destroy int }
		Changes []struct {
			Address, Action string
			Attributes      []struct {
				Path          string
				Before, After any
			}
		}
	}
	Check *struct {
		Summary struct{ Hosts, Changed int }
		Changes []struct{ Host, Task, Diff string }
	}
	Open []string
}

func (w *world) ask(t *testing.T, body api.CreateRequestBody) api.Request {
	t.Helper()
	r, err := sdk.Call(t.Context(), w.api, api.CreateRequest, api.CreateRequestIn{Body: body})
	if err != nil {
		t.Fatalf("request: %v %+v", err, errs.Public(err).Problems)
	}
	until(t, "the request has its run", func() bool {
		if r, err = sdk.Call(t.Context(), w.api, api.GetRequest, api.RequestIn{ID: string(r.ID)}); err != nil {
			t.Fatal(err)
		}
		return r.Run != ""
	})
	return r
}

// done waits for a request, and answers what it asks for.
func (w *world) done(t *testing.T, r api.Request) {
	t.Helper()
	w.decide(t, w.asked(t, r.Run), true)
	until(t, "the request has ended", func() bool {
		var err error
		if r, err = sdk.Call(t.Context(), w.api, api.GetRequest, api.RequestIn{ID: string(r.ID)}); err != nil {
			t.Fatal(err)
		}
		return r.State.Ended()
	})
	if r.State != api.Succeeded {
		t.Fatalf("the request is %s: %+v", r.State, r.Failure)
	}
}

// workspaces are those of Terraform on the server's machine.
func (w *world) workspaces() int {
	found, _ := filepath.Glob(filepath.Join(w.Data, "terraform", "default", "*"))
	return len(found)
}

// The plan of a request shows what Terraform and Ansible would do, and does nothing of it; what drifts is
// reported, and repaired where that is asked for.
func TestPreviewAndDrift(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.order(t)
	create := api.CreateRequestBody{Entry: "managed-vm", Params: json.RawMessage(`{"name": "web-03", "memory_gb": 1, "disk_gb": 20}`)}
	p, out := w.preview(t, create)
	if s := out.Plan.Summary; s.Add != 1 || s.Change+s.Destroy != 0 || len(out.Plan.Changes) != 1 || !strings.HasSuffix(out.Plan.Changes[0].Address, "vcenter_machine.this") {
		t.Errorf("the plan is %+v; want one machine to add", out.Plan)
	}
	if out.Check != nil || len(out.Open) == 0 || p.Resources[0].Preview.State == api.Succeeded && !slices.Contains(p.Open, out.Open[0]) {
		t.Errorf("check %+v, open %q, of the plan %q; want it said that nothing can be checked on a machine to be made", out.Check, out.Open, p.Open)
	}
	if len(p.Resources[0].Changes) == 0 || len(p.Resources[0].Undo) == 0 && len(p.Steps) == 0 || p.Resources[0].File == "" {
		t.Errorf("the plan of the request is %+v", p.Resources[0])
	}
	if got, n := w.machines(t), w.workspaces(); len(got) != 0 || n != 0 || w.programs("apply") != 0 || w.playbooks() != 0 {
		t.Errorf("after the trial: machines %v, %d workspaces, %d applies, %d playbooks; want nothing", got, n, w.programs("apply"), w.playbooks())
	}

	w.done(t, w.ask(t, create))
	until(t, "the machine is in the history", func() bool {
		_, err := sdk.Call(t.Context(), w.api, api.GetResource, api.ResourceIn{Type: "managed-vm", Name: "web-03"})
		return err == nil
	})
	modify := api.CreateRequestBody{Action: api.ActionModify, Type: "managed-vm", Name: "web-03", Params: json.RawMessage(`{"cpu": 4}`)}
	_, out = w.preview(t, modify)
	if s := out.Plan.Summary; s.Change != 1 || s.Add+s.Destroy != 0 {
		t.Errorf("the plan of a change is %+v; want one machine to change", out.Plan)
	}
	if out.Check == nil || out.Check.Summary.Changed != 1 || !slices.ContainsFunc(out.Check.Changes, func(c struct{ Host, Task, Diff string }) bool { return strings.Contains(c.Diff, `"cpu": 4`) }) {
		t.Errorf("the check is %+v; want the change of its file", out.Check)
	}
	if n := w.programs("apply"); n != 1 || w.configured(t, "web-03") != 1 {
		t.Errorf("after the trial of a change %d applies, configured %d times; want 1 and 1", n, w.configured(t, "web-03"))
	}

	w.drift(t, "web-03", 8)
	machines := w.resources(t)
	look := w.ended(t, w.runOf(t, "vm.drift", machines).ID)
	if s := string(look.Outputs); look.State != api.Succeeded || !strings.Contains(s, `"name":"web-03"`) || !strings.Contains(s, `"as_ordered"`) && !strings.Contains(s, `"plan"`) {
		t.Errorf("the report of drift is %s %+v: %s", look.State, look.Failure, s)
	}
	if n := w.programs("apply"); n != 1 {
		t.Errorf("the report applied something: %d applies", n)
	}
	var in map[string]any
	if err := json.Unmarshal(machines, &in); err != nil {
		t.Fatal(err)
	}
	in["ask"] = "destroys"
	repair, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if r := w.ended(t, w.runOf(t, "vm.converge", repair).ID); r.State != api.Succeeded || w.programs("apply") != 2 {
		t.Errorf("the repair is %s: %+v, %d applies; want one more", r.State, r.Failure, w.programs("apply"))
	}
	look = w.ended(t, w.runOf(t, "vm.drift", machines).ID)
	if s := string(look.Outputs); look.State != api.Succeeded || !strings.Contains(s, `"machines":[]`) {
		t.Errorf("the report after the repair is %s %+v: %s", look.State, look.Failure, s)
	}

	remove := api.CreateRequestBody{Action: api.ActionDelete, Type: "managed-vm", Name: "web-03"}
	if _, out = w.preview(t, remove); out.Plan.Summary.Destroy != 1 {
		t.Errorf("the plan of the deletion is %+v; want one machine to destroy", out.Plan)
	}
	w.done(t, w.ask(t, remove))
	if got := w.machines(t); len(got) != 0 {
		t.Errorf("after the deletion the vCenter has %v", got)
	}
}

// drift gives a machine another number of CPUs behind everybody's back.
func (w *world) drift(t *testing.T, name string, cpu int32) {
	t.Helper()
	c, err := govmomi.NewClient(t.Context(), w.vcenter, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Logout(context.Background()) }()
	vms, err := find.NewFinder(c.Client).VirtualMachineList(t.Context(), "/...")
	at := slices.IndexFunc(vms, func(vm *object.VirtualMachine) bool { return vm.Name() == name })
	if err != nil || at < 0 {
		t.Fatalf("machines %v, %v", vms, err)
	}
	task, err := vms[at].Reconfigure(t.Context(), types.VirtualMachineConfigSpec{NumCPUs: cpu})
	if err == nil {
		err = task.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// resources are the inputs that converge gives.
func (w *world) resources(t *testing.T) json.RawMessage {
	t.Helper()
	r, err := sdk.Call(t.Context(), w.api, api.GetResource, api.ResourceIn{Type: "managed-vm", Name: "web-03"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]any{"machines": []any{map[string]any{"name": r.Name, "spec": r.Spec, "outputs": r.Outputs, "source": r.Source}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A plan that is not approved changes nothing.
func TestRejected(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := w.run(t, w.machine("never-01", 2))
	w.decide(t, w.asked(t, r.ID), false)
	if r = w.ended(t, r.ID); r.State != api.Failed || r.Failure == nil || r.Failure.Type != "terraform.rejected" {
		t.Errorf("the run is %s: %+v; want terraform.rejected", r.State, r.Failure)
	}
	if got := w.machines(t); len(got) != 0 || w.programs("apply") != 0 {
		t.Errorf("the vCenter has %v, %d applies; want nothing", got, w.programs("apply"))
	}
}
