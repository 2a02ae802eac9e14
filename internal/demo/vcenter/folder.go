package vcenter

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// folder refuses a second machine of a name, as every vCenter does, from the moment the first is begun.
// The simulator would make both. Its own lock guards begun: methods of an object run one at a time.
type folder struct {
	*simulator.Folder
	begun map[string]types.ManagedObjectReference // by name, the task that makes the machine
}

// strict makes the folder of machines of each datacenter refuse.
func strict(inventory *simulator.Registry) {
	for _, dc := range inventory.All("Datacenter") {
		if dc, ok := dc.(*simulator.Datacenter); ok {
			if f, ok := inventory.Get(dc.VmFolder).(*simulator.Folder); ok {
				inventory.Put(&folder{f, map[string]types.ManagedObjectReference{}})
			}
		}
	}
	for _, x := range inventory.AllReference("SearchIndex") {
		if x, ok := x.(*simulator.SearchIndex); ok {
			inventory.Put(&index{x})
		}
	}
}

// index finds what is in such a folder, which the simulator's own does not look into.
type index struct{ *simulator.SearchIndex }

// FindChild returns what has a name directly below something.
func (x *index) FindChild(ctx *simulator.Context, req *types.FindChild) soap.HasFault {
	f, ok := ctx.Map.Get(req.Entity).(*folder)
	if !ok {
		return x.SearchIndex.FindChild(ctx, req)
	}
	res := new(types.FindChildResponse)
	if child := ctx.Map.FindByName(req.Name, f.ChildEntity); child != nil {
		ref := child.Reference()
		res.Returnval = &ref
	}
	return &methods.FindChildBody{Res: res}
}

// CreateVMTask begins to make a machine, unless there is one of the name.
func (f *folder) CreateVMTask(ctx *simulator.Context, req *types.CreateVM_Task) soap.HasFault {
	name := req.Config.Name
	if f.taken(ctx, name) {
		task := simulator.CreateTask(req.This, "createVm", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
			return nil, &types.DuplicateName{Name: name}
		})
		return &methods.CreateVM_TaskBody{Res: &types.CreateVM_TaskResponse{Returnval: task.Run(ctx)}}
	}
	body := f.Folder.CreateVMTask(ctx, req)
	if made, ok := body.(*methods.CreateVM_TaskBody); ok && made.Res != nil {
		f.begun[name] = made.Res.Returnval
	}
	return body
}

// taken reports whether a machine of the name is there, or being made.
func (f *folder) taken(ctx *simulator.Context, name string) bool {
	if ctx.Map.FindByName(name, f.ChildEntity) != nil {
		return true
	}
	task, ok := ctx.Map.Get(f.begun[name]).(*simulator.Task)
	if !ok {
		return false
	}
	busy := false
	ctx.Map.WithLock(ctx, task, func() {
		busy = task.Info.State == types.TaskInfoStateQueued || task.Info.State == types.TaskInfoStateRunning
	})
	return busy
}
