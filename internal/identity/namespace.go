package identity

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
)

var namespaceName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// checkText refuses text of a wrong length, in characters, or with control characters.
func checkText(what, s string, from, to int) error {
	if n := utf8.RuneCountInString(s); n < from || n > to || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return errs.New(errs.Invalid, "%s must be one line of %d to %d characters", what, from, to)
	}
	return nil
}

// listNamespaces shows the namespaces that the caller has any grant in.
func (s *Service) listNamespaces(ctx context.Context, _ api.Nothing) (api.Page[api.Namespace], error) {
	c, _ := bus.CallerFrom(ctx)
	all, err := s.namespaces(ctx)
	all = slices.DeleteFunc(all, func(n api.Namespace) bool {
		return !slices.ContainsFunc(c.Grants, func(g bus.Grant) bool { return within(n.Name, g.Namespace) })
	})
	return api.Page[api.Namespace]{Items: all}, err
}

// names returns the names of all namespaces.
func (s *Service) names(ctx context.Context) ([]string, error) {
	all, err := s.namespaces(ctx)
	names := make([]string, len(all))
	for i, n := range all {
		names[i] = n.Name
	}
	return names, err
}

func (s *Service) createNamespace(ctx context.Context, in api.CreateNamespaceIn) (api.Namespace, error) {
	n := api.Namespace{Name: in.Body.Name, Title: in.Body.Title, Created: time.Now().UTC().Truncate(time.Microsecond)}
	if !namespaceName.MatchString(n.Name) {
		return n, errs.New(errs.Invalid, "%.80q is not a namespace's name", n.Name).WithHint("use lower-case letters, digits and -, beginning with a letter, at most 63")
	}
	if err := checkText("the title", n.Title, 0, 200); err != nil {
		return n, err
	}
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		if err := insertNamespace(tx, n); err != nil {
			return err
		}
		return tx.Audit(store.Act{Namespace: n.Name, Action: "namespace.create", Object: n.Name})
	})
	s.seen.clear() // who has a role in all of them has one in it
	return n, err
}
