package vspheretask_test

import (
	"crypto/tls"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"tutti/internal/netguard"
	"tutti/internal/task/tasktest"
	"tutti/internal/task/vspheretask"
	"tutti/sdk"
)

// center is a simulated vCenter and the types that may call it.
type center struct {
	model                 *simulator.Model
	conn                  map[string]any
	create, read, destroy sdk.TaskType
}

// Tests here are not parallel: simulators share variables.
func setup(t *testing.T) *center {
	t.Helper()
	m := simulator.VPX()
	m.Machine = 0
	if err := m.Create(); err != nil {
		t.Fatal(err)
	}
	m.Service.TLS = new(tls.Config)
	s := m.Service.NewServer()
	t.Cleanup(func() { s.Close(); m.Remove() })
	guard, err := netguard.Parse([]string{s.URL.Host})
	if err != nil {
		t.Fatal(err)
	}
	return &center{m,
		map[string]any{"url": "https://" + s.URL.Host, "user": "user", "password": "pass", "insecureSkipVerify": true},
		vspheretask.NewCreate(guard), vspheretask.NewRead(guard), vspheretask.NewDestroy(guard)}
}

// with returns an input with the connection and more.
func (c *center) with(more ...any) map[string]any {
	out := maps.Clone(c.conn)
	for i := 0; i < len(more); i += 2 {
		if more[i+1] == nil {
			delete(out, more[i].(string))
			continue
		}
		out[more[i].(string)] = more[i+1]
	}
	return out
}

// vm returns the input to build a machine.
func (c *center) vm(name string, more ...any) map[string]any {
	return c.with(append([]any{"name", name, "network", "DC0_DVPG0", "cluster", "DC0_C0", "cpu", 2, "memoryMB", 8192, "diskGB", 100}, more...)...)
}

// machines returns the names of all machines there are.
func (c *center) machines() []string {
	var names []string
	for _, e := range c.model.Map().All("VirtualMachine") {
		names = append(names, e.Entity().Name)
	}
	slices.Sort(names)
	return names
}

type created struct {
	vspheretask.VM
	Created bool
}

func TestCreateSuite(t *testing.T) {
	c := setup(t)
	tasktest.Run(t, c.create, tasktest.Cases{
		Good: []tasktest.Case{{With: c.vm("vm-$KEY"), Secrets: []string{"pass"}}, {With: c.vm("off-$KEY", "power", "off", "network", "VM Network", "annotations", map[string]string{"owner": "anna"})}},
		Bad: []tasktest.Case{
			{With: c.vm("")}, {With: c.vm("a/b")}, {With: c.vm("-x")}, {With: c.vm("a", "cpu", 0)}, {With: c.vm("a", "memoryMB", 1023)}, {With: c.vm("a", "diskGB", -1)}, {With: c.vm("a", "network", nil)},
			{With: c.vm("a", "url", "ftp://x")}, {With: c.vm("a", "url", "https://u:p@x/sdk")}, {With: c.vm("a", "url", "http://127.0.0.1/sdk", "insecureSkipVerify", false)}, {With: c.vm("a", "insecure", true)},
			{With: c.vm("a", "password", "")}, {With: c.vm("a", "power", "maybe")}, {With: c.vm("a", "guest", "../x")},
		},
	})
}

func TestReadAndDestroySuites(t *testing.T) {
	c := setup(t)
	tasktest.NewTry(t, c.create, c.vm("vm1")).Out(t.Context(), t, c.create, nil)
	tasktest.Run(t, c.read, tasktest.Cases{
		Good: []tasktest.Case{{With: c.with("name", "vm1")}},
		Bad:  []tasktest.Case{{With: c.with("id", "host-1")}, {With: map[string]any{"name": "vm1"}}},
	})
	tasktest.Run(t, c.destroy, tasktest.Cases{
		Good: []tasktest.Case{{With: c.with("name", "vm1")}, {With: c.with("name", "never")}, {With: c.with("id", "vm-99999", "name", "x")}},
		Bad:  []tasktest.Case{{With: c.conn}, {With: c.with("id", "1; drop")}},
	})
}

