package vspheretask

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"tutti/api"
	"tutti/internal/netguard"
	"tutti/internal/task"
	"tutti/sdk"
)

// keyName is the extraConfig that says which task built a machine.
const keyName = "tutti.key"

// VM is what is told of a machine.
type VM struct {
	ID         string `json:"id" doc:"ID in the vCenter, such as vm-42"`
	Name       string `json:"name" doc:"Its name"`
	CPU        int32  `json:"cpu" doc:"Processors"`
	MemoryMB   int32  `json:"memoryMB" doc:"Memory in MB"`
	DiskGB     int64  `json:"diskGB" doc:"Size of all its disks in GB"`
	Network    string `json:"network" doc:"The networks it is connected to, separated by commas"`
	PowerState string `json:"powerState" doc:"poweredOn, poweredOff or suspended"`
	Host       string `json:"host" doc:"The host it is on"`
	UUID       string `json:"uuid" doc:"Its BIOS UUID"`
	Key        string `json:"key" doc:"Key of the task that built it; empty where Tutti did not"`
}

// machine is a machine as it stands.
type machine struct {
	VM
	key string
	age time.Duration // by the vCenter's clock; very old where it does not say
	ref types.ManagedObjectReference
	o   *object.VirtualMachine
}

// machine reads a machine; nil where it is no more.
func (v *vcenter) machine(ctx context.Context, ref types.ManagedObjectReference) (*machine, error) {
	c := property.DefaultCollector(v.Client)
	var m mo.VirtualMachine
	err := c.RetrieveOne(ctx, ref, []string{"name", "config", "runtime.powerState", "runtime.host", "network"}, &m)
	if isFault[*types.ManagedObjectNotFound](err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := &machine{ref: ref, o: object.NewVirtualMachine(v.Client, ref)}
	out.VM = VM{ID: ref.Value, Name: m.Name, PowerState: string(m.Runtime.PowerState)}
	if m.Config != nil { // nil while it is being built
		out.CPU, out.MemoryMB, out.UUID = m.Config.Hardware.NumCPU, m.Config.Hardware.MemoryMB, m.Config.Uuid
		for _, d := range m.Config.Hardware.Device {
			if disk, ok := d.(*types.VirtualDisk); ok {
				out.DiskGB += max(disk.CapacityInBytes, disk.CapacityInKB<<10) >> 30
			}
		}
		for _, o := range m.Config.ExtraConfig {
			if o.GetOptionValue().Key == keyName {
				out.key, _ = o.GetOptionValue().Value.(string)
			}
		}
		out.Key = out.key
		if out.age, err = v.age(ctx, m.Config.CreateDate); err != nil {
			return nil, err
		}
	}
	var refs []types.ManagedObjectReference
	if m.Runtime.Host != nil {
		refs = append(refs, *m.Runtime.Host)
	}
	names, err := v.names(ctx, append(refs, m.Network...))
	if err != nil {
		return nil, err
	}
	if m.Runtime.Host != nil {
		out.Host, names = names[0], names[1:]
	}
	out.Network = strings.Join(names, ", ")
	return out, nil
}

// age returns how long ago a machine was created.
func (v *vcenter) age(ctx context.Context, created *time.Time) (time.Duration, error) {
	if created == nil {
		return math.MaxInt64, nil
	}
	now, err := methods.GetCurrentTime(ctx, v.Client)
	if err != nil {
		return 0, err
	}
	return now.Sub(*created), nil
}

// unfinished reports whether the machine is still being built, so that nobody can say whose it is: it may
// show before its hardware does, and with that before its key does.
func (m *machine) unfinished() bool { return m.CPU == 0 || m.key == "" && m.age < settling }

// names returns the names of objects, in their order.
func (v *vcenter) names(ctx context.Context, refs []types.ManagedObjectReference) ([]string, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	var content []types.ObjectContent
	if err := property.DefaultCollector(v.Client).Retrieve(ctx, refs, []string{"name"}, &content); err != nil {
		return nil, err
	}
	byRef := map[types.ManagedObjectReference]string{}
	for _, c := range content {
		for _, p := range c.PropSet {
			byRef[c.Obj], _ = p.Val.(string)
		}
	}
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = byRef[r]
	}
	return out, nil
}

