package workflow

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
	"tutti/internal/workflow/core"
)

func (s *sim) ctx() context.Context { return context.Background() }

var anna = bus.Caller{Subject: "user:anna", Grants: []bus.Grant{{Namespace: "default", Role: api.Admin}}}

// submit starts a run under a key, and does not rest before it has an answer.
func (s *sim) submit(key string) {
	fs := flows()
	f := fs[s.r.IntN(len(fs))]
	if s.r.IntN(2) == 0 {
		f = fs[s.r.IntN(len(plain))]
	}
	s.model.open++
	answered := false
	var try func()
	once := func() { // a client that repeats, or two of them at a time
		s.start(s.owner(), key, f, func(id api.RunID, err error) {
			s.note("answer to %s: %s %v", key, id, err)
			if err != nil {
				if !unavailable(err) {
					s.wrong("start %s of %s: %v", key, f.name, err)
				}
				return
			}
			if !answered {
				answered = true
				s.model.open--
			}
			s.accepted(key, id, f)
		})
	}
	try = func() {
		if answered {
			return
		}
		once()
		if s.r.IntN(4) == 0 {
			once()
		}
		s.after(s.between(500*time.Millisecond, 8*time.Second), try)
	}
	try()
	if s.r.IntN(3) == 0 { // the same call again, much later
		s.after(s.between(time.Second, chaos), once)
	}
}

func (s *sim) accepted(key string, id api.RunID, f flow) {
	before, had := s.model.accepted[key]
	switch {
	case had && before != id:
		s.wrong("key %s made %s and %s", key, before, id)
	case !had:
		s.model.accepted[key] = id
		s.model.order = append(s.model.order, id)
	}
	r := s.ledger.byID[id]
	if r == nil {
		s.wrong("run %s was acknowledged, and is not stored", id)
	} else if r.meta.Digest != f.digest {
		s.wrong("key %s was acknowledged with a run of another definition", key)
	}
}

// start is the handler of run.start: it looks for the key in the store, plans, and asks the loop.
func (s *sim) start(n *node, key string, f flow, answer func(api.RunID, error)) {
	reply := func(id api.RunID, err error) {
		if !s.fault("an answer is lost", 0.03) {
			s.after(s.between(time.Microsecond, 20*time.Millisecond), func() { answer(id, err) })
		}
	}
	s.reach(n, func() {
		asked := n.e.now()
		if s.ledger.read() != nil {
			return
		}
		if made, ok := s.ledger.keys["default\x00"+key]; ok && bug != "keys forgotten" {
			if made.body != f.digest {
				reply("", otherBody(key))
				return
			}
			reply(made.run, nil)
			return
		}
		p := plannedRun{graph: f.graph, docs: map[string]string{f.digest: f.doc}, inputs: json.RawMessage(`{}`)}
		p.meta = core.Meta{ID: api.RunID(s.name("run_")), Namespace: "default", Workflow: f.name, Digest: f.digest, Trace: "t", Requester: "user:anna", Role: api.Admin,
			Pins: map[string]core.Pin{}}
		for name, c := range calledFlows() {
			p.meta.Pins[name] = core.Pin{Digest: c.digest, Version: 1, Role: api.Admin}
			p.docs[c.digest] = c.doc
		}
		for digest, doc := range p.docs {
			if _, err := n.e.graphs.compile([]byte(doc), digest); err != nil {
				s.wrong("compile: %v", err)
			}
		}
		wait := s.between(time.Microsecond, 50*time.Millisecond)
		if s.r.IntN(20) == 0 && !s.calm {
			wait = s.between(time.Second, 40*time.Second)
		}
		n.on(wait, func() {
			n.do(command(func(b *batch) (api.Run, error) { return n.e.accept(b, anna, p, key, f.digest, asked) }, func(r api.Run, err error) { reply(r.ID, err) }))
		})
	})
}

// person does something to a run.
func (s *sim) person() {
	if len(s.model.order) == 0 {
		return
	}
	id := s.model.order[s.r.IntN(len(s.model.order))]
	switch s.r.IntN(12) {
	case 0, 1, 2:
		s.cancel(id)
	case 3:
		s.act(id, "pause", func(r *core.Run, now int64) ([]core.Event, core.Effects, error) { return r.Pause(now, "user:anna") }, nil)
	case 4:
		s.act(id, "resume", func(r *core.Run, now int64) ([]core.Event, core.Effects, error) { return r.Resume(now, "user:anna") }, nil)
	case 5:
		s.signal(id)
	case 6:
		s.retry(id, "")
	case 7:
		s.undo(id)
	case 8, 9:
		s.help(id)
	case 10:
		s.fork(id)
	default:
		s.decide(id, s.r.IntN(3) > 0)
	}
}

