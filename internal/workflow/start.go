package workflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/id"
	"tutti/internal/document"
	"tutti/internal/store"
	"tutti/internal/workflow/core"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/definition"
)

// plannedRun is a run that may be created: everything is checked.
type plannedRun struct {
	meta   core.Meta
	graph  *dag.Graph
	docs   map[string]string // canonical documents by digest, of it and of all it may call
	inputs json.RawMessage
	fork   *forked // nil begins at the beginning
}

// start accepts a run.
func (s *Service) start(ctx context.Context, e *engine, in api.StartRunIn) (api.Run, error) {
	c, _ := bus.CallerFrom(ctx)
	if (in.Body.Request != "" || in.Body.Requester != "") && !strings.HasPrefix(c.Subject, "service:") {
		return api.Run{}, errs.New(errs.Invalid, "request and requester are set by Tutti itself").WithHint("leave them out")
	}
	for name, text := range map[string]string{"Idempotency-Key": in.Key, "title": in.Body.Title, "request": in.Body.Request, "requester": in.Body.Requester} {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return api.Run{}, errs.New(errs.Invalid, "%s holds bytes that are not text", name)
		}
	}
	body, err := bodyDigest(in.Body)
	if err != nil {
		return api.Run{}, err
	}
	asked := e.now()
	if in.Key != "" {
		if r, ok, err := s.repeated(ctx, e, in, body); ok || err != nil {
			return r, err
		}
	}
	p, err := s.planned(ctx, e, in, c)
	if err != nil {
		return api.Run{}, err
	}
	var ended <-chan api.Run
	if in.Wait > 0 {
		var forget func()
		ended, forget = e.ends.wait(p.meta.ID)
		defer forget()
	}
	r, err := submit(ctx, e, func(b *batch) (api.Run, error) { return e.accept(b, c, p, in.Key, body, asked) })
	if err != nil || in.Wait <= 0 {
		return r, err
	}
	if r.ID != p.meta.ID { // the key had made another one
		return s.await(ctx, e, r, in.Wait)
	}
	return s.awaitEnd(ctx, e, r, ended, in.Wait)
}

// accept creates a run, or answers with the one that its key made while the call was under way. The
// store was asked for the key at a time.
func (e *engine) accept(b *batch, c bus.Caller, p plannedRun, key, body string, asked time.Time) (api.Run, error) {
	ns := p.meta.Namespace
	if key != "" {
		if e.now().Sub(asked) > keyMemory/2 {
			return api.Run{}, errs.New(errs.Unavailable, "the engine was too busy to accept it; repeat the call with the same key")
		}
		if made, ok := e.key(ns, key); ok {
			if made.body != body {
				return api.Run{}, otherBody(key)
			}
			l, err := e.get(ns, made.run)
			if err != nil {
				return api.Run{}, err
			}
			return l.run.View(), nil
		}
	}
	l, err := e.create(b, p)
	if err != nil {
		return api.Run{}, err
	}
	if key != "" {
		b.keys = append(b.keys, keyRow{ns, key, body, string(p.meta.ID)})
		e.keys[ns+"\x00"+key] = madeKey{p.meta.ID, body}
	}
	a := store.Act{Namespace: ns, Action: "run.start", Object: string(p.meta.ID), Detail: map[string]any{"workflow": p.meta.Workflow, "version": p.meta.Version}}
	if p.fork != nil {
		a.Action, a.Detail = "run.fork", p.fork.detail
	}
	b.acts = append(b.acts, store.ActBy{Caller: c, Trace: p.meta.Trace, Act: a})
	return l.run.View(), nil
}

