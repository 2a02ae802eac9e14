package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/store"
	"tutti/internal/workflow/checker"
	"tutti/internal/workflow/core"
)

// memLedger keeps what the tables keep, with their keys and in their order.
type memLedger struct {
	s     *sim
	multi bool // several engines may work on it

	holder string
	epoch  int64
	until  int64

	runs      map[int64]*memRun
	byID      map[api.RunID]*memRun
	keys      map[string]madeKey
	places_   map[placeID]placeRow
	once      map[limitKey]string
	docs      map[string]string
	approvals map[attemptKey]bool
	finished  map[api.RunID]int // events of ends in the outbox
	acts      int
}

type memRun struct {
	createdRow
	rows []memRow
}

// memRow is a row of the journal with what its text says.
type memRow struct {
	journalRow
	read []core.Event
}

type placeID struct {
	run  api.RunID
	path string
	once bool
}

func newMemLedger(s *sim, multi bool) *memLedger {
	return &memLedger{s: s, multi: multi, runs: map[int64]*memRun{}, byID: map[api.RunID]*memRun{}, keys: map[string]madeKey{}, places_: map[placeID]placeRow{},
		once: map[limitKey]string{}, docs: map[string]string{}, approvals: map[attemptKey]bool{}, finished: map[api.RunID]int{}}
}

var errStore = errors.New("the disk is away")

// read fails now and then.
func (m *memLedger) read() error {
	if m.s.fault("a read fails", 0.004) {
		return errStore
	}
	return nil
}

// claim is store.DB.Claim, by the clock of the database.
func (m *memLedger) claim(holder string) (l store.Lease, ok bool) {
	switch {
	case m.holder == holder:
	case m.until > m.s.now:
		return l, false
	default:
		m.holder = holder
		m.epoch++
	}
	m.until = m.s.now + leaseTTL.Microseconds()
	return store.Lease{Name: leaseName, Holder: holder, Epoch: m.epoch}, true
}

func (m *memLedger) commit(_ context.Context, l store.Lease, b *batch) error {
	if (l.Epoch != m.epoch || l.Holder != m.holder) && bug != "no fence" {
		m.s.fired["a stale engine was fenced"]++
		return errs.New(errs.Unavailable, "another engine owns the runs now")
	}
	if err := m.fits(b); err != nil {
		return err
	}
	maps.Copy(m.docs, b.definitions)
	for _, c := range b.created {
		r := &memRun{createdRow: c}
		m.runs[c.n], m.byID[c.meta.ID] = r, r
	}
	for _, k := range b.keys {
		m.keys[k.namespace+"\x00"+k.key] = madeKey{api.RunID(k.run), k.body}
	}
	for _, j := range b.journal {
		m.check(l, m.runs[j.n], j)
	}
	for l, p := range b.changed {
		m.runs[l.n].projection = p
	}
	for _, a := range b.approvals {
		if k := (attemptKey{a.run, a.task}); a.ask == nil {
			delete(m.approvals, k)
		} else {
			m.approvals[k] = true
		}
	}
	for _, p := range b.places {
		id := placeID{p.who.Who.run, p.who.Who.path, p.key.once}
		if old, had := m.places_[id]; p.gone {
			delete(m.places_, id)
		} else if had {
			old.key.key, old.who.Place, old.who.Granted = p.key.key, p.who.Place, p.who.Granted
			m.places_[id] = old
		} else {
			m.places_[id] = p
		}
	}
	for _, o := range b.once {
		m.once[o.key] = o.out
	}
	m.acts += len(b.acts)
	for _, r := range b.records {
		if r.Type == api.RunFinished.Type() {
			m.finished[api.RunID(r.Subject)]++
		}
	}
	return nil
}

// fits refuses what the keys of the tables refuse, before anything is written.
func (m *memLedger) fits(b *batch) error {
	for _, c := range b.created {
		if m.runs[c.n] != nil || m.byID[c.meta.ID] != nil {
			return fmt.Errorf("run %d %s is there already", c.n, c.meta.ID)
		}
	}
	for i, k := range b.keys {
		_, had := m.keys[k.namespace+"\x00"+k.key]
		had = had && bug != "keys forgotten"
		if had || slices.ContainsFunc(b.keys[:i], func(o keyRow) bool { return o.namespace == k.namespace && o.key == k.key }) {
			m.s.fired["a key was taken twice, and the store refused"]++
			return fmt.Errorf("key %q is there already", k.key)
		}
	}
	for _, o := range b.once {
		if _, had := m.once[o.key]; had {
			return fmt.Errorf("once %q is there already", o.key.key)
		}
	}
	for _, j := range b.journal {
		if r := m.runs[j.n]; r != nil && len(r.rows) > 0 && slices.ContainsFunc(r.rows, func(o memRow) bool { return o.seq == j.seq }) {
			return fmt.Errorf("journal of run %d at %d is there already", j.n, j.seq)
		}
	}
	return nil
}

