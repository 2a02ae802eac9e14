package workflow

import (
	"context"
	"errors"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/id"
	"tutti/internal/workflow/core"
	"tutti/internal/workflow/definition"
)

// forked is a run that begins with what happened in another one: its journal begins with a copy of that
// one's, so that it is whole by itself.
type forked struct {
	run    *core.Run // has applied journal
	how    core.Fork
	detail any // for the audit trail
	// journal are the rows of the other run, without the number of the run.
	journal []journalRow
}

// rows adds the journal that a run begins with to others; nil adds none.
func (f *forked) rows(to []journalRow, n int64) []journalRow {
	if f == nil {
		return to
	}
	for _, r := range f.journal {
		r.n = n
		to = append(to, r)
	}
	return to
}

// The journal of a run that can be forked has at most maxForkEvents events and maxForkBytes bytes: all of it
// is one commit.
const (
	maxForkEvents = 100_000
	maxForkBytes  = 32 << 20
)

// fork starts a run that goes on from an event of another one.
func (s *Service) fork(ctx context.Context, e *engine, in api.ForkRunIn) (api.Run, error) {
	c, _ := bus.CallerFrom(ctx)
	from, err := s.resolve(ctx, in.Namespace, in.ID)
	if err != nil {
		return api.Run{}, err
	}
	in.ID = from
	body, err := bodyDigest(struct {
		Fork api.RunID
		Body api.ForkBody
	}{from, in.Body})
	if err != nil {
		return api.Run{}, errs.New(errs.Invalid, "body: %w", err)
	}
	asked := e.now()
	if in.Key != "" {
		if r, ok, err := s.repeated(ctx, e, api.StartRunIn{NS: in.NS, Key: in.Key, Wait: in.Wait}, body); ok || err != nil {
			return r, err
		}
	}
	if in.Body.Input != nil {
		if err := s.mayEdit(ctx, in.NS, from, api.Moment{At: in.Body.At}, in.Body.Task, in.Body.Input); err != nil {
			return api.Run{}, err
		}
	}
	p, err := s.plannedFork(ctx, c, in)
	if err != nil {
		return api.Run{}, err
	}
	r, err := submit(ctx, e, func(b *batch) (api.Run, error) { return e.accept(b, c, p, in.Key, body, asked) })
	if err != nil {
		return r, err
	}
	return s.await(ctx, e, r, in.Wait)
}

// plannedFork copies the journal of a run and makes of it what a new run begins with.
func (s *Service) plannedFork(ctx context.Context, c bus.Caller, in api.ForkRunIn) (p plannedRun, err error) {
	f, err := find(ctx, s.d.DB, in.Namespace, in.ID)
	if err != nil {
		return p, err
	}
	if p.graph, err = s.views.graphs.byDigest(ctx, sqlLedger{s.d.DB}, f.digest); err != nil {
		return p, err
	}
	err = p.copy(c, in, api.RunID(id.New("run")), s.views.graphs.inline, func(row rowReader) error { return readJournal(ctx, s.d.DB, f.n, 0, row) })
	return p, err
}

// rowReader takes a row of a journal: its last event's number, its time and the events, which are its own.
type rowReader func(seq, at int64, events []core.Event) error

// copy gives p what the fork called as begins with: the journal that read reads, up to the event that in names.
func (p *plannedRun) copy(c bus.Caller, in api.ForkRunIn, as api.RunID, inline core.Loader, read func(rowReader) error) error {
	p.fork = &forked{run: core.New(p.graph, inline), how: core.Fork{Task: in.Body.Task, Input: in.Body.Input, By: c.Subject}}
	size := 0
	var first []core.Event
	err := read(func(last, at int64, events []core.Event) error {
		before := last - int64(len(events))
		if in.Body.At > 0 && before >= in.Body.At {
			return errEnough
		}
		if in.Body.At > 0 {
			events = events[:min(int64(len(events)), in.Body.At-before)]
		}
		if before == 0 {
			p.meta = forkMeta(events[0].Meta, as, c)
			events = core.Copy(events, &p.meta)
			first = events
		}
		raw, err := core.AppendEvents(nil, events)
		if err != nil {
			return err
		}
		seq := before + int64(len(events))
		if size += len(raw); size > maxForkBytes || seq > maxForkEvents {
			return errs.New(errs.TooLarge, "run %s is too large to be forked: more than %d events or %d bytes", in.ID, maxForkEvents, maxForkBytes).
				WithHint("start it anew, or fork it from an earlier event")
		}
		p.meta.ForkOf.Seq = seq
		p.fork.journal = append(p.fork.journal, journalRow{seq: seq, at: at, events: raw})
		return p.fork.run.Replay(at, events)
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if p.fork.journal[0].events, err = core.AppendEvents(nil, first); err != nil { // now that it is known which event is the last
		return err
	}
	if at := p.meta.ForkOf.Seq; in.Body.At > at {
		return errs.New(errs.Invalid, "run %s has no event %d yet: its last is %d", in.ID, in.Body.At, at)
	}
	p.fork.detail = map[string]any{"of": in.ID, "seq": p.meta.ForkOf.Seq, "task": in.Body.Task, "input": in.Body.Input, "inputs": in.Body.Inputs}
	if in.Body.Inputs != nil {
		p.fork.how.Inputs, err = definition.GivenInputs(p.graph, in.Body.Inputs)
	}
	return err
}

// forkMeta is what a run is that somebody makes from another: of the same trace, but no part of what called
// that one, and no stronger than who makes it where the definition was given inline.
func forkMeta(of *core.Meta, as api.RunID, c bus.Caller) core.Meta {
	m := *of
	m.ID, m.ForkOf = as, &api.ForkOf{Run: of.ID}
	m.Parent, m.Depth, m.Request, m.Requester = nil, 0, "", c.Subject
	if m.Version == 0 {
		m.Role = weaker(m.Role, api.StrongestRole(c, m.Namespace))
	}
	return m
}
