// Package converge keeps resources as they were ordered: where a resource type says so (converge: every,
// workflow), it starts that workflow for all resources of the type, once for each time it is due. The
// workflow repairs, or merely reports: a playbook over all of them, a Terraform plan of each.
//
// A time is due at each multiple of every since midnight UTC. Times that pass while the server is down, or
// while the run before goes on, are one run, or none: the next one sees the same world. A type without
// resources has no runs.
//
// It owns the table converge_slots, answers nothing and publishes nothing. It calls namespace.list,
// definition.list and .get, resource.list and .get, run.get and run.start.
package converge

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/workflow/expr"
)

// Migrations are those of the table above.
//
//go:embed migrations
var Migrations embed.FS

const (
	// look is how often it is looked for what is due.
	look = 15 * time.Second
	// maxResources bounds what one run is about.
	maxResources = 5000
	pageSize     = 1000
)

// Service is the service.
type Service struct {
	d     service.Deps
	known map[string]rule // by digest of the definition; used by one goroutine
}

var _ service.Service = (*Service)(nil)

// New builds the service.
func New(d service.Deps) (service.Service, error) {
	return &Service{d: d, known: map[string]rule{}}, nil
}

// Run works until ctx ends, then returns nil.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return service.Relay(ctx, s.d, service.Then(api.StartRun, s.started)) })
	g.Go(func() error {
		t := time.NewTicker(look)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case now := <-t.C:
				if err := s.tick(bus.AsService(ctx, s.d.Name), now); err != nil && ctx.Err() == nil && !errs.Is(err, errs.Unavailable) {
					s.d.Log.Error("what is to converge", "err", err)
				}
			}
		}
	})
	return g.Wait()
}

// rule is what a resource type says of converging. It is immutable.
type rule struct {
	every    time.Duration // 0 is never
	workflow string
	inputs   *expr.Template
}

// minEvery is how often it may be due at most.
const minEvery = time.Minute

// parse reads the rule of a resource type. What the type's own check lets pass is sound.
func parse(doc json.RawMessage) (r rule, err error) {
	var v struct {
		Converge *struct {
			Every    api.Duration   `json:"every"`
			Workflow string         `json:"workflow"`
			Inputs   map[string]any `json:"inputs"`
		} `json:"converge"`
	}
	if err := json.Unmarshal(doc, &v); err != nil || v.Converge == nil {
		return r, err
	}
	inputs := any(v.Converge.Inputs)
	if v.Converge.Inputs == nil {
		inputs = map[string]any{"resources": "${{ resources }}"}
	}
	t, wrong := expr.ParseTemplate(inputs)
	if len(wrong) > 0 {
		return r, errs.New(errs.Invalid, "converge.inputs%s: %s", wrong[0].Pointer, wrong[0].Message)
	}
	return rule{every: max(time.Duration(v.Converge.Every), minEvery), workflow: v.Converge.Workflow, inputs: t}, nil
}

// tick starts what is due.
func (s *Service) tick(ctx context.Context, now time.Time) error {
	spaces, err := api.ListNamespaces.Call(ctx, s.d.Bus, api.Nothing{})
	if err != nil {
		return err
	}
	for _, ns := range spaces.Items {
		in := api.ListDefinitionsIn{NS: api.NS{Namespace: ns.Name}, Paging: api.Paging{Limit: pageSize}, Kind: api.KindResourceType}
		for {
			page, err := api.ListDefinitions.Call(ctx, s.d.Bus, in)
			if err != nil {
				return err
			}
			for _, d := range page.Items {
				// One type that cannot be read keeps no other from converging.
				if err := s.converge(ctx, d, now); err != nil && !errs.Is(err, errs.Unavailable) {
					s.d.Log.Error("converge", "namespace", d.Namespace, "type", d.Name, "err", err)
				}
			}
			if in.Cursor = page.Cursor; in.Cursor == "" {
				break
			}
		}
	}
	return nil
}

func (s *Service) rule(ctx context.Context, d api.Definition) (rule, error) {
	if r, ok := s.known[d.Digest]; ok {
		return r, nil
	}
	whole, err := api.GetDefinition.Call(ctx, s.d.Bus, api.GetDefinitionIn{NS: api.NS{Namespace: d.Namespace}, Kind: d.Kind, Name: d.Name})
	if err != nil {
		return rule{}, err
	}
	r, err := parse(whole.Document)
	if err != nil {
		return rule{}, err
	}
	s.known[whole.Digest] = r
	return r, nil
}