func TestLifeOfAMachine(t *testing.T) {
	c := setup(t)
	a := tasktest.NewTry(t, c.create, c.vm("web1", "annotations", map[string]string{"owner": "anna"}))
	a.Request = "req_1"
	var got created
	a.Out(t.Context(), t, c.create, &got)
	want := created{vspheretask.VM{ID: got.ID, Name: "web1", CPU: 2, MemoryMB: 8192, DiskGB: 100, Network: "DC0_DVPG0", PowerState: "poweredOn", Host: got.Host, UUID: got.UUID, Key: a.Key}, true}
	if diff := cmp.Diff(want, got); diff != "" || got.ID == "" || got.UUID == "" || !strings.HasPrefix(got.Host, "DC0_C0_H") {
		t.Errorf("created = %+v (-want +got):\n%s", got, diff)
	}
	if log := a.Logged("log"); !strings.Contains(log, "insecureSkipVerify") || strings.Contains(log, "pass\n") {
		t.Errorf("log = %q; want it to say that the certificate is not verified", log)
	}
	notes := c.machine(got.ID).Config.Annotation
	for _, line := range []string{"tutti.key: " + a.Key, "tutti.request: req_1", "tutti.trace: " + a.Trace, "owner: anna"} {
		if !strings.Contains(notes, line) {
			t.Errorf("notes = %q; want the line %q", notes, line)
		}
	}

	a.Again().Out(t.Context(), t, c.create, &got)
	if want.Created = false; cmp.Diff(want, got) != "" {
		t.Errorf("again = %+v; want the same machine, not built now", got)
	}
	for _, with := range []map[string]any{c.with("name", "web1"), c.with("id", got.ID)} {
		var read vspheretask.VM
		tasktest.NewTry(t, c.read, with).Out(t.Context(), t, c.read, &read)
		if diff := cmp.Diff(want.VM, read); diff != "" {
			t.Errorf("read (-want +got):\n%s", diff)
		}
	}

	d := tasktest.NewTry(t, c.destroy, c.with("name", "web1", "id", got.ID, "key", a.Key))
	var gone vspheretask.Destroyed
	for _, destroyed := range []bool{true, false} {
		d.Out(t.Context(), t, c.destroy, &gone)
		if gone.Destroyed != destroyed || gone.Name != "web1" {
			t.Errorf("destroyed = %+v; want %t", gone, destroyed)
		}
		d = d.Again()
	}
	if n := c.machines(); len(n) != 0 {
		t.Errorf("machines = %v; want none", n)
	}
	if f := tasktest.NewTry(t, c.read, c.with("name", "web1")).Fails(t.Context(), t, c.read); f.Type != "vsphere.missing" {
		t.Errorf("read = %+v; want missing", f)
	}
	// The same task may have to build it again, after an undo.
	a.Again().Out(t.Context(), t, c.create, &got)
	if !got.Created {
		t.Errorf("built again = %+v; want it created", got)
	}
}

// Wherever an attempt dies, there is one machine in the end, also where many tasks build at a time.
func TestNeverASecondMachine(t *testing.T) {
	c := setup(t)
	var wg sync.WaitGroup
	for at := 1; at <= 4; at++ {
		for _, stored := range []bool{false, true} {
			wg.Go(func() {
				a := tasktest.NewTry(t, c.create, c.vm("vm-$KEY"))
				a.CrashAt, a.Stored = at, stored
				if _, f, crashed := a.Do(t.Context(), c.create); !crashed {
					t.Errorf("attempt did not die at %d: %+v", at, f)
					return
				}
				var got created
				_, f, _ := a.Again().Do(t.Context(), c.create)
				if f != nil {
					t.Errorf("after a crash at %d, stored %t: %+v", at, stored, f)
					return
				}
				b := a.Again()
				if r, f, _ := b.Do(t.Context(), c.create); f != nil || json.Unmarshal(r.Out, &got) != nil || got.Created || got.Key != a.Key || got.PowerState != "poweredOn" {
					t.Errorf("third attempt = %+v, %+v", got, f)
				}
			})
		}
	}
	wg.Wait()
	if n := c.machines(); len(n) != 8 || len(slices.Compact(n)) != 8 {
		t.Errorf("machines = %v; want 8", n)
	}
}

