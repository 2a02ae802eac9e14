package definition

import (
	"context"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
)

// remove withdraws a definition: nothing new can use it. Its versions stay for the runs that pinned
// them, and its numbers go on where it is applied again. A version in the input says which one the
// caller means to withdraw; errs.Conflict where there is a newer one.
func (s *Service) remove(ctx context.Context, in api.GetDefinitionIn) (api.Nothing, error) {
	err := s.d.DB.Tx(ctx, func(tx *store.Tx) error {
		h, err := lockHead(tx, in.Namespace, in.Kind, in.Name)
		switch {
		case err != nil:
			return err
		case !h.there:
			return errs.New(errs.NotFound, "no such definition") // also takes back what lockHead made
		case in.Version != 0 && in.Version != h.version:
			return errs.New(errs.Conflict, "the newest version of %s %s is %d, not %d", in.Kind, in.Name, h.version, in.Version).
				WithHint("look at what changed before you withdraw it")
		}
		if err := withdraw(tx, in.Namespace, in.Kind, in.Name); err != nil {
			return err
		}
		about := object(in.Kind, in.Name)
		if err := tx.Audit(store.Act{Namespace: in.Namespace, Action: api.DeleteDefinition.Name, Object: about, Detail: map[string]any{"version": h.version}}); err != nil {
			return err
		}
		gone := api.Definition{Kind: in.Kind, Name: in.Name, Namespace: in.Namespace, Version: h.version, Digest: h.digest}
		return api.DefinitionDeleted.Publish(tx, bus.About{Subject: about, Namespace: in.Namespace}, gone)
	})
	if errs.Is(err, errs.NotFound) {
		in.Version = 0
		err = s.missing(ctx, in)
	}
	return api.Nothing{}, err
}