// await lets the vCenter do something that takes time, once: start starts it, unless an earlier attempt
// did, as the variable of that name tells. Once it has ended the variable is cleared, for what is there
// tells the rest.
func (v *vcenter) await(ctx context.Context, t *sdk.Task, variable string, start func() (*object.Task, error)) (*types.TaskInfo, error) {
	ref, err := under(t, variable)
	if err != nil {
		return nil, err
	}
	job := object.NewTask(v.Client, types.ManagedObjectReference{Type: "Task", Value: ref})
	if ref != "" {
		t.Logf("an earlier attempt started %s; waiting for it", ref)
	} else {
		if job, err = start(); err != nil {
			return nil, err
		}
		if err := t.SetVar(ctx, variable, job.Reference().Value); err != nil {
			return nil, err
		}
	}
	info, err := v.wait(ctx, job)
	if err != nil && (faultOf(err) == nil || ctx.Err() != nil) {
		return nil, err // it may still be under way
	}
	if stored := t.SetVar(ctx, variable, ""); stored != nil {
		return nil, stored
	}
	if ref != "" && isFault[*types.ManagedObjectNotFound](err) {
		// The vCenter forgot the task, which it does only long after its end: see what is there.
		return v.await(ctx, t, variable, start)
	}
	return info, err
}

// under returns the vCenter's task that an earlier attempt stored as not ended; "" is none.
func under(t *sdk.Task, variable string) (ref string, err error) {
	_, err = t.Var(variable, &ref)
	return ref, err
}

// wait waits for a task of the vCenter. Where somebody wants the attempt to end, it is cancelled; where
// the worker just stops, the next attempt finds it.
func (v *vcenter) wait(ctx context.Context, job *object.Task) (*types.TaskInfo, error) {
	info, err := job.WaitForResult(ctx, nil)
	if ctx.Err() != nil && context.Cause(ctx) != sdk.ErrStopping && context.Cause(ctx) != sdk.ErrLost {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), parting)
		defer cancel()
		v.log("cancelling %s of the vCenter: %v", job.Reference().Value, context.Cause(ctx))
		_ = job.Cancel(last) // not every task can be
	}
	return info, err
}

// Target names a machine.
type Target struct {
	Connection
	ID   string `json:"id,omitempty" doc:"ID in the vCenter, such as vm-42; goes before the name" pattern:"^vm-[0-9]+$"`
	Name string `json:"name,omitempty" doc:"Name, in the folder; at least one of id and name is needed" maxLength:"80"`
}

// NewRead returns the task type vsphere.vm.read.
func NewRead(g *netguard.Guard) sdk.TaskType {
	return task.Define(api.TaskType{
		Name: "vsphere.vm.read", Title: "Read a virtual machine", Doc: "Reads a virtual machine from a vCenter.",
		Errors: failures(map[string]string{failMissing: "there is no such machine"}),
	}, func(ctx context.Context, t *sdk.Task, in Target) (VM, error) {
		v, bye, err := connect(ctx, t, g, in.Connection)
		if err != nil {
			return VM{}, err
		}
		defer bye()
		m, err := v.target(ctx, in)
		switch {
		case err != nil:
			return VM{}, v.failure(ctx, "look up "+in.label(), err)
		case m == nil:
			return VM{}, sdk.Fail(failMissing, "vCenter %s has no virtual machine %s", v.host, in.label())
		}
		return m.VM, nil
	})
}

func (in Target) label() string {
	if in.ID == "" || in.Name == "" {
		return in.ID + in.Name
	}
	return in.Name + " (" + in.ID + ")"
}

// target finds the machine that in names; nil where there is none.
func (v *vcenter) target(ctx context.Context, in Target) (*machine, error) {
	if in.ID != "" {
		return v.machine(ctx, types.ManagedObjectReference{Type: "VirtualMachine", Value: in.ID})
	}
	p, err := v.place(ctx, in.Connection)
	if err != nil {
		return nil, err
	}
	return v.find(ctx, p, "", in.Name)
}
