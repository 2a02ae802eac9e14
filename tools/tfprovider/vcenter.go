package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	vim "github.com/vmware/govmomi/vim25/types"
)

// keyName is the extra setting of a machine that says whose it is.
const keyName = "terraform.key"

type vcenter struct{ *govmomi.Client }

// place is where a machine goes.
type place struct {
	folder  *object.Folder
	pool    *object.ResourcePool
	store   *object.Datastore
	network object.NetworkReference
}

func (v *vcenter) place(ctx context.Context, m model) (p place, err error) {
	f := find.NewFinder(v.Client.Client)
	dc, err := f.Datacenter(ctx, m.Datacenter.ValueString())
	if err != nil {
		return p, err
	}
	f.SetDatacenter(dc)
	folders, err := dc.Folders(ctx)
	if err != nil {
		return p, err
	}
	p.folder = folders.VmFolder
	cluster, err := f.ClusterComputeResource(ctx, m.Cluster.ValueString())
	if err != nil {
		return p, err
	}
	if p.pool, err = cluster.ResourcePool(ctx); err != nil {
		return p, err
	}
	if p.store, err = f.Datastore(ctx, m.Datastore.ValueString()); err != nil {
		return p, err
	}
	p.network, err = f.Network(ctx, m.Network.ValueString())
	return p, err
}

// create makes the machine and turns it on, or takes over the one a broken-off apply left.
func (v *vcenter) create(ctx context.Context, m model) (model, error) {
	p, err := v.place(ctx, m)
	if err != nil {
		return m, err
	}
	spec, err := v.spec(ctx, p, m)
	if err != nil {
		return m, err
	}
	task, err := p.folder.CreateVM(ctx, spec, p.pool, nil)
	if err != nil {
		return m, err
	}
	info, err := task.WaitForResult(ctx)
	var ref vim.ManagedObjectReference
	if fault.Is(err, &vim.DuplicateName{}) {
		if ref, err = v.mine(ctx, p.folder, m); err != nil {
			return m, err
		}
	} else if err != nil {
		return m, err
	} else {
		var ok bool
		if ref, ok = info.Result.(vim.ManagedObjectReference); !ok {
			return m, fmt.Errorf("the vCenter did not say what it made")
		}
	}
	m.ID = types.StringValue(ref.Value)
	m.Power, m.Host = types.StringValue("unknown"), types.StringValue("")
	if err := v.turnOn(ctx, ref); err != nil {
		return m, err
	}
	have, found, err := v.read(ctx, m)
	if err == nil && !found {
		err = fmt.Errorf("it was made, and is there no more")
	}
	if err != nil {
		return m, err
	}
	return have, nil
}

func (v *vcenter) turnOn(ctx context.Context, ref vim.ManagedObjectReference) error {
	task, err := object.NewVirtualMachine(v.Client.Client, ref).PowerOn(ctx)
	if err == nil {
		err = task.Wait(ctx)
	}
	if fault.Is(err, &vim.InvalidPowerState{}) { // it is on already
		return nil
	}
	return err
}

// mine returns the machine that has the name, if it has the key too.
func (v *vcenter) mine(ctx context.Context, folder *object.Folder, m model) (ref vim.ManagedObjectReference, err error) {
	taken := fmt.Errorf("there is a machine %q already, which is not of this configuration", m.Name.ValueString())
	found, err := object.NewSearchIndex(v.Client.Client).FindChild(ctx, folder, m.Name.ValueString())
	if err != nil {
		return ref, err
	}
	if found == nil {
		return ref, taken
	}
	var vm mo.VirtualMachine
	if err := v.RetrieveOne(ctx, found.Reference(), []string{"config.extraConfig"}, &vm); err != nil {
		return ref, err
	}
	if key := m.Key.ValueString(); key == "" || vm.Config == nil || keyOf(vm.Config.ExtraConfig) != key {
		return ref, taken
	}
	return found.Reference(), nil
}

func keyOf(extra []vim.BaseOptionValue) string {
	for _, o := range extra {
		if o := o.GetOptionValue(); o.Key == keyName {
			s, _ := o.Value.(string)
			return s
		}
	}
	return ""
}

func (v *vcenter) spec(ctx context.Context, p place, m model) (vim.VirtualMachineConfigSpec, error) {
	spec := vim.VirtualMachineConfigSpec{
		Name: m.Name.ValueString(), GuestId: m.Guest.ValueString(), NumCPUs: int32(m.CPU.ValueInt64()), MemoryMB: m.MemoryMB.ValueInt64(),
		Files:      &vim.VirtualMachineFileInfo{VmPathName: fmt.Sprintf("[%s]", p.store.Name())},
		Annotation: "Made by Terraform",
	}
	if key := m.Key.ValueString(); key != "" {
		spec.ExtraConfig = []vim.BaseOptionValue{&vim.OptionValue{Key: keyName, Value: key}}
	}
	var list object.VirtualDeviceList
	scsi, err := list.CreateSCSIController("pvscsi")
	if err != nil {
		return spec, err
	}
	list = append(list, scsi)
	controller, err := list.FindDiskController(list.Name(scsi))
	if err != nil {
		return spec, err
	}
	disk := list.CreateDisk(controller, p.store.Reference(), "")
	disk.CapacityInKB = m.DiskGB.ValueInt64() << 20
	list = append(list, disk)
	backing, err := p.network.EthernetCardBackingInfo(ctx)
	if err != nil {
		return spec, err
	}
	card, err := list.CreateEthernetCard("vmxnet3", backing)
	if err != nil {
		return spec, err
	}
	// Where every machine has its first card; the simulator, left to choose, keeps books that all machines share.
	unit := int32(7)
	card.GetVirtualDevice().ControllerKey, card.GetVirtualDevice().UnitNumber = 100, &unit
	spec.DeviceChange, err = append(list, card).ConfigSpec(vim.VirtualDeviceConfigSpecOperationAdd)
	return spec, err
}