type verb func(r *core.Run, now int64) ([]core.Event, core.Effects, error)

func (s *sim) act(id api.RunID, what string, f verb, then func()) {
	s.note("person: %s %s", what, id)
	call(s, s.owner(), func(e *engine, b *batch) (struct{}, error) {
		return struct{}{}, e.act(b, anna, "default", id, store.Act{Action: "run." + what}, f)
	}, func(_ struct{}, err error) {
		s.note("person: %s %s: %v", what, id, err)
		switch {
		case err == nil && then != nil:
			then()
		case errs.KindOf(err) == errs.Internal && err != nil, errs.Is(err, errs.NotFound) && s.ledger.byID[id] == nil:
			s.wrong("%s %s: %v", what, id, err)
		}
	})
}

func (s *sim) cancel(id api.RunID) {
	asked := s.now
	s.act(id, "cancel", func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
		return r.Cancel(now, "user:anna", "enough")
	}, func() {
		if s.model.revived[id] < asked {
			s.model.cancelled[id] = true
			s.fired["a cancel was acknowledged"]++
		}
	})
}

// again notes that what runs of a run from now on may be wanted.
func (s *sim) again(id api.RunID) {
	delete(s.model.cancelled, id)
	s.model.revived[id] = s.now + (10 * time.Minute).Microseconds() // its message may be late
}

func (s *sim) retry(id api.RunID, path string) {
	s.again(id)
	s.act(id, "retry", func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
		return r.Retry(now, path, nil, "user:anna")
	}, nil)
}

// fork is the handler of run.fork: it copies what the store has of a run, up to some event, and asks the loop.
func (s *sim) fork(id api.RunID) {
	n := s.owner()
	s.reach(n, func() {
		asked, from := n.e.now(), s.ledger.byID[id]
		if s.ledger.read() != nil || from == nil {
			return
		}
		in := api.ForkRunIn{NS: api.NS{Namespace: "default"}, ID: id}
		if last := from.rows[len(from.rows)-1].seq; s.r.IntN(2) == 0 {
			in.Body.At = 1 + s.r.Int64N(last)
		}
		if done := succeeded(from); len(done) > 0 && s.r.IntN(3) == 0 {
			in.Body.Task = done[s.r.IntN(len(done))]
		}
		p := plannedRun{}
		var err error
		if p.graph, err = s.graphs.compile([]byte(s.ledger.docs[from.meta.Digest]), from.meta.Digest); err == nil {
			err = p.copy(anna, in, api.RunID(s.name("run_")), s.graphs.inline, from.copies)
		}
		if err != nil {
			s.wrong("fork of %s: %v", id, err)
			return
		}
		n.on(s.between(time.Microsecond, 50*time.Millisecond), func() {
			n.do(command(func(b *batch) (api.Run, error) { return n.e.accept(b, anna, p, "", "", asked) }, func(r api.Run, err error) {
				s.note("person: fork of %s: %s %v", id, r.ID, err)
				switch {
				case err == nil:
					s.fired["a run was forked"]++
					s.model.order = append(s.model.order, r.ID)
				case errs.Is(err, errs.Internal):
					s.wrong("fork of %s: %v", id, err)
				}
			}))
		})
	})
}

// copies reads the journal of a run anew: who reads it may change it.
func (r *memRun) copies(row rowReader) error {
	for _, j := range r.rows {
		var events []core.Event
		if err := json.Unmarshal(j.events, &events); err != nil {
			return err
		}
		if err := row(j.seq, j.at, events); err != nil {
			return err
		}
	}
	return nil
}

// succeeded returns the paths of what has succeeded in a run at least once, in that order.
func succeeded(r *memRun) (paths []string) {
	for _, j := range r.rows {
		for _, e := range j.read {
			if e.Type == core.Done && !closing(e.Path) && !slices.Contains(paths, e.Path) {
				paths = append(paths, e.Path)
			}
		}
	}
	return paths
}

func (s *sim) undo(id api.RunID) {
	s.act(id, "undo", func(r *core.Run, now int64) ([]core.Event, core.Effects, error) { return r.Undo(now, "user:anna") }, nil)
}

func (s *sim) signal(id api.RunID) {
	s.act(id, "signal", func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
		return r.Signal(now, "go", nil, "user:anna")
	}, nil)
}