// check gives a row to the checkers as it is committed.
func (m *memLedger) check(l store.Lease, r *memRun, j journalRow) {
	s := m.s
	s.note("row %d %d %s", j.n, j.seq, j.events)
	var events []core.Event
	if err := json.Unmarshal(j.events, &events); err != nil {
		s.wrong("journal of run %d: %v", j.n, err)
		return
	}
	r.rows = append(r.rows, memRow{j, events})
	g, err := s.graphs.compile([]byte(m.docs[r.meta.Digest]), r.meta.Digest)
	if err != nil {
		s.wrong("the definition of run %s is not stored: %v", r.meta.ID, err)
		return
	}
	s.claims(l.Epoch, r.meta.ID, events)
	if err := s.journal.Add(r.meta.ID, g, checker.Row{Seq: j.seq, Events: events}); err != nil {
		s.wrong("epoch %d: %v", l.Epoch, err)
	}
}

func (m *memLedger) outstanding(context.Context) (top int64, busy []api.RunID, timers []due, err error) {
	if err := m.read(); err != nil {
		return 0, nil, nil, err
	}
	for _, n := range slices.Sorted(maps.Keys(m.runs)) {
		r := m.runs[n]
		top = n
		switch {
		case r.busy == 1:
			busy = append(busy, r.meta.ID)
		case r.wake > 0:
			timers = append(timers, due{r.meta.ID, r.wake})
		}
	}
	return top, busy, timers, nil
}

func (m *memLedger) places(context.Context) (out []placeRow, err error) {
	if err := m.read(); err != nil {
		return nil, err
	}
	out = slices.Collect(maps.Values(m.places_))
	slices.SortFunc(out, func(a, b placeRow) int { return int(a.who.Place - b.who.Place) })
	return out, nil
}

func (m *memLedger) find(_ context.Context, namespace string, id api.RunID) (stored, error) {
	if err := m.read(); err != nil {
		return stored{}, err
	}
	r := m.byID[id]
	if r == nil || namespace != "" && r.meta.Namespace != namespace {
		return stored{}, errs.New(errs.NotFound, "no run %q", id)
	}
	return stored{r.n, r.meta.Digest}, nil
}

func (m *memLedger) journal(_ context.Context, n, after int64, f func(seq, at int64, events []core.Event) error) error {
	for _, r := range m.runs[n].rows {
		if err := m.read(); err != nil {
			return err
		}
		if r.seq > after {
			if err := f(r.seq, r.at, r.read); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *memLedger) definition(_ context.Context, digest string) (string, error) {
	if err := m.read(); err != nil {
		return "", err
	}
	if d, ok := m.docs[digest]; ok {
		return d, nil
	}
	return "", errs.New(errs.NotFound, "no definition with digest %s", digest)
}

func (m *memLedger) onceOf(_ context.Context, k limitKey) (string, bool, error) {
	if err := m.read(); err != nil {
		return "", false, err
	}
	out, ok := m.once[k]
	return out, ok, nil
}

// poison is seen in the engine; it comes on a goroutine of its own.
func (m *memLedger) poison(context.Context, api.RunID, error) error { return nil }

func (m *memLedger) shared() bool { return m.multi }

// root returns the run that nobody called above id, and whether what id does is part of a `finally` or
// of an undo above it.
func (m *memLedger) root(id api.RunID) (api.RunID, bool) {
	after := false
	for {
		r := m.byID[id]
		if r == nil || r.meta.Parent == nil {
			return id, after
		}
		after = after || closing(r.meta.Parent.Task)
		id = r.meta.Parent.Run
	}
}

// closing says that a task runs also after its run was cancelled.
func closing(path string) bool {
	return strings.HasPrefix(path, "finally.") || strings.Contains(path, "#undo")
}