// read returns the machine as it is. What was imported has an ID and nothing else.
func (v *vcenter) read(ctx context.Context, was model) (m model, found bool, err error) {
	m = was
	ref := vim.ManagedObjectReference{Type: "VirtualMachine", Value: was.ID.ValueString()}
	var vm mo.VirtualMachine
	err = v.RetrieveOne(ctx, ref, []string{"name", "config", "runtime", "network", "datastore"}, &vm)
	if fault.Is(err, &vim.ManagedObjectNotFound{}) {
		return m, false, nil
	}
	if err != nil || vm.Config == nil {
		return m, false, err
	}
	m.Name, m.CPU, m.MemoryMB = types.StringValue(vm.Name), types.Int64Value(int64(vm.Config.Hardware.NumCPU)), types.Int64Value(int64(vm.Config.Hardware.MemoryMB))
	m.Guest, m.Power = types.StringValue(vm.Config.GuestId), types.StringValue(strings.TrimPrefix(string(vm.Runtime.PowerState), "powered"))
	if key := keyOf(vm.Config.ExtraConfig); key != "" {
		m.Key = types.StringValue(key)
	}
	for _, d := range object.VirtualDeviceList(vm.Config.Hardware.Device).SelectByType((*vim.VirtualDisk)(nil)) {
		if d, ok := d.(*vim.VirtualDisk); ok {
			m.DiskGB = types.Int64Value(d.CapacityInKB >> 20)
		}
	}
	err = v.names(ctx, &m, vm)
	return m, err == nil, err
}

// names fills in what a machine refers to.
func (v *vcenter) names(ctx context.Context, m *model, vm mo.VirtualMachine) error {
	name := func(ref *vim.ManagedObjectReference) (string, error) {
		if ref == nil {
			return "", nil
		}
		var e mo.ManagedEntity
		err := v.RetrieveOne(ctx, *ref, []string{"name"}, &e)
		return e.Name, err
	}
	host, err := name(vm.Runtime.Host)
	if err != nil {
		return err
	}
	m.Host = types.StringValue(host)
	if len(vm.Network) > 0 {
		var n mo.Network // has a name of its own, which hides that of an entity
		if err := v.RetrieveOne(ctx, vm.Network[0], []string{"name"}, &n); err != nil {
			return err
		}
		m.Network = types.StringValue(n.Name)
	}
	if len(vm.Datastore) > 0 {
		n, err := name(&vm.Datastore[0])
		if err != nil {
			return err
		}
		m.Datastore = types.StringValue(n)
	}
	if vm.Runtime.Host == nil || !m.Cluster.IsNull() && !m.Datacenter.IsNull() {
		return nil
	}
	above, err := mo.Ancestors(ctx, v.Client.Client, v.ServiceContent.PropertyCollector, *vm.Runtime.Host)
	for _, e := range above {
		switch e.Self.Type {
		case "Datacenter":
			m.Datacenter = types.StringValue(e.Name)
		case "ClusterComputeResource":
			m.Cluster = types.StringValue(e.Name)
		}
	}
	return err
}

// update changes name, processors and memory.
func (v *vcenter) update(ctx context.Context, was, want model) (model, error) {
	ref := vim.ManagedObjectReference{Type: "VirtualMachine", Value: was.ID.ValueString()}
	task, err := object.NewVirtualMachine(v.Client.Client, ref).Reconfigure(ctx, vim.VirtualMachineConfigSpec{
		Name: want.Name.ValueString(), NumCPUs: int32(want.CPU.ValueInt64()), MemoryMB: want.MemoryMB.ValueInt64(),
	})
	if err == nil {
		err = task.Wait(ctx)
	}
	if err != nil {
		return want, err
	}
	want.ID = was.ID
	have, found, err := v.read(ctx, want)
	if err == nil && !found {
		err = fmt.Errorf("it is there no more")
	}
	return have, err
}

func (v *vcenter) destroy(ctx context.Context, id string) error {
	vm := object.NewVirtualMachine(v.Client.Client, vim.ManagedObjectReference{Type: "VirtualMachine", Value: id})
	task, err := vm.PowerOff(ctx)
	if err == nil {
		err = task.Wait(ctx)
	}
	if err == nil || fault.Is(err, &vim.InvalidPowerState{}) {
		if task, err = vm.Destroy(ctx); err == nil {
			err = task.Wait(ctx)
		}
	}
	if fault.Is(err, &vim.ManagedObjectNotFound{}) {
		return nil
	}
	return err
}

// RetrieveOne reads properties of one object.
func (v *vcenter) RetrieveOne(ctx context.Context, ref vim.ManagedObjectReference, names []string, out any) error {
	return property.DefaultCollector(v.Client.Client).RetrieveOne(ctx, ref, names, out)
}
