package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/workflow/expr"
)

// offers are what may be ordered, by view.
type offers map[string]api.Offer

// offers asks for those that t uses.
func (s *Service) offers(ctx context.Context, ns api.NS, t *resourceType) (offers, error) {
	names := slices.Clone(t.views)
	if t.placement != nil && !slices.Contains(names, t.placement.view) {
		names = append(names, t.placement.view)
	}
	out := offers{}
	for _, name := range names {
		o, err := api.GetOffer.Call(s.asService(ctx), s.d.Bus, api.ViewIn{NS: ns, Name: name})
		if err != nil {
			return nil, fmt.Errorf("what view %s has: %w", name, err)
		}
		out[name] = o
	}
	return out, nil
}

// values are the options as handlers get them.
func (o offers) values() map[string]any {
	out := map[string]any{}
	for name, v := range o {
		out[name] = plainJSON(v)
	}
	return out
}

// placed refuses a resource that would go where its view has nothing, or permits nothing.
func (t *resourceType) placed(spec map[string]any, o offers) error {
	p := t.placement
	if p == nil {
		return nil
	}
	var wrong error
	field := func(name string, from *expr.Template) string {
		if from == nil || wrong != nil {
			return ""
		}
		v, _, err := from.Eval(expr.Env{"spec": spec})
		if err != nil {
			wrong = t.evalError("placement."+name, err)
		}
		return text(v)
	}
	datacenter, cluster, storage, network := field("datacenter", p.datacenter), field("cluster", p.cluster), field("storage", p.storage), field("network", p.network)
	if wrong != nil {
		return wrong
	}
	have := o[p.view]
	if have.At.IsZero() {
		return errs.New(errs.Unavailable, "view %s was not read yet, so that nobody knows where a %s may go", p.view, t.name).WithHint("see why: tutti view show %s", p.view)
	}
	var may []string
	for _, place := range have.Places {
		if place.Cluster == cluster && place.Storage == storage && (datacenter == "" || place.Datacenter == datacenter) {
			if network == "" || slices.Contains(place.Networks, network) {
				return nil
			}
			return refuse(t.name, []errs.Problem{{Location: body, Message: fmt.Sprintf("cluster %s has no network %s", cluster, network), Hint: "it has " + some(place.Networks)}})
		}
		may = append(may, place.Cluster+" with "+place.Storage)
	}
	return refuse(t.name, []errs.Problem{{Location: body, Message: fmt.Sprintf("%s with %s is not permitted in view %s", cluster, storage, p.view), Hint: "permitted: " + some(may)}})
}

// some lists texts, not too many.
func some(all []string) string {
	const most = 10
	switch {
	case len(all) == 0:
		return "nothing"
	case len(all) > most:
		return strings.Join(all[:most], ", ") + fmt.Sprintf(" and %d more", len(all)-most)
	}
	return strings.Join(all, ", ")
}

// plainJSON is a value as JSON has it.
func plainJSON(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return valueOf(b)
}
