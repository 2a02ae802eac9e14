package vcenter

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

// TestMain lets the test's own binary be the process.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "be-the-vcenter" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		os.Exit(Main(ctx, os.Stdin))
	}
	os.Exit(m.Run())
}

// open starts a vCenter for a demo whose lock names this process.
func open(t *testing.T, dir string, pause time.Duration) *VCenter {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(dir, "lock")
	if err := os.WriteFile(lock, fmt.Appendln(nil, os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := Open(t.Context(), Config{Dir: filepath.Join(dir, "vcenter"), Command: []string{self, "be-the-vcenter"}, Lock: lock, Pause: pause})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = v.Stop(context.Background())
		if t.Failed() {
			log, err := os.ReadFile(filepath.Join(dir, "vcenter", "log"))
			t.Logf("its log: %s, %v", log, err)
		}
	})
	return v
}

// build makes a machine, as a task would.
func build(ctx context.Context, v *VCenter, name string) error {
	return v.visit(ctx, func(c *govmomi.Client) error {
		f := find.NewFinder(c.Client)
		dc, err := f.Datacenter(ctx, "DC1")
		if err != nil {
			return err
		}
		folders, err := dc.Folders(ctx)
		if err != nil {
			return err
		}
		pool, err := f.ResourcePool(ctx, "/DC1/host/CLUSTER_DEV/Resources")
		if err != nil {
			return err
		}
		task, err := folders.VmFolder.CreateVM(ctx, types.VirtualMachineConfigSpec{
			Name: name, NumCPUs: 2, MemoryMB: 8192, Files: &types.VirtualMachineFileInfo{VmPathName: "[SSD_DEV]"},
		}, pool, nil)
		if err != nil {
			return err
		}
		return task.Wait(ctx)
	})
}

func TestOutlivesItsClients(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	began := time.Now()
	v := open(t, dir, 0)
	if none, err := v.Machines(t.Context()); err != nil || len(none) != 0 {
		t.Fatalf("Machines = %v, %v; want none", none, err)
	}
	t.Logf("ready after %v", time.Since(began))
	if err := build(t.Context(), v, "web-1"); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir, 0) // as a demo does that was started again
	if !again.Found || again.PID != v.PID || again.URL != v.URL {
		t.Errorf("Open = %+v; want the vCenter that runs, %+v", again, v)
	}
	all, err := again.Machines(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("Machines = %+v, %v; want web-1", all, err)
	}
	if m := all[0]; m.Name != "web-1" || m.CPU != 2 || m.MemoryMB != 8192 || m.Cluster != "CLUSTER_DEV" || m.Datastore != "SSD_DEV" {
		t.Errorf("machine = %+v", m)
	}
	err = v.visit(t.Context(), func(c *govmomi.Client) error {
		dc, err := find.NewFinder(c.Client).Datacenter(t.Context(), "DC1")
		if err != nil {
			return err
		}
		folders, err := dc.Folders(t.Context())
		if err != nil {
			return err
		}
		for name, want := range map[string]bool{"web-1": true, "web-2": false} {
			ref, err := object.NewSearchIndex(c.Client).FindChild(t.Context(), folders.VmFolder, name)
			if err != nil || (ref != nil) != want {
				t.Errorf("FindChild(%s) = %v, %v; want found %t", name, ref, err, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	stranger := *v
	stranger.Password = "x"
	if stranger.answers(t.Context()) {
		t.Error("the vCenter lets anybody in")
	}
}

// A name is taken from the moment a machine of it is begun.
func TestRefusesASecondOfAName(t *testing.T) {
	t.Parallel()
	v := open(t, t.TempDir(), 300*time.Millisecond)
	made := make(chan error, 4)
	for range cap(made) {
		go func() { made <- build(t.Context(), v, "twin") }()
	}
	good := 0
	for range cap(made) {
		switch err := <-made; {
		case err == nil:
			good++
		case !fault.Is(err, &types.DuplicateName{}):
			t.Errorf("build = %v; want that the name is taken", err)
		}
	}
	all, err := v.Machines(t.Context())
	if good != 1 || err != nil || len(all) != 1 {
		t.Errorf("%d of %d were made, %+v, %v are there; want one", good, cap(made), all, err)
	}
	if err := build(t.Context(), v, "twin"); !fault.Is(err, &types.DuplicateName{}) {
		t.Errorf("build = %v; want that the name is taken", err)
	}
}