// strictFolder refuses a second machine of a name, as a vCenter does and the simulator does not.
type strictFolder struct {
	*simulator.Folder
	mu    sync.Mutex
	names map[string]bool
}

// CreateVMTask builds a machine, unless one of the name was begun before.
func (f *strictFolder) CreateVMTask(ctx *simulator.Context, req *types.CreateVM_Task) soap.HasFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.names[req.Config.Name] {
		f.names[req.Config.Name] = true
		return f.Folder.CreateVMTask(ctx, req)
	}
	task := simulator.CreateTask(req.This, "createVm", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, &types.DuplicateName{Name: req.Config.Name}
	})
	return &methods.CreateVM_TaskBody{Res: &types.CreateVM_TaskResponse{Returnval: task.Run(ctx)}}
}

// The attempts of a task that was given to two workers at a time build one machine.
func TestTwoAtATime(t *testing.T) {
	c := setup(t)
	folder := c.model.Map().Get(c.model.Map().Any("Datacenter").(*simulator.Datacenter).VmFolder).(*simulator.Folder)
	c.model.Map().Put(&strictFolder{Folder: folder, names: map[string]bool{}})
	a := tasktest.NewTry(t, c.create, c.vm("twin"))
	var mu sync.Mutex
	built, ids := 0, map[string]bool{}
	var wg sync.WaitGroup
	for range 6 {
		b := a.Again()
		wg.Go(func() {
			r, f, _ := b.Do(t.Context(), c.create)
			var got created
			if f != nil || json.Unmarshal(r.Out, &got) != nil {
				t.Errorf("attempt = %+v", f)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[got.ID] = true
			if got.Created {
				built++
			}
		})
	}
	wg.Wait()
	if len(ids) != 1 || built != 1 || len(c.machines()) != 1 {
		t.Errorf("%d machines, %d said they built it, told as %v; want one", len(c.machines()), built, ids)
	}
}

func TestFailures(t *testing.T) {
	c := setup(t)
	tasktest.NewTry(t, c.create, c.vm("taken")).Out(t.Context(), t, c.create, nil)
	closed := httptest.NewServer(nil)
	closed.Close()
	host := strings.TrimPrefix(closed.URL, "http://")
	guard, err := netguard.Parse([]string{host})
	if err != nil {
		t.Fatal(err)
	}
	down, denied := vspheretask.NewCreate(guard), vspheretask.NewCreate(nil)
	for _, k := range []struct {
		name  string
		typ   sdk.TaskType
		with  map[string]any
		want  string
		again bool
		says  string
	}{
		{"network", c.create, c.vm("a", "network", "INTRANET_DEV"), "vsphere.unknown", false, "DC0_DVPG0"},
		{"datastore", c.create, c.vm("a", "datastore", "fast"), "vsphere.unknown", false, "LocalDS_0"},
		{"cluster", c.create, c.vm("a", "cluster", "DC9"), "vsphere.unknown", false, "DC0_C0"},
		{"no cluster", c.create, c.vm("a", "cluster", nil), "vsphere.unknown", false, "DC0_H0"},
		{"pool", c.create, c.vm("a", "pool", "gold"), "vsphere.unknown", false, "Resources"},
		{"datacenter", c.create, c.vm("a", "datacenter", "DC1"), "vsphere.unknown", false, "DC0"},
		{"folder", c.create, c.vm("a", "folder", "x/y"), "vsphere.unknown", false, "folder"},
		{"taken", c.create, c.vm("taken"), "vsphere.exists", false, "key"},
		{"down", down, c.vm("a", "url", "https://"+host), "vsphere.connect", true, "refused"},
		{"denied", denied, c.vm("a"), "vsphere.denied", false, netguard.Setting},
		{"metadata", c.create, c.vm("a", "url", "https://169.254.169.254"), "vsphere.denied", false, "169.254.169.254"},
		{"certificate", c.create, c.vm("a", "insecureSkipVerify", nil), "vsphere.connect", true, "certificate"},
	} {
		t.Run(k.name, func(t *testing.T) {
			f := tasktest.NewTry(t, k.typ, k.with).Fails(t.Context(), t, k.typ)
			tasktest.Declared(t, k.typ, f)
			if f.Type != k.want || f.Retryable != k.again || !strings.Contains(f.Message+f.Hint, k.says) {
				t.Errorf("failure = %+v; want %s, retryable %t, that says %q", f, k.want, k.again, k.says)
			}
		})
	}
	if n := c.machines(); !slices.Equal(n, []string{"taken"}) {
		t.Errorf("machines = %v; want none but that which was there", n)
	}
}

func TestLogin(t *testing.T) {
	c := setup(t)
	c.model.Map().SessionManager().ValidLogin = func(l *types.Login) bool { return l.Password == "right" }
	c.model.Service.Listen.User = url.UserPassword("user", "right")
	f := tasktest.NewTry(t, c.create, c.vm("a")).Fails(t.Context(), t, c.create)
	tasktest.Declared(t, c.create, f)
	if f.Type != "vsphere.login" || f.Retryable || strings.Contains(f.Message, "pass ") {
		t.Errorf("failure = %+v; want login", f)
	}
}

func TestForeignMachines(t *testing.T) {
	c := setup(t)
	ours := tasktest.NewTry(t, c.create, c.vm("ours"))
	ours.Out(t.Context(), t, c.create, nil)
	c.foreign(t, "theirs")
	for _, with := range []map[string]any{c.with("name", "theirs"), c.with("name", "ours", "key", "another"), c.with("name", "theirs", "key", ours.Key)} {
		f := tasktest.NewTry(t, c.destroy, with).Fails(t.Context(), t, c.destroy)
		tasktest.Declared(t, c.destroy, f)
		if f.Type != "vsphere.foreign" || f.Retryable {
			t.Errorf("destroy %v = %+v; want foreign", with, f)
		}
	}
	if f := tasktest.NewTry(t, c.create, c.vm("theirs")).Fails(t.Context(), t, c.create); f.Type != "vsphere.exists" || !strings.Contains(f.Message, "else than Tutti") {
		t.Errorf("create = %+v; want exists", f)
	}
	var read vspheretask.VM
	tasktest.NewTry(t, c.read, c.with("name", "ours")).Out(t.Context(), t, c.read, &read)
	if f := tasktest.NewTry(t, c.destroy, c.with("id", read.ID, "name", "theirs")).Fails(t.Context(), t, c.destroy); f.Type != "vsphere.foreign" {
		t.Errorf("destroy by an ID with another name = %+v; want foreign", f)
	}
	if n := c.machines(); !slices.Equal(n, []string{"ours", "theirs"}) {
		t.Fatalf("machines = %v; want both", n)
	}
	for _, with := range []map[string]any{c.with("name", "theirs", "force", true), c.with("name", "ours")} {
		tasktest.NewTry(t, c.destroy, with).Out(t.Context(), t, c.destroy, nil)
	}
	if n := c.machines(); len(n) != 0 {
		t.Errorf("machines = %v; want none", n)
	}
}

// foreign builds a machine and takes from it what shows that it is ours.
func (c *center) foreign(t *testing.T, name string) {
	t.Helper()
	var got created
	tasktest.NewTry(t, c.create, c.vm(name)).Out(t.Context(), t, c.create, &got)
	vm := c.machine(got.ID)
	vm.Config.ExtraConfig, vm.Config.InstanceUuid = nil, "00000000-0000-0000-0000-000000000000"
	vm.Config.CreateDate = types.NewTime(time.Now().Add(-time.Hour)) // a new one could be ours, unfinished
}

// machine returns the simulator's own record of a machine.
func (c *center) machine(id string) *simulator.VirtualMachine {
	return c.model.Map().Get(types.ManagedObjectReference{Type: "VirtualMachine", Value: id}).(*simulator.VirtualMachine)
}
