package vspheretask

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"tutti/api"
	"tutti/internal/netguard"
	"tutti/internal/task"
	"tutti/sdk"
)

// Create is what vsphere.vm.create takes.
type Create struct {
	Connection
	Name        string            `json:"name" doc:"Name of the machine, new in its folder" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"`
	Network     string            `json:"network" doc:"Name of the network to connect it to" minLength:"1" maxLength:"200"`
	CPU         int32             `json:"cpu" doc:"Processors" minimum:"1" maximum:"768"`
	MemoryMB    int64             `json:"memoryMB" doc:"Memory in MB, a multiple of 4" minimum:"4" maximum:"25165824" multipleOf:"4"`
	DiskGB      int64             `json:"diskGB" doc:"Size of its disk in GB, thin" minimum:"1" maximum:"63488"`
	Cluster     string            `json:"cluster,omitempty" doc:"Cluster, or host, to build it in; may be left out where there is one" maxLength:"200"`
	Pool        string            `json:"pool,omitempty" doc:"Resource pool; by default that of the cluster" maxLength:"200"`
	Datastore   string            `json:"datastore,omitempty" doc:"Datastore; may be left out where there is one" maxLength:"200"`
	Guest       string            `json:"guest,omitempty" doc:"Guest system as vSphere calls it, such as debian12_64Guest; by default otherGuest64" pattern:"^[A-Za-z0-9_]{1,60}$"`
	Power       string            `json:"power,omitempty" doc:"Whether it is on in the end; by default on" enum:"on,off"`
	Annotations map[string]string `json:"annotations,omitempty" doc:"What else its notes say" maxProperties:"50"`
}

// Created is what vsphere.vm.create gives.
type Created struct {
	VM
	Created bool `json:"created" doc:"Whether this attempt built it; false where an earlier one had"`
}

const (
	pci       = 100 // key of the PCI controller
	firstCard = 7   // place of the first network card at it

	varCreate = "create"
	varPower  = "power"
	// emerging is how long a machine of an earlier attempt may take to show, at most.
	emerging = 2 * time.Minute
	// settling is how long a machine may be there before it shows who built it, at most.
	settling = 5 * time.Second
)

// NewCreate returns the task type vsphere.vm.create.
func NewCreate(g *netguard.Guard) sdk.TaskType {
	return task.Define(api.TaskType{
		Name: "vsphere.vm.create", Title: "Build a virtual machine", Reattach: true,
		Doc:    "Builds a virtual machine in a vCenter and turns it on. A repeated attempt finds the machine and never builds a second.",
		Errors: failures(map[string]string{failExists: "there is a machine of this name that this task did not build"}),
	}, func(ctx context.Context, t *sdk.Task, in Create) (Created, error) {
		v, bye, err := connect(ctx, t, g, in.Connection)
		if err != nil {
			return Created{}, err
		}
		defer bye()
		out, err := v.create(ctx, t, in)
		if err != nil {
			err = v.failure(ctx, "build virtual machine "+in.Name, err)
		}
		return out, err
	})
}

func (v *vcenter) create(ctx context.Context, t *sdk.Task, in Create) (Created, error) {
	p, err := v.place(ctx, in.Connection)
	if err != nil {
		return Created{}, err
	}
	m, err := v.find(ctx, p, t.Key, in.Name)
	if err != nil {
		return Created{}, err
	}
	pending, err := under(t, varCreate)
	if err != nil {
		return Created{}, err
	}
	built := false
	if m == nil || m.unfinished() || pending != "" {
		if m, built, err = v.build(ctx, t, p, in); err != nil {
			return Created{}, err
		}
	}
	if m.key != t.Key {
		return Created{}, v.exists(m)
	}
	if !built {
		t.Logf("found %s (%s), which an earlier attempt built", m.Name, m.ID)
	}
	if in.Power != "off" && m.PowerState != string(types.VirtualMachinePowerStatePoweredOn) {
		_, err := v.await(ctx, t, varPower, func() (*object.Task, error) { return m.o.PowerOn(ctx) })
		if err != nil && !isFault[*types.InvalidPowerState](err) { // it is on already
			return Created{}, err
		}
		if m, err = v.machine(ctx, m.ref); err != nil || m == nil {
			return Created{}, cmp.Or(err, error(sdk.Fail(failFault, "virtual machine %s vanished while it was being built", in.Name).Again()))
		}
	}
	return Created{m.VM, built}, nil
}

func (v *vcenter) exists(m *machine) error {
	owner := "something else than Tutti"
	if m.key != "" {
		owner = "another task of Tutti, with the key " + m.key
	}
	return sdk.Fail(failExists, "vCenter %s has a virtual machine %s (%s) already, built by %s", v.host, m.Name, m.ID, owner).
		WithDetails(map[string]any{"id": m.ID, "key": m.key}).WithHint("choose another name, or remove that machine first")
}