func bodyDigest(b any) (string, error) {
	raw, err := json.Marshal(b)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

func otherBody(key string) error {
	return errs.New(errs.Conflict, "the idempotency key %q was used for another call", key).WithHint("use a fresh key for a fresh call")
}

// repeated answers a call whose key made a run before.
func (s *Service) repeated(ctx context.Context, e *engine, in api.StartRunIn, body string) (r api.Run, ok bool, err error) {
	made, err := s.keys.Get(ctx, keyID{in.Namespace, in.Key})
	if err != nil || made.run == "" {
		return r, false, err
	}
	if made.body != body {
		return r, false, otherBody(in.Key)
	}
	r, err = s.read(ctx, in.Namespace, made.run)
	if err != nil {
		return r, false, err
	}
	r, err = s.await(ctx, e, r, in.Wait)
	return r, true, err
}

// keyMemory is how long the loop remembers a key at least after it was committed, so that nobody who
// looked for it in the store before makes a second run.
const keyMemory = time.Minute

// key looks for a key among those of the last minutes.
func (e *engine) key(namespace, key string) (madeKey, bool) {
	now := e.now()
	switch {
	case !e.keysStored:
		if e.committed.Load() >= e.keysBatch {
			e.keysStored, e.keysAge = true, now
		}
	case now.Sub(e.keysAge) > keyMemory:
		e.oldKeys, e.keys = e.keys, map[string]madeKey{}
		e.keysBatch, e.keysStored = e.batches, false
	}
	k := namespace + "\x00" + key
	if m, ok := e.keys[k]; ok {
		return m, true
	}
	m, ok := e.oldKeys[k]
	return m, ok
}

// planned finds and checks what is to run.
func (s *Service) planned(ctx context.Context, e *engine, in api.StartRunIn, c bus.Caller) (p plannedRun, err error) {
	p.docs = map[string]string{}
	p.meta = core.Meta{ID: api.RunID(id.New("run")), Namespace: in.Namespace, Title: in.Body.Title, Trace: in.Body.Trace,
		Request: in.Body.Request, Requester: in.Body.Requester, Pins: map[string]core.Pin{}}
	if p.meta.Requester == "" {
		p.meta.Requester = c.Subject
	}
	if p.meta.Trace == "" {
		p.meta.Trace = id.Trace()
	} else if !id.ValidTrace(p.meta.Trace) {
		return p, errs.New(errs.Invalid, "trace %q is not a W3C trace-id", p.meta.Trace).WithHint("give 32 hex digits, or nothing for a fresh one")
	}
	if in.Body.Definition != "" {
		err = s.inline(ctx, e, in, c, &p)
	} else {
		var def api.Definition
		if def, err = s.fetch(ctx, in.Namespace, in.Body.Workflow); errs.Is(err, errs.NotFound) {
			return p, errs.New(errs.NotFound, "no workflow %q in namespace %s", in.Body.Workflow, in.Namespace).WithHint("`tutti workflow list` shows what there is; `tutti apply -f FILE` publishes one")
		}
		if err == nil {
			p.meta.Workflow, p.meta.Version, p.meta.Digest, p.meta.Role = def.Name, def.Version, def.Digest, def.Role
			p.docs[def.Digest] = string(def.Document)
			p.graph, err = e.graphs.compile(def.Document, def.Digest)
		}
	}
	if err != nil {
		return p, err
	}
	if p.meta.Title == "" {
		p.meta.Title = p.graph.Title
	}
	if err := s.pin(ctx, e, &p, p.graph, 0); err != nil {
		return p, err
	}
	check := definition.GivenInputs
	if strings.HasPrefix(c.Subject, "service:") { // what a request gives was checked when its type was published
		check = definition.CheckInputs
	}
	p.inputs, err = check(p.graph, in.Body.Inputs)
	return p, err
}

// inline checks a definition that came with the call; it runs with the caller's own role.
func (s *Service) inline(ctx context.Context, e *engine, in api.StartRunIn, c bus.Caller, p *plannedRun) error {
	t, ok := e.graphs.text(in.Body.Definition)
	if !ok {
		var err error
		if t, err = s.readText(ctx, e, in); err != nil {
			return err
		}
	}
	for _, perm := range s.known(ctx, in.Namespace, nil).permissions(t.graph) {
		if err := s.d.Bus.Allow(ctx, perm, in.Namespace); err != nil {
			return err
		}
	}
	p.graph, p.docs[t.graph.Digest] = t.graph, t.doc
	p.meta.Workflow, p.meta.Digest, p.meta.Role = t.graph.Name, t.graph.Digest, api.StrongestRole(c, in.Namespace)
	return nil
}

// readText compiles a definition given as text, or says all that is wrong with it.
func (s *Service) readText(ctx context.Context, e *engine, in api.StartRunIn) (t text, err error) {
	docs, problems := document.Parse("definition", []byte(in.Body.Definition))
	switch {
	case len(problems) > 0:
		return t, errs.New(errs.Invalid, "the definition cannot be read").WithProblems(problems...)
	case len(docs) != 1:
		return t, errs.New(errs.Invalid, "definition holds %d documents; give one", len(docs))
	case docs[0].Kind != api.KindWorkflow:
		return t, errs.New(errs.Invalid, "definition is a %s; only a Workflow can run", docs[0].Kind)
	}
	d := docs[0]
	out, err := s.check(ctx, api.CheckIn{NS: in.NS, Files: []api.SourceFile{{Name: "definition", Text: in.Body.Definition}}})
	if err != nil {
		return t, err
	}
	if len(out.Problems) > 0 {
		return t, errs.New(errs.Invalid, "the definition is not valid").WithProblems(out.Problems...)
	}
	g, err := e.graphs.compile(d.JSON, d.Digest)
	if err != nil {
		return t, err
	}
	t = text{g, string(d.JSON)}
	if len(g.Workflows) == 0 && !s.declares(g) { // what it calls may not be there the next time
		e.graphs.keepText(in.Body.Definition, t)
	}
	return t, nil
}

// maxDepth bounds sub-runs inside sub-runs.
const maxDepth = 20

// pin fixes the versions of all task types that g uses and all workflows that it may call, and those
// may call.
func (s *Service) pin(ctx context.Context, e *engine, p *plannedRun, g *dag.Graph, depth int) error {
	if err := s.pinTypes(ctx, &p.meta, g); err != nil {
		return err
	}
	for _, name := range g.Workflows {
		if _, ok := p.meta.Pins[name]; ok {
			continue
		}
		def, err := s.fetch(ctx, p.meta.Namespace, name)
		if err != nil {
			return errs.New(errs.Invalid, "workflow %s, which %s calls: %w", name, g.Name, err)
		}
		p.meta.Pins[name] = core.Pin{Digest: def.Digest, Version: def.Version, Role: def.Role}
		p.docs[def.Digest] = string(def.Document)
		sub, err := e.graphs.compile(def.Document, def.Digest)
		if err != nil {
			return err
		}
		if err := s.pin(ctx, e, p, sub, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// create puts a new run into the batch.
func (e *engine) create(b *batch, p plannedRun) (*live, error) {
	run := core.New(p.graph, e.graphs.inline)
	if p.fork != nil {
		run = p.fork.run
	}
	run.Scratch = &e.scratch
	l := &live{run: run, n: e.top + 1, created: b.id, row: len(b.created)}
	b.created = append(b.created, createdRow{n: l.n, meta: &run.Meta, at: e.now().UnixMicro()})
	rows := len(b.journal)
	b.journal = p.fork.rows(b.journal, l.n)
	err := e.step(b, l, p.meta.Requester, func(now int64) ([]core.Event, core.Effects, error) {
		if p.fork != nil {
			return run.Fork(now, p.fork.how)
		}
		return run.Start(now, p.meta, p.inputs)
	})
	if err != nil {
		b.created, b.journal = b.created[:l.row], b.journal[:rows]
		return nil, err
	}
	b.created[l.row].at = run.Created
	e.top++
	e.runs[p.meta.ID] = l
	for digest, doc := range p.docs {
		if !e.known[digest] {
			if b.definitions == nil {
				b.definitions = map[string]string{}
			}
			b.definitions[digest] = doc
			e.known[digest] = true
		}
	}
	return l, nil
}

// startChild creates the sub-run of a task in the batch of its parent.
func (e *engine) startChild(b *batch, parent *live, s core.StartRun) {
	_, err := e.get("", s.ID)
	if err == nil {
		return // made before
	}
	var p plannedRun
	if errs.Is(err, errs.NotFound) {
		p, err = e.plannedChild(&parent.run.Meta, s)
	}
	if err == nil {
		_, err = e.create(b, p)
	}
	if err == nil {
		return
	}
	if errs.Is(err, errs.Unavailable) {
		b.failed = err
		return
	}
	cause := err
	if err := e.step(b, parent, "", func(now int64) ([]core.Event, core.Effects, error) {
		return parent.run.ChildRefused(now, s.Path, s.ID, cause)
	}); err != nil {
		e.d.Log.Error("sub-run refused", "run", parent.run.ID, "task", s.Path, "err", err)
	}
}

func (e *engine) plannedChild(m *core.Meta, s core.StartRun) (p plannedRun, err error) {
	pin, ok := m.Pins[s.Workflow]
	if !ok {
		return p, errs.New(errs.Invalid, "workflow %s was not known when the run was accepted", s.Workflow)
	}
	if m.Depth >= maxDepth {
		return p, errs.New(errs.Invalid, "sub-runs are nested deeper than %d", maxDepth)
	}
	p.graph = e.graphs.cached(pin.Digest)
	if p.graph == nil {
		if p.graph, err = e.graphs.byDigest(context.Background(), e.ledger, pin.Digest); err != nil { // background: the loop reads its own store only
			return p, err
		}
	}
	p.meta = core.Meta{ID: s.ID, Namespace: m.Namespace, Workflow: s.Workflow, Version: pin.Version, Digest: pin.Digest, Title: p.graph.Title,
		Trace: m.Trace, Request: m.Request, Requester: m.Requester, Role: weaker(m.Role, pin.Role),
		Parent: &api.TaskRef{Run: m.ID, Task: s.Path}, Depth: m.Depth + 1, Pins: m.Pins, Types: m.Types}
	p.inputs, err = definition.CheckInputs(p.graph, s.Input)
	return p, err
}

// weaker returns the role of a sub-run, which never has more than the run that calls it.
func weaker(a, b string) string {
	if slices.Index(api.Roles, a) < slices.Index(api.Roles, b) {
		return a
	}
	return b
}
