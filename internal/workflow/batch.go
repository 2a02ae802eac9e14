package workflow

import (
	"tutti/api"
	"tutti/bus"
	"tutti/internal/store"
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
	release     []func() // after the commit
	answers     []func() // after all of release
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
