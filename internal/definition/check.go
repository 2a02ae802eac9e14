package definition

import (
	"context"
	"fmt"
	"slices"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
)

// check returns the documents of files once everybody concerned finds them sound. It returns
// errs.Invalid with all problems of all files, and, where needs is set, errs.Denied where the caller
// lacks a permission that a document takes.
func (s *Service) check(ctx context.Context, ns api.NS, files []api.SourceFile, needs bool) ([]doc, error) {
	if ns.Namespace == "*" {
		return nil, errs.New(errs.Invalid, "definitions belong to one namespace, not to *").WithHint("name a namespace")
	}
	files = named(files)
	docs, problems, err := parse(files)
	if err != nil {
		return nil, err
	}
	wanted := map[string][]string{} // permissions by kind
	for _, kind := range api.Kinds {
		if !slices.ContainsFunc(docs, func(d doc) bool { return d.Kind == kind }) {
			continue
		}
		out, err := s.ask(ctx, ns, kind, files)
		if err != nil {
			return nil, err
		}
		problems = append(problems, out.Problems...)
		wanted[kind] = out.Needs
	}
	if len(problems) > 0 {
		return nil, errs.New(errs.Invalid, "the definitions are not sound; nothing was changed").WithProblems(inOrder(files, problems)...)
	}
	if needs {
		err = s.permitted(ctx, ns, docs, wanted)
	}
	return docs, err
}

// ask asks the owner of a kind.
func (s *Service) ask(ctx context.Context, ns api.NS, kind string, files []api.SourceFile) (api.CheckOut, error) {
	out, err := api.CheckKind(kind).Call(s.asService(ctx), s.d.Bus, api.CheckIn{NS: ns, Files: files})
	if err != nil {
		return out, fmt.Errorf("check the documents of kind %s: %w", kind, err)
	}
	return out, nil
}

// permitted returns errs.Denied, naming a document and the permission it takes, where the caller may
// not publish docs.
func (s *Service) permitted(ctx context.Context, ns api.NS, docs []doc, wanted map[string][]string) error {
	for _, kind := range api.Kinds {
		for _, perm := range wanted[kind] {
			err := s.d.Bus.Allow(ctx, perm, ns.Namespace)
			if err == nil {
				continue
			}
			e := errs.New(errs.Denied, "%s needs the permission %s, which you do not have in namespace %s", s.needing(ctx, ns, docs, kind, perm), perm, ns.Namespace)
			e.Hint = errs.Public(err).Hint
			return e
		}
	}
	return nil
}

// needing names the first document of a kind that takes a permission.
func (s *Service) needing(ctx context.Context, ns api.NS, docs []doc, kind, perm string) string {
	var last doc
	for _, d := range docs {
		if d.Kind != kind {
			continue
		}
		last = d
		out, err := s.ask(ctx, ns, kind, []api.SourceFile{{Name: d.File, Text: d.source}})
		if err == nil && slices.Contains(out.Needs, perm) {
			break
		}
	}
	return last.Kind + " " + last.Name + " (" + last.At("") + ")"
}

// asService returns ctx with the service itself as caller.
func (s *Service) asService(ctx context.Context) context.Context {
	return bus.AsService(ctx, s.d.Name)
}
