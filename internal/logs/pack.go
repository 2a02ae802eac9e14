package logs

import (
	"context"
	"fmt"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
)

// packEvery is how often the logs of ended runs are looked for.
const packEvery = 2 * time.Second

// pack packs the logs of ended runs until ctx ends. One that fails is tried again a minute later.
func (s *Service) pack(ctx context.Context) error {
	ctx = bus.AsService(ctx, s.deps.Name)
	for {
		due, err := s.due(ctx, time.Now(), 50)
		if err != nil && ctx.Err() == nil {
			s.log.Error("logs to pack", "err", err)
		}
		for _, st := range due {
			if st.ended {
				err = s.packRun(ctx, st)
			} else {
				err = s.ask(ctx, st)
			}
			if err == nil || ctx.Err() != nil {
				continue
			}
			s.log.Error("log not packed", "run", st.id, "err", err)
			if err := s.postpone(ctx, st, time.Now().Add(askAfter)); err != nil && ctx.Err() == nil {
				s.log.Error("logs to pack", "err", err)
			}
		}
		if len(due) > 0 && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(packEvery):
		}
	}
}

// ask finds out whether a run has ended whose log began, or went on, after its end: lines that were
// merely late are followed by nothing. Of one that goes on, or is retried, the engine will say that it
// ended, and then there is a log to end.
func (s *Service) ask(ctx context.Context, st *run) error {
	r, err := api.GetRun.Call(ctx, s.bus, api.GetRunIn{NS: api.NS{Namespace: st.namespace}, ID: api.RunID(st.id)})
	if errs.Is(err, errs.Unavailable) {
		return s.postpone(ctx, st, time.Now().Add(askAfter))
	}
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	return s.db.Tx(ctx, func(tx *store.Tx) error {
		now, lockErr := lockRun(tx, st.namespace, st.id)
		switch {
		case lockErr != nil || now.ended:
			return lockErr
		case err == nil && !r.State.Ended():
			now.due = 0
			return updateRun(tx, now)
		case now.last != st.last: // lines came meanwhile: ask again
			return nil
		}
		return s.end(ctx, tx, now)
	})
}

// postpone looks at a run again at a later time.
func (s *Service) postpone(ctx context.Context, st *run, until time.Time) error {
	return s.db.Tx(ctx, func(tx *store.Tx) error {
		now, err := lockRun(tx, st.namespace, st.id)
		if err != nil {
			return err
		}
		now.due = store.Micros(until)
		return updateRun(tx, now)
	})
}

// packRun packs what is not packed of one run, a chunk at a time: each is complete, with the rows
// gone, or not there at all.
func (s *Service) packRun(ctx context.Context, st *run) error {
	for {
		lines, err := s.nextLines(ctx, st.id, st.packed)
		if err != nil {
			return err
		}
		if len(lines) == 0 {
			return s.packed(ctx, st)
		}
		c, err := s.makeChunk(ctx, lines)
		if err != nil {
			return err
		}
		mine := false
		err = s.db.Tx(ctx, func(tx *store.Tx) error {
			now, err := lockRun(tx, st.namespace, st.id)
			if err != nil {
				return err
			}
			// Not mine where another replica packed, or the run was retried meanwhile.
			if mine = now.packed == c.first-1 && now.ended; !mine {
				return nil
			}
			return replaceLines(tx, now, c, lines)
		})
		if err != nil || !mine {
			return err
		}
		st.packed = c.last
	}
}

// packed notes that nothing is left to pack, unless lines came meanwhile.
func (s *Service) packed(ctx context.Context, st *run) error {
	return s.db.Tx(ctx, func(tx *store.Tx) error {
		now, err := lockRun(tx, st.namespace, st.id)
		if err != nil || !now.ended {
			return err
		}
		if now.dropped > 0 {
			return s.end(ctx, tx, now)
		}
		if now.last == now.packed {
			now.due = 0
		}
		return updateRun(tx, now)
	})
}

// nextLines returns the lines of the next chunk after a position.
func (s *Service) nextLines(ctx context.Context, id string, after int64) ([]api.LogLine, error) {
	size := 0
	var out []api.LogLine
	err := s.selectLines(ctx, query{run: id, after: after, before: unbounded, limit: chunkLines}, func(l api.LogLine) bool {
		out = append(out, l)
		size += len(l.Text)
		return size < chunkBytes
	})
	for i, l := range out {
		if l.Pos != after+int64(i)+1 {
			return nil, fmt.Errorf("line %d of the log is missing", after+int64(i)+1)
		}
	}
	return out, err
}
