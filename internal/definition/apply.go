package definition

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/internal/store"
)

// apply stores the documents of the files that differ from the newest version, all in one transaction
// or none.
func (s *Service) apply(ctx context.Context, in api.ApplyIn) (api.ApplyOut, error) {
	if in.Body.DryRun {
		return s.preview(ctx, in, true)
	}
	hash, err := bodyHash(in.Body)
	if err != nil {
		return api.ApplyOut{}, err
	}
	if in.Key != "" {
		if out, ok, err := answered(s.d.DB.QueryRow(ctx, keyQuery, in.Namespace, in.Key), in.Key, hash); ok || err != nil {
			return out, err
		}
	}
	docs, err := s.check(ctx, in.NS, in.Body.Files, true)
	if err != nil {
		return api.ApplyOut{}, err
	}
	var out api.ApplyOut
	err = s.d.DB.Tx(ctx, func(tx *store.Tx) error {
		if in.Key != "" {
			var again bool
			if out, again, err = takeKey(tx, in.Namespace, in.Key, hash); again || err != nil {
				return err
			}
		}
		if out, err = s.write(ctx, tx, in, docs); err != nil || in.Key == "" {
			return err
		}
		return keepAnswer(tx, in.Namespace, in.Key, out)
	})
	return out, err
}

// validate says what is wrong with the files and what applying them would change.
func (s *Service) validate(ctx context.Context, in api.ApplyIn) (api.ApplyOut, error) {
	return s.preview(ctx, in, false)
}

// preview is apply without any effect.
func (s *Service) preview(ctx context.Context, in api.ApplyIn, needs bool) (api.ApplyOut, error) {
	docs, err := s.check(ctx, in.NS, in.Body.Files, needs)
	if err != nil {
		return api.ApplyOut{}, err
	}
	out := api.ApplyOut{Changes: []api.Change{}}
	for _, d := range docs {
		h, err := headOf(s.d.DB.QueryRow(ctx, headQuery, in.Namespace, d.Kind, d.Name))
		if err != nil {
			return api.ApplyOut{}, err
		}
		out.Changes = append(out.Changes, change(h, d))
	}
	return out, nil
}

// change says what applying d does where h is the newest version.
func change(h head, d doc) api.Change {
	c := api.Change{Kind: d.Kind, Name: d.Name, Action: "update", Version: h.version + 1, Digest: d.Digest}
	switch {
	case !h.there:
		c.Action = "create"
	case h.digest == d.Digest:
		c.Action, c.Version = "unchanged", h.version
	}
	return c
}

// write stores what is new in docs.
func (s *Service) write(ctx context.Context, tx *store.Tx, in api.ApplyIn, docs []doc) (api.ApplyOut, error) {
	// The same order of locks in every transaction, so that two of them do not wait for each other.
	order := make([]int, len(docs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return strings.Compare(docs[a].Kind+"/"+docs[a].Name, docs[b].Kind+"/"+docs[b].Name)
	})
	out := api.ApplyOut{Changes: make([]api.Change, len(docs))}
	caller, _ := bus.CallerFrom(ctx)
	now := time.Now().UTC().Truncate(time.Microsecond)
	for _, i := range order {
		d := docs[i]
		h, err := lockHead(tx, in.Namespace, d.Kind, d.Name)
		if err != nil {
			return out, err
		}
		c := change(h, d)
		out.Changes[i] = c
		if c.Action == "unchanged" {
			continue
		}
		def := api.Definition{
			Kind: d.Kind, Name: d.Name, Namespace: in.Namespace, Version: c.Version, Digest: d.Digest, Title: d.Title, Labels: d.Labels,
			Document: d.JSON, Source: d.source, Publisher: caller.Subject, Role: api.StrongestRole(caller, in.Namespace), Applied: now,
		}
		if err := s.writeVersion(tx, def, in.Body.Note); err != nil {
			return out, fmt.Errorf("store %s %s: %w", d.Kind, d.Name, err)
		}
	}
	return out, nil
}

// writeVersion stores one version, who applied it, and the event.
func (s *Service) writeVersion(tx *store.Tx, def api.Definition, note string) error {
	if err := insertVersion(tx, def, note); err != nil {
		return err
	}
	act := store.Act{Namespace: def.Namespace, Action: api.ApplyDefinitions.Name, Object: object(def.Kind, def.Name),
		Detail: map[string]any{"version": def.Version, "digest": def.Digest, "note": note}}
	if err := tx.Audit(act); err != nil {
		return err
	}
	def.Document, def.Source = nil, ""
	return api.DefinitionApplied.Publish(tx, bus.About{Subject: object(def.Kind, def.Name), Namespace: def.Namespace}, def)
}

// object is how the audit trail and events name a definition.
func object(kind, name string) string { return kind + "/" + name }

// bodyHash identifies what was asked under an idempotency key.
func bodyHash(body api.ApplyBody) (string, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("hash of the body: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
