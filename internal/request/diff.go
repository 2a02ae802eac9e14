package request

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"tutti/api"
	"tutti/errs"
)

// diff says what a request asks for differently than another.
func (s *Service) diff(ctx context.Context, in api.DiffRequestsIn) (out api.RequestDiff, err error) {
	to, err := lookUp(ctx, s.d.DB, in.Namespace, in.ID)
	if err != nil {
		return out, err
	}
	var from row
	switch {
	case in.With != "":
		from, err = lookUp(ctx, s.d.DB, in.Namespace, in.With)
	case to.Of != "":
		from, err = load(ctx, s.d.DB, in.Namespace, to.Of)
	default:
		from, err = one(reading(ctx, s.d.DB), "an earlier one", `namespace = ? AND type = ? AND name = ? AND (created, id) < (SELECT created, id FROM request_requests WHERE namespace = ? AND id = ?)
			ORDER BY created DESC, id DESC LIMIT 1`, in.Namespace, to.Type, to.Name, in.Namespace, to.ID)
		if errs.Is(err, errs.NotFound) {
			to.Params, to.Spec, to.Outputs = nil, nil, nil
			return api.RequestDiff{To: to.Request, Params: []api.FieldChange{}, Spec: []api.FieldChange{}}, nil
		}
	}
	if err != nil {
		return out, err
	}
	if out.Params, err = compare(from.Params, to.Params); err != nil {
		return out, fmt.Errorf("params of %s and %s: %w", from.ID, to.ID, err)
	}
	if out.Spec, err = compare(from.Spec, to.Spec); err != nil {
		return out, fmt.Errorf("spec of %s and %s: %w", from.ID, to.ID, err)
	}
	out.From, out.To = &from.Request, to.Request
	for _, r := range []*api.Request{out.From, &out.To} {
		r.Params, r.Spec, r.Outputs = nil, nil, nil
	}
	return out, nil
}

// compare returns the places at which two JSON values differ, in order.
func compare(before, after json.RawMessage) (out []api.FieldChange, err error) {
	a, err := value(before)
	if err != nil {
		return nil, err
	}
	b, err := value(after)
	if err != nil {
		return nil, err
	}
	out = []api.FieldChange{}
	walk("", a, b, a != nil, b != nil, &out)
	return out, nil
}

func value(raw json.RawMessage) (v any, err error) {
	if len(raw) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// walk compares two values of which either may not be there. What both have as an object, or as a list, is
// compared inside.
func walk(at string, a, b any, inA, inB bool, out *[]api.FieldChange) {
	am, aMap := a.(map[string]any)
	bm, bMap := b.(map[string]any)
	if (aMap || !inA) && (bMap || !inB) && (aMap || bMap) && (at == "" || aMap && bMap) {
		keys := maps.Clone(am)
		if keys == nil {
			keys = map[string]any{}
		}
		maps.Copy(keys, bm)
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			av, hasA := am[k]
			bv, hasB := bm[k]
			place := k
			if at != "" {
				place = at + "." + k
			}
			walk(place, av, bv, hasA, hasB, out)
		}
		return
	}
	al, aList := a.([]any)
	bl, bList := b.([]any)
	if aList && bList {
		for i := range max(len(al), len(bl)) {
			var av, bv any
			if i < len(al) {
				av = al[i]
			}
			if i < len(bl) {
				bv = bl[i]
			}
			walk(at+"["+strconv.Itoa(i)+"]", av, bv, i < len(al), i < len(bl), out)
		}
		return
	}
	c := api.FieldChange{Path: at, Before: written(a, inA), After: written(b, inB)}
	if !bytes.Equal(c.Before, c.After) {
		*out = append(*out, c)
	}
}

// written is a value as JSON; nil where it is not there.
func written(v any, there bool) json.RawMessage {
	if !there {
		return nil
	}
	b, _ := json.Marshal(v) // it was JSON
	return b
}
