package definition

import (
	"context"
	"slices"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
)

// get returns a definition with its text: the newest version, or the one that is asked for, which may
// be one of a definition that was withdrawn.
func (s *Service) get(ctx context.Context, in api.GetDefinitionIn) (api.Definition, error) {
	v, err := s.asked.Get(ctx, in)
	if err != nil {
		return api.Definition{}, err
	}
	def, err := v.def, v.err
	if errs.Is(err, errs.NotFound) {
		return def, s.missing(ctx, in)
	}
	return def, err
}

// missing is the error of a definition that is not there.
func (s *Service) missing(ctx context.Context, in api.GetDefinitionIn) error {
	if !slices.Contains(api.Kinds, in.Kind) {
		e := errs.New(errs.NotFound, "there is no kind %.80q", in.Kind).WithHint("the kinds are %s", strings.Join(api.Kinds, ", "))
		if near := document.Nearest(in.Kind, api.Kinds); near != "" {
			e.Hint = "did you mean " + near + "? " + e.Hint
		}
		return e
	}
	e := errs.New(errs.NotFound, "no %s %.127q in namespace %s", in.Kind, in.Name, in.Namespace)
	if in.Version != 0 {
		return errs.New(errs.NotFound, "no version %d of %s %.127q in namespace %s", in.Version, in.Kind, in.Name, in.Namespace)
	}
	known, err := names(ctx, s.d.DB, in.Namespace, in.Kind)
	if err != nil {
		return err
	}
	if near := document.Nearest(in.Name, known); near != "" {
		return e.WithHint("did you mean %s?", near)
	}
	return e
}

// list returns definitions by kind and name, without their text.
func (s *Service) list(ctx context.Context, in api.ListDefinitionsIn) (api.Page[api.Definition], error) {
	items, next, err := page(ctx, s.d.DB, in)
	return api.Page[api.Definition]{Items: items, Cursor: next}, err
}
