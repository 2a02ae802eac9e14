// Package view looks at end systems, read only: which networks, clusters and storage a vCenter or an ACI
// fabric has. What it sees is kept, with its age. An administrator permits or denies each pair of cluster
// and storage; forms and handlers offer what is permitted and there.
//
// It owns the kind View and the tables view_systems and view_cells. It answers check.View, and view.list,
// .get, .refresh, .matrix, .permit and .offer; it follows definition.definition.applied and .deleted,
// and publishes no events. It asks definition.get and .list, and secret.resolve.
//
// A reading that fails leaves what was known before, and says so.
package view

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/netguard"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/workflow/expr"
)

// Migrations are those of the slice's tables.
//
//go:embed migrations
var Migrations embed.FS

//go:embed schemas
var schemaFiles embed.FS

// Schema returns the JSON Schema of the kind View.
func Schema() json.RawMessage {
	b, err := schemaFiles.ReadFile("schemas/view.json")
	if err != nil {
		panic(err) // impossible: it is embedded
	}
	return b
}

const (
	defaultRefresh = 5 * time.Minute
	minRefresh     = 10 * time.Second
	// lookEvery is how often it is looked for views that are due.
	lookEvery = 2 * time.Second
	// readTime bounds one reading of a system.
	readTime = 20 * time.Second
	// afterFailure is when a reading that failed is tried again, where refresh is longer.
	afterFailure = time.Minute
)

// Config are the settings of the slice.
type Config struct {
	// Guard dials; nil refuses special addresses.
	Guard *netguard.Guard
}

// Service answers for views.
type Service struct {
	d service.Deps
	c Config
}

var _ service.Service = (*Service)(nil)

// New returns how to build the service.
func New(c Config) func(service.Deps) (service.Service, error) {
	return func(d service.Deps) (service.Service, error) { return &Service{d, c}, nil }
}

// Run serves until ctx ends, then returns nil.
func (s *Service) Run(ctx context.Context) error {
	if err := s.handle(ctx); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return service.Follow(ctx, s.d, service.On(api.DefinitionApplied, s.applied), service.On(api.DefinitionDeleted, s.deleted))
	})
	g.Go(func() error { return s.watch(ctx) })
	return g.Wait()
}

func (s *Service) handle(ctx context.Context) error {
	b := s.d.Bus
	return errors.Join(
		api.CheckKind(api.KindView).Handle(ctx, b, s.check),
		api.ListViews.Handle(ctx, b, s.list),
		api.GetView.Handle(ctx, b, s.get),
		api.RefreshView.Handle(ctx, b, s.refresh),
		api.GetMatrix.Handle(ctx, b, s.matrix),
		api.PermitCells.Handle(ctx, b, s.permit),
		api.GetOffer.Handle(ctx, b, s.offer),
	)
}

// view is a View ready to be used.
type view struct {
	name, title, system string
	with                *expr.Template
	insecure            bool
	refresh             time.Duration
	permit              bool // where nobody decided
}

// parse reads a View. It is nil where there are problems.
func parse(d *document.Document) (*view, []errs.Problem) {
	schema, err := document.CompileSchema(Schema())
	if err != nil {
		return nil, []errs.Problem{{Location: d.At(""), Message: err.Error()}}
	}
	if problems := d.Validate(schema.Compiled()); len(problems) > 0 {
		return nil, problems
	}
	v, _ := d.Value().(map[string]any)
	out := &view{name: d.Name, title: d.Title, refresh: defaultRefresh, permit: v["default"] == "permit"}
	out.system, _ = v["system"].(string)
	with, _ := v["with"].(map[string]any)
	out.insecure, _ = with["insecureSkipVerify"].(bool)
	var problems []errs.Problem
	if text, ok := v["refresh"].(string); ok {
		if out.refresh, err = api.ParseDuration(text); err != nil || out.refresh < minRefresh {
			problems = append(problems, errs.Problem{Location: d.At("/refresh"), Message: fmt.Sprintf("%q is not a time of %s or more", text, minRefresh), Hint: "systems are busy enough: 5m is the default"})
		}
	}
	t, wrong := expr.ParseTemplate(with)
	for _, e := range wrong {
		problems = append(problems, errs.Problem{Location: d.Inside("/with"+e.Pointer, e.Offset), Message: e.Message, Hint: e.Hint})
	}
	if t != nil {
		for _, x := range t.Exprs() {
			for _, ref := range x.Program.Refs() {
				if ref.Path[0] != "secrets" {
					problems = append(problems, errs.Problem{Location: d.Inside("/with"+x.Pointer, x.Offset+ref.Offset), Message: fmt.Sprintf("there is no %q here", ref.Path[0]), Hint: "a view reads secrets alone: ${{ secrets.NAME }}"})
				}
			}
		}
	}
	out.with = t
	if len(problems) > 0 {
		return nil, problems
	}
	return out, nil
}

