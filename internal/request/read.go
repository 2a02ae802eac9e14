package request

import (
	"context"

	"tutti/api"
	"tutti/errs"
)

// get returns a request, after its end or the wait that was asked for.
func (s *Service) get(ctx context.Context, in api.RequestIn) (api.Request, error) {
	r, err := lookUp(ctx, s.d.DB, in.Namespace, in.ID)
	if err != nil {
		return api.Request{}, err
	}
	r, err = s.await(ctx, r, in.Wait)
	return r.Request, err
}

// list returns requests, newest first, without params, spec and outputs, which get has.
func (s *Service) list(ctx context.Context, in api.ListRequestsIn) (api.Page[api.Request], error) {
	rows, next, err := page(ctx, s.d.DB, in)
	out := api.Page[api.Request]{Items: make([]api.Request, 0, len(rows)), Cursor: next}
	for _, r := range rows {
		r.Params, r.Spec, r.Outputs, r.Resources = nil, nil, nil, r.brief()
		out.Items = append(out.Items, r.Request)
	}
	return out, err
}

// find answers for the IDs of requests.
func (s *Service) find(ctx context.Context, in api.FindIn) (api.Page[api.Found], error) {
	out := api.Page[api.Found]{Items: []api.Found{}}
	low, high, ok := idRange(in.Prefix)
	if !ok {
		return out, nil
	}
	rows, err := between(ctx, s.d.DB, in.Namespace, low, high, 50)
	for _, r := range rows {
		out.Items = append(out.Items, api.Found{Kind: "request", ID: r.ID, Title: r.Title, State: r.State})
	}
	return out, err
}

// ambiguous is the error of a prefix that several requests have.
func ambiguous(prefix string, rows []row) error {
	e := errs.New(errs.Conflict, "%q is the beginning of more than one request", prefix).WithHint("give more characters")
	for _, r := range rows {
		e.Problems = append(e.Problems, errs.Problem{Message: r.ID + "  " + r.Title + "  " + string(r.State)})
	}
	return e
}
