package identity

import (
	"cmp"
	"maps"
	"slices"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
)

// maxGrants bounds the grants of one user or token: they travel with every call.
const maxGrants = 100

func grantsOf(vs []api.GrantView) []bus.Grant {
	var gs []bus.Grant
	for _, v := range vs {
		gs = append(gs, bus.Grant{Namespace: v.Namespace, Role: v.Role})
	}
	return gs
}

func viewsOf(gs []bus.Grant) []api.GrantView {
	vs := []api.GrantView{}
	for _, g := range gs {
		vs = append(vs, api.GrantView{Namespace: g.Namespace, Role: g.Role})
	}
	return vs
}

// checkGrants returns grants sorted and each once, or says which of them cannot be given at all.
func checkGrants(gs []api.GrantView, namespaces map[string]bool) ([]api.GrantView, error) {
	if len(gs) > maxGrants {
		return nil, errs.New(errs.Invalid, "%d grants; at most %d are possible", len(gs), maxGrants).WithHint("grant the role in * instead of in every namespace")
	}
	for _, g := range gs {
		if !slices.Contains(api.Roles, g.Role) {
			return nil, errs.New(errs.Invalid, "no role %q", g.Role).WithHint("the roles are %v", api.Roles)
		}
		if g.Namespace != everywhere && !namespaces[g.Namespace] {
			return nil, errs.New(errs.Invalid, "no namespace %q to grant %s in", g.Namespace, g.Role).WithHint("create it first, or use * for every namespace")
		}
	}
	return sorted(gs), nil
}

func sorted(gs []api.GrantView) []api.GrantView {
	out := append([]api.GrantView{}, gs...)
	slices.SortFunc(out, func(a, b api.GrantView) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Role, b.Role))
	})
	return slices.Compact(out)
}

// within reports whether all of what may be done in namespace b may be reached by a grant in a.
func within(b, a string) bool { return a == everywhere || a == b }

// covers returns nil where who holds have may give away want: each permission of each grant must be
// held in the whole of its namespace.
func covers(have []bus.Grant, want []api.GrantView) error {
	for _, w := range want {
		missing := map[string]bool{}
		for _, p := range api.PermissionsOf(w.Role) {
			missing[p] = true
		}
		for _, h := range have {
			if !within(w.Namespace, h.Namespace) {
				continue
			}
			if h.Role == bus.SystemRole {
				clear(missing)
			}
			for _, p := range api.PermissionsOf(h.Role) {
				delete(missing, p)
			}
		}
		if len(missing) > 0 {
			return errs.New(errs.Denied, "you do not hold what %s in %s gives, so you cannot give or take it", w.Role, w.Namespace).
				WithHint("ask somebody who administers %s", place(w.Namespace))
		}
	}
	return nil
}

func place(namespace string) string {
	if namespace == everywhere {
		return "the whole installation"
	}
	return "namespace " + namespace
}

// intersect returns what a token that asks for want may do where its user holds have: of each pair of
// grants that meet, the narrower namespace with the strongest role that neither exceeds.
func intersect(want, have []api.GrantView) []api.GrantView {
	var out []api.GrantView
	for _, w := range want {
		for _, h := range have {
			ns := w.Namespace
			switch {
			case within(w.Namespace, h.Namespace):
			case within(h.Namespace, w.Namespace):
				ns = h.Namespace
			default:
				continue
			}
			if role := weaker(w.Role, h.Role); role != "" {
				out = append(out, api.GrantView{Namespace: ns, Role: role})
			}
		}
	}
	return sorted(out)
}

// weaker returns the strongest role whose permissions both a and b have, or "".
func weaker(a, b string) string {
	pa, pb := set(api.PermissionsOf(a)), set(api.PermissionsOf(b))
	best, most := "", 0
	for _, r := range api.Roles {
		ps := api.PermissionsOf(r)
		if len(ps) > most && !slices.ContainsFunc(ps, func(p string) bool { return !pa[p] || !pb[p] }) {
			best, most = r, len(ps)
		}
	}
	return best
}

func set(ss []string) map[string]bool {
	m := map[string]bool{}
	for _, s := range ss {
		m[s] = true
	}
	return m
}

// administers reports whether grants include admin of everything.
func administers(gs []api.GrantView) bool {
	return slices.Contains(gs, api.GrantView{Namespace: everywhere, Role: api.Admin})
}

// permissions lists what grants allow, by namespace.
func permissions(gs []bus.Grant) map[string][]string {
	by := map[string]map[string]bool{}
	for _, g := range gs {
		if by[g.Namespace] == nil {
			by[g.Namespace] = map[string]bool{}
		}
		maps.Copy(by[g.Namespace], set(api.PermissionsOf(g.Role)))
	}
	out := map[string][]string{}
	for ns, ps := range by {
		out[ns] = slices.Sorted(maps.Keys(ps))
	}
	return out
}
