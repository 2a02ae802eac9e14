package vspheretask

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"tutti/sdk"
)

// entry is something in the inventory.
type entry struct {
	name string
	ref  types.ManagedObjectReference
}

// list returns what there is of a kind at any depth below root, by name.
func (v *vcenter) list(ctx context.Context, root types.ManagedObjectReference, kinds ...string) ([]entry, error) {
	cv, err := view.NewManager(v.Client).CreateContainerView(ctx, root, kinds, true)
	if err != nil {
		return nil, err
	}
	defer func() { _ = cv.Destroy(context.WithoutCancel(ctx)) }() // it ends with the session at the latest
	var content []types.ObjectContent
	if err := cv.Retrieve(ctx, kinds, []string{"name"}, &content); err != nil {
		return nil, err
	}
	var out []entry
	for _, c := range content {
		for _, p := range c.PropSet {
			if name, ok := p.Val.(string); ok {
				out = append(out, entry{name, c.Obj})
			}
		}
	}
	slices.SortFunc(out, byName)
	return slices.Compact(out), nil
}

// child returns what has a name directly in a folder, where most things are, or else what pick finds
// anywhere below it.
func (v *vcenter) child(ctx context.Context, field, name string, folder types.ManagedObjectReference, kinds ...string) (ref types.ManagedObjectReference, err error) {
	var f mo.Folder
	if err := property.DefaultCollector(v.Client).RetrieveOne(ctx, folder, []string{"childEntity"}, &f); err != nil {
		return ref, err
	}
	direct, err := v.entries(ctx, f.ChildEntity)
	if err != nil {
		return ref, err
	}
	for _, e := range direct {
		if (e.name == name || name == "" && len(direct) == 1) && slices.Contains(kinds, e.ref.Type) {
			return e.ref, nil
		}
	}
	all, err := v.list(ctx, folder, kinds...)
	if err != nil {
		return ref, err
	}
	e, err := pick(field, name, all)
	return e.ref, err
}

// entries returns objects with their names, by name.
func (v *vcenter) entries(ctx context.Context, refs []types.ManagedObjectReference) ([]entry, error) {
	names, err := v.names(ctx, refs)
	if err != nil {
		return nil, err
	}
	out := make([]entry, len(refs))
	for i, ref := range refs {
		out[i] = entry{names[i], ref}
	}
	slices.SortFunc(out, byName)
	return slices.Compact(out), nil
}

func byName(a, b entry) int {
	return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.ref.Value, b.ref.Value))
}

// pick returns the entry of that name, or, where none is given, the only one. field is the input's.
func pick(field, want string, all []entry) (entry, error) {
	var matches []entry
	for _, e := range all {
		if e.name == want || want == "" {
			matches = append(matches, e)
		}
	}
	if len(matches) == 1 {
		return matches[0], nil
	}
	names := make([]string, len(all))
	for i, e := range all {
		names[i] = e.name
	}
	names = slices.Compact(names)
	details := map[string]any{"field": field, "available": names}
	hint := "there is: " + strings.Join(names[:min(len(names), 50)], ", ")
	switch {
	case len(all) == 0:
		return entry{}, sdk.Fail(failUnknown, "there is no %s at all", field).WithDetails(details).WithHint("the vCenter user may lack the right to see it")
	case want == "":
		return entry{}, sdk.Fail(failUnknown, "with.%s is not given, and there are several", field).WithDetails(details).WithHint("%s", hint)
	case len(matches) > 1:
		return entry{}, sdk.Fail(failUnknown, "there are %d with the name %q that with.%s gives", len(matches), want, field).WithDetails(details).
			WithHint("rename all but one, or say where it is with the other fields")
	}
	return entry{}, sdk.Fail(failUnknown, "there is no %s %q", field, want).WithDetails(details).WithHint("%s", hint)
}

// place is where machines are.
type place struct {
	dc     *object.Datacenter
	folder *object.Folder
}

// place resolves datacenter and folder.
func (v *vcenter) place(ctx context.Context, c Connection) (p place, err error) {
	dc, err := v.child(ctx, "datacenter", c.Datacenter, v.ServiceContent.RootFolder, "Datacenter")
	if err != nil {
		return p, err
	}
	p.dc = object.NewDatacenter(v.Client, dc)
	folders, err := p.dc.Folders(ctx)
	if err != nil {
		return p, err
	}
	p.folder = folders.VmFolder
	for part := range strings.SplitSeq(strings.Trim(c.Folder, "/"), "/") {
		if part == "" {
			continue
		}
		children, err := v.subfolders(ctx, p.folder)
		if err != nil {
			return p, err
		}
		e, err := pick("folder", part, children)
		if err != nil {
			return p, err
		}
		p.folder = object.NewFolder(v.Client, e.ref)
	}
	return p, nil
}

// subfolders returns the folders directly in f.
func (v *vcenter) subfolders(ctx context.Context, f *object.Folder) ([]entry, error) {
	var parent mo.Folder
	if err := property.DefaultCollector(v.Client).RetrieveOne(ctx, f.Reference(), []string{"childEntity"}, &parent); err != nil {
		return nil, err
	}
	return v.entries(ctx, slices.DeleteFunc(parent.ChildEntity, func(r types.ManagedObjectReference) bool { return r.Type != "Folder" }))
}

// pool returns the resource pool to build in: that of the cluster or host, or one by name.
func (v *vcenter) pool(ctx context.Context, dc *object.Datacenter, cluster, pool string) (*object.ResourcePool, error) {
	root := dc.Reference()
	if cluster != "" || pool == "" {
		folders, err := dc.Folders(ctx)
		if err != nil {
			return nil, err
		}
		ref, err := v.child(ctx, "cluster", cluster, folders.HostFolder.Reference(), "ComputeResource", "ClusterComputeResource")
		if err != nil {
			return nil, err
		}
		if pool == "" {
			return object.NewComputeResource(v.Client, ref).ResourcePool(ctx)
		}
		root = ref
	}
	all, err := v.list(ctx, root, "ResourcePool")
	if err != nil {
		return nil, err
	}
	e, err := pick("pool", pool, all)
	if err != nil {
		return nil, err
	}
	return object.NewResourcePool(v.Client, e.ref), nil
}

// find returns the machine that the key built, wherever it is now, or the one of the name in p; nil
// where there is neither. Which it is, ours tells.
func (v *vcenter) find(ctx context.Context, p place, key, name string) (*machine, error) {
	index := object.NewSearchIndex(v.Client)
	if key != "" {
		yes := true
		ref, err := index.FindByUuid(ctx, p.dc, instanceUUID(key), true, &yes)
		if err != nil {
			return nil, err
		}
		if ref != nil {
			if m, err := v.machine(ctx, ref.Reference()); err != nil || m != nil && m.key == key {
				return m, err
			}
		}
	}
	if name == "" {
		return nil, nil
	}
	ref, err := index.FindChild(ctx, p.folder, name)
	if err != nil || ref == nil || ref.Reference().Type != "VirtualMachine" {
		return nil, err
	}
	return v.machine(ctx, ref.Reference())
}
