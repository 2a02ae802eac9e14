package workflow

import (
	"tutti/api"
	"tutti/bus"
	"tutti/internal/store"
	"tutti/internal/workflow/core"
)

// batch is what is committed together, and what happens then.
type batch struct {
	id          int64
	definitions map[string]string
	created     []createdRow
	journal     []journalRow
	keys        []keyRow
	changed     map[*live]projection
	approvals   []approvalRow
	places      []placeRow
	once        []onceRow
	acts        []store.ActBy
	records     []bus.Record
	touched     map[api.RunID]*live
	ended       []api.Run // as they ended
	release     []func()  // after the commit
	answers     []func()  // after all of release
	abandon     []func(error)
	failed      error // what follows could not be found out: not to be committed
}

// empty says that nothing is to be stored.
func (b *batch) empty() bool {
	return len(b.journal)+len(b.acts)+len(b.places)+len(b.once)+len(b.keys)+len(b.changed) == 0
}

func (e *engine) newBatch() *batch {
	e.batches++
	return &batch{id: e.batches, changed: map[*live]projection{}, touched: map[api.RunID]*live{}}
}

// maxRow bounds the events of a row of the journal that several commands share, in bytes.
const maxRow = 256 << 10

// record puts what a command decided at a time into the journal. Commands to one run that follow one
// another at the same time, as of results that were reported together, share a row: what they decided is
// applied again in the same order, and a run of a thousand tasks costs few rows instead of a thousand.
func (b *batch) record(l *live, at int64, events []core.Event) error {
	if n := len(b.journal); n > 0 {
		if r := &b.journal[n-1]; r.n == l.n && r.at == at && len(r.events) < maxRow {
			raw, err := core.AppendEvents(r.events, events)
			if err == nil {
				r.events, r.seq = raw, l.run.Seq
			}
			return err
		}
	}
	raw, err := core.AppendEvents(make([]byte, 0, 192), events)
	if err == nil {
		b.journal = append(b.journal, journalRow{l.n, l.run.Seq, at, raw})
	}
	return err
}
