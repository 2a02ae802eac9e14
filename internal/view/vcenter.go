package view

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/vmware/govmomi/session"
	govview "github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/netguard"
)

// maxAnswer bounds one answer of a system, in bytes.
const maxAnswer = 64 << 20

// address reads the URL of a system. Its errors do not show it: it may hold a password.
func address(c connection) (*url.URL, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errs.New(errs.Invalid, "with.url is not of the form https://host")
	case u.User != nil:
		return nil, errs.New(errs.Invalid, "with.url contains a user").WithHint("give it in with.user and with.password")
	case u.Scheme == "http" && !c.insecure:
		return nil, errs.New(errs.Invalid, "with.url is http, over which everybody can read the password").WithHint("use https, or, for a simulator, set with.insecureSkipVerify")
	}
	return u, nil
}

// vcenter reads what a vCenter has.
func vcenter(ctx context.Context, g *netguard.Guard, c connection) (out api.ViewContent, err error) {
	u, err := address(c)
	if err != nil {
		return out, err
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = vim25.Path
	}
	sc := soap.NewClient(u, c.insecure)
	t := sc.DefaultTransport()
	t.Proxy, t.DialContext, t.DialTLSContext = nil, g.DialContext, nil // the library's own dials past the guard
	sc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	sc.UserAgent = "tutti"
	client, err := vim25.NewClient(ctx, sc)
	if err != nil {
		return out, unreachable("connect to the vCenter", u, err)
	}
	defer client.CloseIdleConnections()
	m := session.NewManager(client)
	if err := m.Login(ctx, url.UserPassword(c.User, c.Password)); err != nil {
		return out, unreachable("log in to the vCenter as "+c.User, u, err)
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = m.Logout(last) // the session ends by itself, too
	}()
	in := &inventory{client: client}
	datacenters, err := in.list(ctx, client.ServiceContent.RootFolder, []string{"Datacenter"}, "name")
	for _, dc := range datacenters {
		if err == nil {
			err = in.datacenter(ctx, dc, &out)
		}
	}
	if err != nil {
		return api.ViewContent{}, unreachable("read the vCenter", u, err)
	}
	sortContent(&out)
	return out, nil
}

// unreachable is the error of a system that could not be read.
func unreachable(what string, u *url.URL, err error) error {
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Kind == errs.Denied {
		return e
	}
	if e, ok := errors.AsType[*url.Error](err); ok { // without the address, which may hold a password
		err = e.Err
	}
	return errs.New(errs.Unavailable, "%s at %s: %v", what, u.Host, err).WithHint("check the address, and the secrets for user and password")
}

func sortContent(c *api.ViewContent) {
	slices.SortFunc(c.Networks, func(a, b api.ViewNetwork) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Datacenter, b.Datacenter), cmp.Compare(a.Tenant+a.Application, b.Tenant+b.Application))
	})
	slices.SortFunc(c.Clusters, func(a, b api.ViewCluster) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Datacenter, b.Datacenter))
	})
	slices.SortFunc(c.Storage, func(a, b api.ViewStorage) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Datacenter, b.Datacenter))
	})
}

// inventory reads lists of a vCenter.
type inventory struct{ client *vim25.Client }

// thing is an object with the properties that were asked for.
type thing struct {
	ref   types.ManagedObjectReference
	props map[string]any
}

func (t thing) name() string { s, _ := t.props["name"].(string); return s }

// refs are the objects that a property refers to.
func (t thing) refs(name string) []types.ManagedObjectReference {
	v, _ := t.props[name].(types.ArrayOfManagedObjectReference)
	return v.ManagedObjectReference
}

// list returns what there is of some kinds at any depth below root.
func (in *inventory) list(ctx context.Context, root types.ManagedObjectReference, kinds []string, props ...string) (out []thing, err error) {
	cv, err := govview.NewManager(in.client).CreateContainerView(ctx, root, kinds, true)
	if err != nil {
		return nil, err
	}
	defer func() { _ = cv.Destroy(context.WithoutCancel(ctx)) }() // it ends with the session at the latest
	var content []types.ObjectContent
	if err := cv.Retrieve(ctx, kinds, props, &content); err != nil {
		return nil, err
	}
	for _, c := range content {
		t := thing{c.Obj, map[string]any{}}
		for _, p := range c.PropSet {
			t.props[p.Name] = p.Val
		}
		out = append(out, t)
	}
	return out, nil
}

// datacenter adds what a datacenter has.
func (in *inventory) datacenter(ctx context.Context, dc thing, out *api.ViewContent) error {
	clusters, err := in.list(ctx, dc.ref, []string{"ClusterComputeResource"}, "name", "summary", "network", "datastore")
	if err != nil {
		return err
	}
	reach := map[types.ManagedObjectReference][]string{} // the clusters that reach a network or a datastore
	for _, c := range clusters {
		v := api.ViewCluster{Name: c.name(), Datacenter: dc.name()}
		if sum := summaryOf(c.props["summary"]); sum != nil {
			v.Hosts, v.Cores, v.MemoryMB = int(sum.NumHosts), int(sum.NumCpuCores), sum.TotalMemory>>20
		}
		out.Clusters = append(out.Clusters, v)
		for _, ref := range append(c.refs("network"), c.refs("datastore")...) {
			reach[ref] = append(reach[ref], c.name())
		}
	}
	stores, err := in.list(ctx, dc.ref, []string{"Datastore"}, "name", "summary")
	if err != nil {
		return err
	}
	for _, s := range stores {
		v := api.ViewStorage{Name: s.name(), Datacenter: dc.name(), Clusters: sorted(reach[s.ref])}
		if sum, ok := s.props["summary"].(types.DatastoreSummary); ok {
			v.CapacityGB, v.FreeGB = sum.Capacity>>30, sum.FreeSpace>>30
		}
		out.Storage = append(out.Storage, v)
	}
	nets, err := in.list(ctx, dc.ref, []string{"Network"}, "name", "tag")
	if err != nil {
		return err
	}
	for _, n := range nets {
		if uplink(n) {
			continue
		}
		out.Networks = append(out.Networks, api.ViewNetwork{Name: n.name(), Datacenter: dc.name(), Clusters: sorted(reach[n.ref])})
	}
	return nil
}

// uplinkTag is what vCenter marks the port groups with that connect a distributed switch to the hosts' own
// network cards: no machine can be in one.
const uplinkTag = "SYSTEM/DVS.UPLINKPG"

func uplink(n thing) bool {
	tags, _ := n.props["tag"].(types.ArrayOfTag)
	return slices.ContainsFunc(tags.Tag, func(t types.Tag) bool { return t.Key == uplinkTag })
}

// summaryOf reads the property summary of a cluster, which comes as a value or as a pointer.
func summaryOf(v any) *types.ComputeResourceSummary {
	if s, ok := v.(types.ClusterComputeResourceSummary); ok {
		return s.GetComputeResourceSummary()
	}
	if s, ok := v.(types.BaseComputeResourceSummary); ok {
		return s.GetComputeResourceSummary()
	}
	return nil
}

func sorted(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return slices.Compact(out)
}