// decide answers what a run asks, as far as the store's inbox says that it does.
func (s *sim) decide(id api.RunID, yes bool) {
	var asked []string
	for k := range s.ledger.approvals {
		if k.run == id {
			asked = append(asked, k.path)
		}
	}
	slices.Sort(asked)
	if len(asked) == 0 {
		return
	}
	path := asked[s.r.IntN(len(asked))]
	s.act(id, "decide", func(r *core.Run, now int64) ([]core.Event, core.Effects, error) {
		return r.Decide(now, path, core.Decider{Subject: "user:anna"}, core.Decision{Approve: yes, Why: "because"})
	}, nil)
}

// help does what a run waits for people to do.
func (s *sim) help(id api.RunID) {
	l, err := s.load(id)
	if err != nil {
		s.wrong("run %s cannot be loaded: %v", id, err)
		return
	}
	root, _ := s.ledger.root(id)
	s.decide(id, true)
	if s.r.IntN(20) == 0 {
		s.cancel(root)
		return
	}
	for _, t := range l.run.Tasks() {
		if t.Reason == nil || t.State != api.Waiting {
			continue
		}
		switch t.Reason.Kind {
		case "signal":
			s.signal(id)
		case "paused":
			s.retry(id, t.Path)
		}
	}
	if r := l.run.Reason; r != nil && r.Kind == "paused" {
		if strings.HasPrefix(r.Text, "it was paused") {
			s.act(root, "resume", func(r *core.Run, now int64) ([]core.Event, core.Effects, error) { return r.Resume(now, "user:anna") }, nil)
		}
		if s.r.IntN(3) == 0 {
			s.cancel(root)
		} else {
			s.retry(root, "")
		}
	}
}

// claims checks that what counts came from the attempt that had the claim.
func (s *sim) claims(epoch int64, id api.RunID, events []core.Event) {
	for i := range events {
		ev := &events[i]
		token := ""
		switch {
		case ev.Failure != nil && strings.HasPrefix(ev.Failure.Message, "token "):
			token = strings.TrimPrefix(ev.Failure.Message, "token ")
		case ev.Type == core.Done && ev.Cause == "":
			var out struct {
				Token string `json:"token"`
			}
			_ = json.Unmarshal(ev.Out, &out)
			token = out.Token
		}
		if run, _, ok := splitToken(token); !ok || run != id || s.model.tokens[token] != ev.Path {
			continue // handed up from inside
		}
		key := attemptKey{id, ev.Path}
		if last, granted := s.model.grants[epoch][key]; granted && last != token {
			s.wrong("run %s %s: epoch %d took the result of %s; %s has the claim", id, ev.Path, epoch, token, last)
		} else if !granted && s.model.durable[key] != token {
			s.wrong("run %s %s: epoch %d took the result of %s; %q has the claim", id, ev.Path, epoch, token, s.model.durable[key])
		}
	}
	for i := range events {
		ev := &events[i]
		s.variables(id, ev)
		key := attemptKey{id, ev.Path}
		if ev.Claim != "" {
			s.model.durable[key] = tokenOf(id, ev.Claim)
		}
		switch ev.Type {
		case core.Started, core.Retrying, core.Paused, core.Done, core.FailedTask:
			delete(s.model.durable, key)
		}
	}
}

// variables follows which variables the next attempts have to find. A task that is made anew, with the
// group around it, has none.
func (s *sim) variables(id api.RunID, ev *core.Event) {
	anew := func(which func(path string) bool) {
		maps.DeleteFunc(s.model.vars, func(k attemptKey, _ int) bool { return k.run == id && which(k.path) })
	}
	inside := func(path string) bool {
		return strings.HasPrefix(path, ev.Path+".") || strings.HasPrefix(path, ev.Path+"[")
	}
	switch ev.Type {
	case core.Forked:
		anew(func(string) bool { return true })
		delete(s.model.undone, id)
		maps.DeleteFunc(s.model.durable, func(k attemptKey, _ string) bool { return k.run == id })
	case core.VarsSet:
		key := attemptKey{id, ev.Path}
		var v int
		_ = json.Unmarshal(ev.Vars["v"], &v)
		s.model.vars[key] = v
		s.model.stored[fmt.Sprint(key, v)] = true
	case core.Opened, core.Expanded:
		anew(inside)
	case core.Undoing:
		s.model.undone[id] = true
		anew(closing)
	case core.Retried:
		anew(func(path string) bool { return s.model.undone[id] || closing(path) })
		delete(s.model.undone, id)
	}
}
