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
	"github.com/vmware/govmomi/find"
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
func open(t *testing.T, dir string) *VCenter {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(dir, "lock")
	if err := os.WriteFile(lock, fmt.Appendln(nil, os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := Open(t.Context(), Config{Dir: filepath.Join(dir, "vcenter"), Command: []string{self, "be-the-vcenter"}, Lock: lock})
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

// make makes a machine, as a task would.
func build(t *testing.T, v *VCenter, name string) {
	t.Helper()
	err := v.visit(t.Context(), func(c *govmomi.Client) error {
		f := find.NewFinder(c.Client)
		dc, err := f.Datacenter(t.Context(), "DC1")
		if err != nil {
			return err
		}
		folders, err := dc.Folders(t.Context())
		if err != nil {
			return err
		}
		pool, err := f.ResourcePool(t.Context(), "/DC1/host/CLUSTER_DEV/Resources")
		if err != nil {
			return err
		}
		task, err := folders.VmFolder.CreateVM(t.Context(), types.VirtualMachineConfigSpec{
			Name: name, NumCPUs: 2, MemoryMB: 8192, Files: &types.VirtualMachineFileInfo{VmPathName: "[SSD_DEV]"},
		}, pool, nil)
		if err != nil {
			return err
		}
		return task.Wait(t.Context())
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOutlivesItsClients(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	began := time.Now()
	v := open(t, dir)
	if none, err := v.Machines(t.Context()); err != nil || len(none) != 0 {
		t.Fatalf("Machines = %v, %v; want none", none, err)
	}
	t.Logf("ready after %v", time.Since(began))
	build(t, v, "web-1")
	again := open(t, dir) // as a demo does that was started again
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
	stranger := *v
	stranger.Password = "x"
	if stranger.answers(t.Context()) {
		t.Error("the vCenter lets anybody in")
	}
}