// converge starts the run of a type, if it is due.
func (s *Service) converge(ctx context.Context, d api.Definition, now time.Time) error {
	r, err := s.rule(ctx, d)
	if err != nil || r.every == 0 {
		return err
	}
	due := now.UTC().Truncate(r.every)
	had, found, err := read(ctx, s.d.DB, d)
	switch {
	case err != nil:
		return err
	case !found: // the first time is the next one
		return s.d.DB.Tx(ctx, func(tx *store.Tx) error { return remember(tx, d, due) })
	case !had.due.Before(due):
		return nil
	}
	goesOn, err := s.goesOn(ctx, d, had.run)
	if err != nil {
		return err
	}
	in, err := s.start(ctx, d, r, due)
	if err != nil {
		return err
	}
	return s.d.DB.Tx(ctx, func(tx *store.Tx) error {
		first, err := advance(tx, d, had.due, due)
		switch {
		case err != nil || !first:
			return err
		case goesOn:
			s.d.Log.Warn("not converged: the run before goes on", "namespace", d.Namespace, "type", d.Name, "run", had.run)
			return nil
		case in == nil:
			return nil
		}
		return tx.Intend(in.Key, api.StartRun.Name, *in)
	})
}

// goesOn reports whether a run goes on; one that is not there does not.
func (s *Service) goesOn(ctx context.Context, d api.Definition, run api.RunID) (bool, error) {
	if run == "" {
		return false, nil
	}
	r, err := api.GetRun.Call(ctx, s.d.Bus, api.GetRunIn{NS: api.NS{Namespace: d.Namespace}, ID: run})
	if errs.Is(err, errs.NotFound) {
		return false, nil
	}
	return err == nil && !r.State.Ended(), err
}

// start is the call that starts the run; nil where there is nothing to converge.
func (s *Service) start(ctx context.Context, d api.Definition, r rule, due time.Time) (*api.StartRunIn, error) {
	resources, err := s.resources(ctx, d)
	if err != nil || len(resources) == 0 {
		return nil, err
	}
	v, _, err := r.inputs.Eval(expr.Env{"resource": map[string]any{"type": d.Name}, "due": due.Format(time.RFC3339), "resources": resources})
	if err != nil {
		return nil, errs.New(errs.Invalid, "converge.inputs of %s: %w", d.Name, err)
	}
	inputs, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return &api.StartRunIn{NS: api.NS{Namespace: d.Namespace}, Key: fmt.Sprintf("converge/%s/%d", d.Name, due.Unix()), Body: api.StartRunBody{
		Workflow: r.workflow, Inputs: inputs, Requester: d.Publisher, Title: fmt.Sprintf("Converge %d of %.100s", len(resources), d.Name),
	}}, nil
}

// resources are those of a type, by name: name, spec, outputs and source of each, which is null where its type
// keeps no files.
func (s *Service) resources(ctx context.Context, d api.Definition) ([]any, error) {
	in := api.ListResourcesIn{NS: api.NS{Namespace: d.Namespace}, Paging: api.Paging{Limit: pageSize}, Type: d.Name}
	var names []string
	for {
		page, err := api.ListResources.Call(ctx, s.d.Bus, in)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Items {
			names = append(names, r.Name)
		}
		if in.Cursor = page.Cursor; in.Cursor == "" {
			break
		}
		if len(names) > maxResources {
			return nil, errs.New(errs.TooLarge, "there are more than %d resources of type %s", maxResources, d.Name)
		}
	}
	out := make([]any, 0, len(names))
	for _, name := range names {
		r, err := api.GetResource.Call(ctx, s.d.Bus, api.ResourceIn{NS: api.NS{Namespace: d.Namespace}, Type: d.Name, Name: name})
		if errs.Is(err, errs.NotFound) {
			continue // it went meanwhile
		}
		if err != nil {
			return nil, err
		}
		of := map[string]any{"name": name, "spec": plain(r.Spec), "outputs": plain(r.Outputs), "source": nil}
		if f := r.Source; f != nil {
			of["source"] = map[string]any{"repository": f.Repository, "url": f.URL, "commit": f.Commit, "path": f.Path}
		}
		out = append(out, of)
	}
	return out, nil
}

func plain(raw json.RawMessage) (v any) {
	_ = json.Unmarshal(raw, &v) // what is stored is JSON, or nothing
	return v
}

// started notes the run of a time, or why there is none.
func (s *Service) started(_ context.Context, tx *store.Tx, key string, in api.StartRunIn, r api.Run, refused error) error {
	if refused != nil {
		s.d.Log.Error("not converged: the run was refused", "namespace", in.Namespace, "key", key, "err", refused)
		return nil
	}
	return noteRun(tx, in.Namespace, key, r.ID)
}
