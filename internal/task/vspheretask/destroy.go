package vspheretask

import (
	"context"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/netguard"
	"tutti/internal/task"
	"tutti/sdk"
)

// Destroy is what vsphere.vm.destroy takes.
type Destroy struct {
	Target
	Key   string `json:"key,omitempty" doc:"Key of the task that built it, from that task's output; by default that of any task" maxLength:"200"`
	Force bool   `json:"force,omitempty" doc:"Destroy it also where Tutti did not build it"`
}

// Destroyed is what vsphere.vm.destroy gives.
type Destroyed struct {
	ID        string `json:"id" doc:"ID it had in the vCenter; empty where it was not there"`
	Name      string `json:"name" doc:"Its name"`
	Destroyed bool   `json:"destroyed" doc:"Whether this attempt destroyed it; false where it was gone before"`
}

const (
	varOff     = "off"
	varDestroy = "destroy"
)

// NewDestroy returns the task type vsphere.vm.destroy.
func NewDestroy(g *netguard.Guard) sdk.TaskType {
	return task.Define(api.TaskType{
		Name: "vsphere.vm.destroy", Title: "Destroy a virtual machine", Reattach: true,
		Doc:    "Turns a virtual machine off and destroys it with its disks, if Tutti built it. One that is gone already is fine.",
		Errors: failures(map[string]string{failForeign: "the machine was not built by the task whose key is given, or not by Tutti at all"}),
	}, func(ctx context.Context, t *sdk.Task, in Destroy) (Destroyed, error) {
		if in.ID == "" && in.Name == "" {
			return Destroyed{}, errs.New(errs.Invalid, "neither with.id nor with.name says which machine")
		}
		v, bye, err := connect(ctx, t, g, in.Connection)
		if err != nil {
			return Destroyed{}, err
		}
		defer bye()
		out, err := v.destroy(ctx, t, in)
		if err != nil {
			err = v.failure(ctx, "destroy virtual machine "+in.label(), err)
		}
		return out, err
	})
}

func (v *vcenter) destroy(ctx context.Context, t *sdk.Task, in Destroy) (Destroyed, error) {
	m, err := v.target(ctx, in.Target)
	if err != nil {
		return Destroyed{}, err
	}
	if m == nil {
		t.Logf("there is no virtual machine %s", in.label())
		return Destroyed{Name: in.Name}, nil
	}
	if err := v.may(m, in); err != nil {
		return Destroyed{}, err
	}
	out := Destroyed{m.ID, m.Name, true}
	if m.PowerState != string(types.VirtualMachinePowerStatePoweredOff) {
		t.Logf("turning %s (%s) off", m.Name, m.ID)
		_, err := v.await(ctx, t, varOff, func() (*object.Task, error) { return m.o.PowerOff(ctx) })
		if gone(err) {
			return out, nil
		}
		if err != nil && !isFault[*types.InvalidPowerState](err) { // it is off already
			return Destroyed{}, err
		}
	}
	t.Logf("destroying %s (%s)", m.Name, m.ID)
	_, err = v.await(ctx, t, varDestroy, func() (*object.Task, error) { return m.o.Destroy(ctx) })
	if err != nil && !gone(err) {
		return Destroyed{}, err
	}
	return out, nil
}

func gone(err error) bool { return isFault[*types.ManagedObjectNotFound](err) }

// may says why m must not be destroyed, if so.
func (v *vcenter) may(m *machine, in Destroy) error {
	foreign := func(format string, args ...any) *sdk.TaskError {
		return sdk.Fail(failForeign, format, args...).WithDetails(map[string]any{"id": m.ID, "name": m.Name, "key": m.key})
	}
	switch {
	case in.ID != "" && in.Name != "" && m.Name != in.Name:
		return foreign("%s of vCenter %s is called %s, not %s", m.ID, v.host, m.Name, in.Name).WithHint("it was renamed, or it is another machine: see to it, then leave one of with.id and with.name out")
	case in.Force:
		return nil
	case m.key == "":
		return foreign("virtual machine %s (%s) of vCenter %s was not built by Tutti", m.Name, m.ID, v.host).WithHint("set with.force if it is meant nevertheless")
	case in.Key != "" && m.key != in.Key:
		return foreign("virtual machine %s (%s) of vCenter %s was built by another task, with the key %s", m.Name, m.ID, v.host, m.key).
			WithHint("leave with.key out if any machine that Tutti built is meant, or set with.force")
	}
	return nil
}
