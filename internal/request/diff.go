package request

import (
	"context"
	"fmt"

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
	if out.Params, err = api.Compare(from.Params, to.Params, 0); err != nil {
		return out, fmt.Errorf("params of %s and %s: %w", from.ID, to.ID, err)
	}
	if out.Spec, err = api.Compare(from.Spec, to.Spec, 0); err != nil {
		return out, fmt.Errorf("spec of %s and %s: %w", from.ID, to.ID, err)
	}
	out.From, out.To = &from.Request, to.Request
	for _, r := range []*api.Request{out.From, &out.To} {
		r.Params, r.Spec, r.Outputs = nil, nil, nil
	}
	return out, nil
}