// check answers for the kind View.
func (s *Service) check(_ context.Context, in api.CheckIn) (out api.CheckOut, err error) {
	for _, f := range in.Files {
		docs, _ := document.Parse(f.Name, []byte(f.Text))
		for _, d := range docs {
			if d.Kind != api.KindView {
				continue
			}
			_, problems := parse(d)
			out.Problems = append(out.Problems, problems...)
		}
	}
	return out, nil
}

func (s *Service) asService(ctx context.Context) context.Context { return bus.AsService(ctx, s.d.Name) }

// view reads a view that was published.
func (s *Service) view(ctx context.Context, in api.ViewIn) (*view, error) {
	def, err := api.GetDefinition.Call(s.asService(ctx), s.d.Bus, api.GetDefinitionIn{NS: in.NS, Kind: api.KindView, Name: in.Name})
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New(errs.NotFound, "no view %.127q in namespace %s", in.Name, in.Namespace).WithHint("`tutti view list` shows what there is; `tutti apply -f FILE` publishes one")
	}
	if err != nil {
		return nil, err
	}
	d, err := document.FromJSON("View/"+in.Name, def.Document)
	if err != nil {
		return nil, err
	}
	v, problems := parse(d)
	if v == nil {
		return nil, errs.New(errs.Invalid, "view %s is not sound any more", in.Name).WithProblems(problems...)
	}
	return v, nil
}

// applied has a view read soon after it was published.
func (s *Service) applied(_ context.Context, tx *store.Tx, _ bus.Record, d api.Definition) error {
	if d.Kind != api.KindView {
		return nil
	}
	return due(tx, d.Namespace, d.Name)
}

// deleted forgets what a view saw. What was decided stays, for the view may come back.
func (s *Service) deleted(_ context.Context, tx *store.Tx, _ bus.Record, d api.Definition) error {
	if d.Kind != api.KindView {
		return nil
	}
	return tx.Exec(`DELETE FROM view_systems WHERE namespace = ? AND name = ?`, d.Namespace, d.Name)
}

// watch reads the systems that are due, until ctx ends.
func (s *Service) watch(ctx context.Context) error {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		all, err := allDue(ctx, s.d.DB, time.Now())
		for _, in := range all {
			if err == nil && ctx.Err() == nil {
				_, err = s.read(ctx, in)
			}
			if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Invalid) {
				err = s.d.DB.Tx(ctx, func(tx *store.Tx) error {
					return tx.Exec(`DELETE FROM view_systems WHERE namespace = ? AND name = ?`, in.Namespace, in.Name)
				})
			}
		}
		if err != nil && ctx.Err() == nil && !errs.Is(err, errs.Unavailable) {
			s.d.Log.Error("views", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// read looks at a system and stores what it sees, or why it could not see.
func (s *Service) read(ctx context.Context, in api.ViewIn) (*view, error) {
	v, err := s.view(ctx, in)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	// Whoever is asked meanwhile finds it is not due.
	if err := s.d.DB.Tx(ctx, func(tx *store.Tx) error { return postpone(tx, in, now.Add(v.refresh+readTime)) }); err != nil {
		return nil, err
	}
	content, failed := s.look(ctx, in.NS, v)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	next := now.Add(v.refresh)
	if failed != nil {
		next = now.Add(min(v.refresh, afterFailure))
		s.d.Log.Warn("an end system could not be read", "view", in.Name, "namespace", in.Namespace, "err", failed)
	}
	return v, s.d.DB.Tx(ctx, func(tx *store.Tx) error { return seen(tx, in, now, next, content, failed) })
}

// connection is where a system is and who logs in.
type connection struct {
	URL      string `json:"url"`
	User     string `json:"user"`
	Password string `json:"password"`
	insecure bool
}

// look logs in to a system and reads what it has.
func (s *Service) look(ctx context.Context, ns api.NS, v *view) (c api.ViewContent, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	with, uses, err := v.with.Eval(nil)
	if err != nil {
		return c, err
	}
	var names []string
	for _, use := range uses {
		names = append(names, use.Name)
	}
	values := api.ResolvedSecrets{}
	if len(names) > 0 {
		if values, err = api.ResolveSecrets.Call(s.asService(ctx), s.d.Bus, api.ResolveSecretsIn{NS: ns, Names: names}); err != nil {
			return c, err
		}
	}
	if with, err = expr.Fill(with, uses, func(name string) (string, error) { return values.Values[name], nil }); err != nil {
		return c, err
	}
	b, err := json.Marshal(with)
	if err != nil {
		return c, err
	}
	conn := connection{insecure: v.insecure}
	if err := json.Unmarshal(b, &conn); err != nil {
		return c, errs.New(errs.Invalid, "url, user and password are not all text")
	}
	switch v.system {
	case "vcenter":
		c, err = vcenter(ctx, s.c.Guard, conn)
	default:
		c, err = aci(ctx, s.c.Guard, conn)
	}
	if err != nil && ctx.Err() != nil {
		return c, errs.New(errs.Unavailable, "it did not answer within %s", readTime)
	}
	return c, err
}