// build builds the machine, or waits for what an earlier attempt started. built says that it was us.
func (v *vcenter) build(ctx context.Context, t *sdk.Task, p place, in Create) (m *machine, built bool, err error) {
	info, err := v.await(ctx, t, varCreate, func() (*object.Task, error) {
		spec, pool, err := v.spec(ctx, t, p, in)
		if err != nil {
			return nil, err
		}
		t.Logf("building %s: %d CPU, %d MB memory, %d GB disk, network %s", in.Name, in.CPU, in.MemoryMB, in.DiskGB, in.Network)
		built = true
		return p.folder.CreateVM(ctx, spec, pool, nil)
	})
	if isFault[*types.DuplicateName](err) {
		m, err = v.emerge(ctx, t, p, in)
		return m, false, err
	}
	if err != nil {
		return nil, false, err
	}
	ref, ok := info.Result.(types.ManagedObjectReference)
	if !ok {
		return nil, false, fmt.Errorf("the vCenter did not say what it built")
	}
	if m, err = v.machine(ctx, ref); err == nil && m == nil {
		err = sdk.Fail(failFault, "virtual machine %s was built, and is there no more", in.Name).Again()
	}
	return m, built, err
}

// emerge returns the machine that has the name. An earlier attempt may have started to build it without
// living to store that; until it is there, nobody can say whose it is.
func (v *vcenter) emerge(ctx context.Context, t *sdk.Task, p place, in Create) (*machine, error) {
	t.Logf("the name %s is taken; looking whether by an earlier attempt", in.Name)
	for end := time.Now().Add(emerging); ; {
		m, err := v.find(ctx, p, t.Key, in.Name)
		if err != nil {
			return nil, err
		}
		if m != nil && !m.unfinished() {
			return m, nil
		}
		if time.Now().After(end) {
			return nil, sdk.Fail(failExists, "vCenter %s refuses the name %s, but shows no virtual machine of that name", v.host, in.Name).
				WithHint("something else in the folder has it, or the vCenter user may not see it; choose another name")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// spec describes the machine, after everything it names was found.
func (v *vcenter) spec(ctx context.Context, t *sdk.Task, p place, in Create) (spec types.VirtualMachineConfigSpec, pool *object.ResourcePool, err error) {
	var dc mo.Datacenter
	if err := property.DefaultCollector(v.Client).RetrieveOne(ctx, p.dc.Reference(), []string{"network", "datastore"}, &dc); err != nil {
		return spec, nil, err
	}
	networks, err := v.entries(ctx, dc.Network)
	if err != nil {
		return spec, nil, err
	}
	network, err := pick("network", in.Network, networks)
	if err != nil {
		return spec, nil, err
	}
	stores, err := v.entries(ctx, dc.Datastore)
	if err != nil {
		return spec, nil, err
	}
	store, err := pick("datastore", in.Datastore, stores)
	if err != nil {
		return spec, nil, err
	}
	if pool, err = v.pool(ctx, p.dc, in.Cluster, in.Pool); err != nil {
		return spec, nil, err
	}
	devices, err := v.devices(ctx, network.ref, store.ref, in.DiskGB)
	if err != nil {
		return spec, nil, err
	}
	return types.VirtualMachineConfigSpec{
		Name: in.Name, GuestId: cmp.Or(in.Guest, string(types.VirtualMachineGuestOsIdentifierOtherGuest64)), NumCPUs: in.CPU, MemoryMB: in.MemoryMB,
		InstanceUuid: instanceUUID(t.Key), Annotation: notes(t, in.Annotations),
		Files:        &types.VirtualMachineFileInfo{VmPathName: fmt.Sprintf("[%s]", store.name)},
		ExtraConfig:  []types.BaseOptionValue{&types.OptionValue{Key: keyName, Value: t.Key}},
		DeviceChange: devices,
	}, pool, nil
}

// devices returns a disk and a network card.
func (v *vcenter) devices(ctx context.Context, network, store types.ManagedObjectReference, diskGB int64) ([]types.BaseVirtualDeviceConfigSpec, error) {
	var list object.VirtualDeviceList
	scsi, err := list.CreateSCSIController("pvscsi")
	if err != nil {
		return nil, err
	}
	list = append(list, scsi)
	controller, err := list.FindDiskController(list.Name(scsi))
	if err != nil {
		return nil, err
	}
	disk := list.CreateDisk(controller, store, "")
	disk.CapacityInKB = diskGB << 20
	if b, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
		b.ThinProvisioned = types.NewBool(true)
	}
	list = append(list, disk)
	n, ok := object.NewReference(v.Client, network).(object.NetworkReference)
	if !ok {
		return nil, sdk.Fail(failUnknown, "%s is a network that no machine can be connected to", network.Value)
	}
	backing, err := n.EthernetCardBackingInfo(ctx)
	if err != nil {
		return nil, err
	}
	card, err := list.CreateEthernetCard("vmxnet3", backing)
	if err != nil {
		return nil, err
	}
	// Where every machine's PCI controller has its first network card. Said by us because the simulator,
	// left to choose, notes it at a controller that all its machines share, and they race.
	unit := int32(firstCard)
	card.GetVirtualDevice().ControllerKey, card.GetVirtualDevice().UnitNumber = pci, &unit
	return append(list, card).ConfigSpec(types.VirtualDeviceConfigSpecOperationAdd)
}

// notes are what people see at the machine.
func notes(t *sdk.Task, more map[string]string) string {
	lines := []string{"Built by Tutti", "tutti.key: " + t.Key, "tutti.run: " + string(t.Run), "tutti.trace: " + t.Trace}
	if t.Request != "" {
		lines = append(lines, "tutti.request: "+t.Request)
	}
	for _, name := range slices.Sorted(maps.Keys(more)) {
		lines = append(lines, name+": "+more[name])
	}
	return strings.Join(lines, "\n")
}
