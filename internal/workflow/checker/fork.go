package checker

import (
	"strings"

	"tutti/internal/workflow/core"
)

// fork says how far a run is that was made from another one.
type fork uint8

const (
	never   fork = iota // it was made from none
	copying             // its journal tells what happened in the other one, which is looked at there
	parted              // it goes on its own way
)

// copied follows which tasks had succeeded in the run that r was made from, until r goes its own way: these
// are kept, unless a task is named that begins again, with whatever comes after it.
func (j *Journal) copied(r *run, e *core.Event) error {
	switch e.Type {
	case core.Created:
		r.forked, r.meta, r.state = copying, *e.Meta, going
	case core.Forked:
		if r.seq > r.meta.ForkOf.Seq { // else it is the copy of a fork
			r.forked = parted
		}
		for path, n := range r.nodes {
			if n.state != succeeded || e.Path != "" {
				delete(r.nodes, path)
			}
		}
	case core.Expanded:
		r.forget(e.Path)
		return r.expanded(j, e)
	case core.Opened:
		r.forget(e.Path)
	case core.Done:
		if !strings.Contains(e.Path, "#undo") && !strings.HasPrefix(e.Path, "finally.") {
			r.node(e.Path).state = succeeded
		}
	case core.Retried, core.Undoing:
		r.nodes = map[string]*node{}
	}
	return nil
}
