package workflow

import (
	"context"
	"encoding/json"
	"errors"

	"tutti/api"
	"tutti/internal/workflow/core"
)

// maxPart is the size from which a part of an export ends, in bytes, so that it fits into a message of the bus.
const maxPart = 1 << 20

// export returns a part of what is stored of a run.
func (s *Service) export(ctx context.Context, in api.ExportRunIn) (out api.RunExport, err error) {
	id, err := s.resolve(ctx, in.Namespace, in.ID)
	if err != nil {
		return out, err
	}
	f, err := find(ctx, s.d.DB, in.Namespace, id)
	if err != nil {
		return out, err
	}
	if out.Run, err = s.read(ctx, in.Namespace, id); err != nil {
		return out, err
	}
	if in.After == 0 {
		doc, err := definitionOf(ctx, s.d.DB, f.digest)
		if err != nil {
			return out, err
		}
		out.Definition = json.RawMessage(doc)
	}
	size := 0
	out.Journal = []api.JournalRow{}
	err = readJournal(ctx, s.d.DB, f.n, in.After, func(seq, at int64, events []core.Event) error {
		if size > maxPart {
			out.Next = out.Journal[len(out.Journal)-1].Seq
			return errEnough
		}
		for i := range events {
			events[i].Claim = "" // whoever has it can speak for the worker
		}
		raw, err := core.AppendEvents(nil, events)
		size += len(raw)
		out.Journal = append(out.Journal, api.JournalRow{Seq: seq, At: at, Events: raw})
		return err
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return out, err
}
