package view

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/store"
)

// list returns the views of a namespace by name.
func (s *Service) list(ctx context.Context, in api.ListViewsIn) (out api.Page[api.View], err error) {
	page, err := api.ListDefinitions.Call(s.asService(ctx), s.d.Bus, api.ListDefinitionsIn{NS: in.NS, Kind: api.KindView, Paging: api.Paging{Limit: 1000}})
	if err != nil {
		return out, err
	}
	out.Items = []api.View{}
	for _, d := range page.Items {
		v, err := s.get(ctx, api.ViewIn{NS: in.NS, Name: d.Name})
		if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Invalid) {
			continue
		}
		if err != nil {
			return out, err
		}
		v.Content = nil
		out.Items = append(out.Items, v)
	}
	return out, nil
}

// get returns what is known of a system.
func (s *Service) get(ctx context.Context, in api.ViewIn) (api.View, error) {
	v, err := s.view(ctx, in)
	if err != nil {
		return api.View{}, err
	}
	return s.known(ctx, in, v)
}

func (s *Service) known(ctx context.Context, in api.ViewIn, v *view) (api.View, error) {
	k, err := load(ctx, s.d.DB, in)
	out := api.View{Name: v.name, Title: v.title, System: v.system, Refresh: api.Duration(v.refresh), At: k.at, Tried: k.tried, Failure: k.failure, Age: ageOf(k.at)}
	if !k.at.IsZero() {
		out.Content = &k.content
		out.Networks, out.Clusters, out.Storage = len(k.content.Networks), len(k.content.Clusters), len(k.content.Storage)
	}
	return out, err
}

// ageOf is how long ago something was, in whole seconds.
func ageOf(at time.Time) api.Duration {
	if at.IsZero() {
		return 0
	}
	return api.Duration(max(time.Since(at), 0).Truncate(time.Second))
}

// refresh reads a system now.
func (s *Service) refresh(ctx context.Context, in api.ViewIn) (api.View, error) {
	v, err := s.read(ctx, in)
	if err != nil {
		return api.View{}, err
	}
	return s.known(ctx, in, v)
}

// matrix returns all pairs of a cluster and storage of its datacenter, and what was decided.
func (s *Service) matrix(ctx context.Context, in api.ViewIn) (api.Matrix, error) {
	v, err := s.view(ctx, in)
	if err != nil {
		return api.Matrix{}, err
	}
	k, err := load(ctx, s.d.DB, in)
	if err != nil {
		return api.Matrix{}, err
	}
	decided, err := cells(ctx, s.d.DB, in)
	out := api.Matrix{View: in.Name, At: k.at, Age: ageOf(k.at), Default: "deny", Cells: matrixOf(k.content, decided, v.permit)}
	if v.permit {
		out.Default = "permit"
	}
	return out, err
}

// place names a cell.
type place struct{ datacenter, cluster, storage string }

func placeOf(c api.Cell) place { return place{c.Datacenter, c.Cluster, c.Storage} }

// matrixOf joins what is there with what was decided; a decision about what is gone is kept and shown.
func matrixOf(c api.ViewContent, decided []api.Cell, permit bool) []api.Cell {
	all := map[place]api.Cell{}
	for _, cluster := range c.Clusters {
		for _, storage := range c.Storage {
			if storage.Datacenter != cluster.Datacenter {
				continue
			}
			cell := api.Cell{Datacenter: cluster.Datacenter, Cluster: cluster.Name, Storage: storage.Name, Permitted: permit, Reachable: slices.Contains(storage.Clusters, cluster.Name)}
			all[placeOf(cell)] = cell
		}
	}
	for _, d := range decided {
		d.Reachable = all[placeOf(d)].Reachable
		all[placeOf(d)] = d
	}
	return slices.SortedFunc(maps.Values(all), func(a, b api.Cell) int {
		return strings.Compare(a.Datacenter+"\x00"+a.Cluster+"\x00"+a.Storage, b.Datacenter+"\x00"+b.Cluster+"\x00"+b.Storage)
	})
}

