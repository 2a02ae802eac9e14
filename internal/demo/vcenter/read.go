package vcenter

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// Machine is a virtual machine as the vCenter describes it.
type Machine struct {
	ID, Name, UUID           string
	CPU                      int
	MemoryMB                 int
	DiskGB                   []int
	Networks                 []string
	Cluster, Host, Datastore string
	Power, Guest, Note       string
}

// Machines returns all machines by name, read through the vCenter's own API.
func (v *VCenter) Machines(ctx context.Context) (all []Machine, err error) {
	err = v.visit(ctx, func(c *govmomi.Client) error {
		all, err = machines(ctx, c)
		return err
	})
	return all, err
}

// visit logs in, calls f and logs out.
func (v *VCenter) visit(ctx context.Context, f func(*govmomi.Client) error) error {
	u, err := url.Parse(v.URL)
	if err != nil {
		return err
	}
	u.User = url.UserPassword(User, v.Password)
	c, err := govmomi.NewClient(ctx, u, false)
	if err != nil {
		return fmt.Errorf("log in to the vCenter: %w", err)
	}
	defer func() { _ = c.Logout(context.WithoutCancel(ctx)) }() // the session is of no use to anybody
	return f(c)
}

func machines(ctx context.Context, c *govmomi.Client) ([]Machine, error) {
	all, err := view.NewManager(c.Client).CreateContainerView(ctx, c.ServiceContent.RootFolder, []string{"VirtualMachine"}, true)
	if err != nil {
		return nil, fmt.Errorf("list the machines: %w", err)
	}
	defer func() { _ = all.Destroy(context.WithoutCancel(ctx)) }() // it ends with the session anyway
	var found []mo.VirtualMachine
	if err := all.Retrieve(ctx, []string{"VirtualMachine"}, []string{"name", "config", "runtime", "network", "datastore"}, &found); err != nil {
		return nil, fmt.Errorf("read the machines: %w", err)
	}
	named := naming{property.DefaultCollector(c.Client), map[types.ManagedObjectReference]string{}}
	var out []Machine
	for _, vm := range found {
		m, err := named.machine(ctx, vm)
		if err != nil {
			return nil, fmt.Errorf("read machine %s: %w", vm.Name, err)
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Machine) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// naming finds the names of things.
type naming struct {
	*property.Collector
	known map[types.ManagedObjectReference]string
}

func (n naming) name(ctx context.Context, ref types.ManagedObjectReference) (string, error) {
	if name, ok := n.known[ref]; ok {
		return name, nil
	}
	var e mo.ManagedEntity
	if err := n.RetrieveOne(ctx, ref, []string{"name"}, &e); err != nil {
		return "", err
	}
	n.known[ref] = e.Name
	return e.Name, nil
}

func (n naming) machine(ctx context.Context, vm mo.VirtualMachine) (m Machine, err error) {
	m = Machine{ID: vm.Self.Value, Name: vm.Name, Power: string(vm.Runtime.PowerState)}
	if c := vm.Config; c != nil {
		m.UUID, m.CPU, m.MemoryMB, m.Guest, m.Note = c.InstanceUuid, int(c.Hardware.NumCPU), int(c.Hardware.MemoryMB), c.GuestId, c.Annotation
		for _, d := range c.Hardware.Device {
			if disk, ok := d.(*types.VirtualDisk); ok {
				m.DiskGB = append(m.DiskGB, int(disk.CapacityInKB>>20))
			}
		}
	}
	for _, ref := range vm.Network {
		name, err := n.name(ctx, ref)
		if err != nil {
			return m, err
		}
		m.Networks = append(m.Networks, name)
	}
	for _, ref := range vm.Datastore {
		if m.Datastore, err = n.name(ctx, ref); err != nil {
			return m, err
		}
	}
	if vm.Runtime.Host == nil {
		return m, nil
	}
	var host mo.HostSystem
	if err := n.RetrieveOne(ctx, *vm.Runtime.Host, []string{"name", "parent"}, &host); err != nil {
		return m, err
	}
	m.Host = host.Name
	if host.Parent != nil {
		m.Cluster, err = n.name(ctx, *host.Parent)
	}
	return m, err
}
