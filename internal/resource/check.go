package resource

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
)

// overlay is the definitions as they would be once some files were applied.
type overlay struct {
	s    *Service
	ns   api.NS
	docs map[[2]string]*document.Document
	// broken says that a file holds something that cannot be read, so that what seems to be missing
	// may be in there; whoever applies hears of that anyway.
	broken bool
}

func (s *Service) overlay(in api.CheckIn) *overlay {
	o := &overlay{s: s, ns: in.NS, docs: map[[2]string]*document.Document{}}
	for _, f := range in.Files {
		docs, problems := document.Parse(f.Name, []byte(f.Text))
		o.broken = o.broken || len(problems) > 0
		for _, d := range docs {
			o.docs[[2]string{d.Kind, d.Name}] = d
		}
	}
	return o
}

// exists reports whether a definition is there.
func (o *overlay) exists(ctx context.Context, kind, name string) (bool, error) {
	if o.docs[[2]string{kind, name}] != nil {
		return true, nil
	}
	_, err := o.s.definition(ctx, o.ns, kind, name)
	if errs.Is(err, errs.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// typ returns a resource type; nil where it is not there or not sound, found tells which.
func (o *overlay) typ(ctx context.Context, name string) (t *resourceType, found bool, err error) {
	if d := o.docs[[2]string{api.KindResourceType, name}]; d != nil {
		t, _ := parseType(d)
		return t, true, nil
	}
	def, err := o.s.definition(ctx, o.ns, api.KindResourceType, name)
	if errs.Is(err, errs.NotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if t, err = o.s.typeOf(def); errs.Is(err, errs.Invalid) {
		return nil, true, nil
	}
	return t, true, err
}

// missing is the problem of a reference to nothing.
func (o *overlay) missing(ctx context.Context, at, kind, name string) ([]errs.Problem, error) {
	if o.broken {
		return nil, nil
	}
	p := errs.Problem{Location: at, Message: fmt.Sprintf("there is no %s %q", kind, name), Hint: "apply it before, or in the same call"}
	names := []string{}
	for id := range o.docs {
		if id[0] == kind {
			names = append(names, id[1])
		}
	}
	defs, err := o.s.definitions(ctx, o.ns, kind)
	for _, d := range defs {
		names = append(names, d.Name)
	}
	if near := document.Nearest(name, names); near != "" {
		p.Hint = "did you mean " + near + "?"
	}
	return []errs.Problem{p}, err
}

// checkTypes answers for the kind ResourceType.
func (s *Service) checkTypes(ctx context.Context, in api.CheckIn) (out api.CheckOut, err error) {
	o := s.overlay(in)
	for id, d := range o.docs {
		if id[0] != api.KindResourceType {
			continue
		}
		problems, err := o.checkType(ctx, d)
		if err != nil {
			return out, err
		}
		out.Problems = append(out.Problems, problems...)
		if v, _ := d.Value().(map[string]any); v != nil {
			if _, ok := v["handler"].(map[string]any); ok {
				out.Needs = []string{"task.exec"}
			}
		}
	}
	return out, nil
}

// checkViews complains of views that are not there.
func (o *overlay) checkViews(ctx context.Context, t *resourceType, d *document.Document) (problems []errs.Problem, err error) {
	at := map[string]string{}
	for i, v := range t.views {
		at[v] = d.At(document.Pointer("views", strconv.Itoa(i)))
	}
	if t.placement != nil {
		at[t.placement.view] = d.At("/placement/view")
	}
	for _, v := range slices.Sorted(maps.Keys(at)) {
		ok, err := o.exists(ctx, api.KindView, v)
		if err != nil {
			return nil, err
		}
		if !ok {
			more, err := o.missing(ctx, at[v], api.KindView, v)
			if err != nil {
				return nil, err
			}
			problems = append(problems, more...)
		}
	}
	return problems, nil
}

func (o *overlay) checkType(ctx context.Context, d *document.Document) ([]errs.Problem, error) {
	t, problems := parseType(d)
	if t == nil {
		return problems, nil
	}
	for _, c := range slices.Concat(t.choices(), t.converge) {
		ok, err := o.exists(ctx, api.KindWorkflow, c.use)
		if err != nil {
			return nil, err
		}
		if !ok {
			more, err := o.missing(ctx, d.At(c.at), api.KindWorkflow, c.use)
			if err != nil {
				return nil, err
			}
			problems = append(problems, more...)
		}
	}
	more, err := o.checkViews(ctx, t, d)
	if err != nil {
		return nil, err
	}
	problems = append(problems, more...)
	more, err = o.alone(ctx, d, api.KindPreset)
	if err != nil {
		return nil, err
	}
	problems = append(problems, more...)
	more, err = o.presetsOf(ctx, t, d)
	return append(problems, more...), err
}

// alone complains where an entry of the other kind has the same name: a name orders one thing.
func (o *overlay) alone(ctx context.Context, d *document.Document, other string) ([]errs.Problem, error) {
	ok, err := o.exists(ctx, other, d.Name)
	if err != nil || !ok {
		return nil, err
	}
	return []errs.Problem{{Location: d.At("/name"), Message: fmt.Sprintf("there is a %s named %q", other, d.Name), Hint: "entries of the catalogue share their names: choose another"}}, nil
}

// presetsOf complains of presets in the store that a changed type would break.
func (o *overlay) presetsOf(ctx context.Context, t *resourceType, d *document.Document) (problems []errs.Problem, err error) {
	defs, err := o.s.definitions(ctx, o.ns, api.KindPreset)
	if err != nil {
		return nil, err
	}
	for _, def := range defs {
		if o.docs[[2]string{def.Kind, def.Name}] != nil {
			continue
		}
		b, err := load(ctx, o.s, o.ns, def, o.s.presetOf)
		if errs.Is(err, errs.Invalid) || errs.Is(err, errs.NotFound) {
			continue // broken before, or withdrawn meanwhile
		}
		if err != nil {
			return nil, err
		}
		if b.of != t.name {
			continue
		}
		for _, p := range b.fits(t, func(string) string { return d.At("/schema") }) {
			p.Message = "this breaks the preset " + b.name + ": " + p.Message
			p.Hint = "change the preset in the same call"
			problems = append(problems, p)
		}
	}
	return problems, nil
}

// checkPresets answers for the kind Preset.
func (s *Service) checkPresets(ctx context.Context, in api.CheckIn) (out api.CheckOut, err error) {
	o := s.overlay(in)
	for id, d := range o.docs {
		if id[0] != api.KindPreset {
			continue
		}
		problems, err := o.checkPreset(ctx, d)
		if err != nil {
			return out, err
		}
		out.Problems = append(out.Problems, problems...)
	}
	return out, nil
}

func (o *overlay) checkPreset(ctx context.Context, d *document.Document) ([]errs.Problem, error) {
	b, problems := parsePreset(d)
	if b == nil {
		return problems, nil
	}
	t, found, err := o.typ(ctx, b.of)
	if err != nil {
		return nil, err
	}
	if !found {
		more, err := o.missing(ctx, d.At("/of"), api.KindResourceType, b.of)
		if err != nil {
			return nil, err
		}
		problems = append(problems, more...)
	}
	if t != nil {
		problems = append(problems, b.fits(t, d.KeyAt)...)
	}
	more, err := o.alone(ctx, d, api.KindResourceType)
	return append(problems, more...), err
}