// optionsOf is what may be ordered: permitted, and there.
func optionsOf(c api.ViewContent, matrix []api.Cell) (out []api.Place) {
	out = []api.Place{}
	for _, cell := range matrix {
		if !cell.Permitted || !cell.Reachable {
			continue
		}
		p := api.Place{Datacenter: cell.Datacenter, Cluster: cell.Cluster, Storage: cell.Storage, Networks: []string{}}
		for _, st := range c.Storage {
			if st.Name == cell.Storage && st.Datacenter == cell.Datacenter {
				p.FreeGB = st.FreeGB
			}
		}
		for _, n := range c.Networks {
			if n.Datacenter == cell.Datacenter && slices.Contains(n.Clusters, cell.Cluster) {
				p.Networks = append(p.Networks, n.Name)
			}
		}
		out = append(out, p)
	}
	return out
}

// offer returns what may be ordered.
func (s *Service) offer(ctx context.Context, in api.ViewIn) (api.Offer, error) {
	v, err := s.view(ctx, in)
	if err != nil {
		return api.Offer{}, err
	}
	k, err := load(ctx, s.d.DB, in)
	if err != nil {
		return api.Offer{}, err
	}
	decided, err := cells(ctx, s.d.DB, in)
	networks := k.content.Networks
	if networks == nil {
		networks = []api.ViewNetwork{}
	}
	return api.Offer{At: k.at, Age: ageOf(k.at), Networks: networks, Places: optionsOf(k.content, matrixOf(k.content, decided, v.permit))}, err
}

// permit stores decisions about cells.
func (s *Service) permit(ctx context.Context, in api.PermitIn) (api.Matrix, error) {
	at := api.ViewIn{NS: in.NS, Name: in.Name}
	before, err := s.matrix(ctx, at)
	if err != nil {
		return api.Matrix{}, err
	}
	known := map[place]bool{}
	var names []string
	for _, c := range before.Cells {
		known[placeOf(c)] = true
		names = append(names, c.Cluster+" with "+c.Storage)
	}
	var problems []errs.Problem
	now := time.Now().UTC()
	decided := make([]api.Cell, len(in.Body.Cells))
	for i, c := range in.Body.Cells {
		decided[i] = api.Cell{Datacenter: c.Datacenter, Cluster: c.Cluster, Storage: c.Storage, Permitted: c.Permitted, By: bus.Subject(ctx), At: now}
		if c.Datacenter == "" { // where there is but one of the names
			decided[i].Datacenter = onlyIn(before.Cells, c)
		}
		if !known[placeOf(decided[i])] {
			p := errs.Problem{Location: "body.cells[" + itoa(i) + "]", Message: "view " + in.Name + " has no cluster " + c.Cluster + " with storage " + c.Storage, Hint: "tutti view matrix " + in.Name + " shows the pairs there are"}
			if near := document.Nearest(c.Cluster+" with "+c.Storage, names); near != "" {
				p.Hint = "did you mean " + near + "?"
			}
			problems = append(problems, p)
		}
	}
	if len(problems) > 0 {
		return api.Matrix{}, errs.New(errs.Invalid, "the matrix stays as it was").WithProblems(problems[:min(len(problems), 100)]...)
	}
	err = s.d.DB.Tx(ctx, func(tx *store.Tx) error {
		for _, c := range decided {
			if err := putCell(tx, at, c); err != nil {
				return err
			}
		}
		return tx.Audit(store.Act{Namespace: in.Namespace, Action: api.PermitCells.Name, Object: in.Name, Detail: map[string]any{"cells": in.Body.Cells[:min(len(in.Body.Cells), 100)], "count": len(decided)}})
	})
	if err != nil {
		return api.Matrix{}, err
	}
	return s.matrix(ctx, at)
}

// onlyIn returns the datacenter of the only cell with a cluster and storage, or "".
func onlyIn(all []api.Cell, c api.PermitCell) string {
	found, n := "", 0
	for _, x := range all {
		if x.Cluster == c.Cluster && x.Storage == c.Storage {
			found, n = x.Datacenter, n+1
		}
	}
	if n != 1 {
		return ""
	}
	return found
}
