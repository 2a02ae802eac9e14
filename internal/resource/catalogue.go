package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/document"
)

// entry is something that can be ordered: a type, or a preset of one.
type entry struct {
	typ    *resourceType
	preset *preset // nil for the type itself
}

func (e entry) name() string {
	if e.preset != nil {
		return e.preset.name
	}
	return e.typ.name
}

// compiled keeps definitions in the form they are used in, by digest: what a digest means never
// changes, so nothing in it is ever stale.
type compiled struct {
	mu      sync.Mutex
	types   map[string]*resourceType
	presets map[string]*preset
}

// maxCompiled bounds how many of each are kept; when there are more, it begins anew.
const maxCompiled = 500

func kept[T any](c *compiled, m *map[string]T, digest string) (T, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := (*m)[digest]
	return v, ok
}

func keep[T any](c *compiled, m *map[string]T, digest string, v T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *m == nil || len(*m) >= maxCompiled {
		*m = map[string]T{}
	}
	(*m)[digest] = v
}

// typeOf returns the type that a definition describes.
func (s *Service) typeOf(def api.Definition) (*resourceType, error) {
	t, err := use(&s.known, &s.known.types, def, parseType)
	if err != nil || t.version == def.Version {
		return t, err
	}
	same := *t // another version may have the same text
	same.version = def.Version
	return &same, nil
}

// presetOf returns the preset that a definition describes.
func (s *Service) presetOf(def api.Definition) (*preset, error) {
	return use(&s.known, &s.known.presets, def, parsePreset)
}

func use[T any](c *compiled, m *map[string]T, def api.Definition, parse func(*document.Document) (T, []errs.Problem)) (T, error) {
	if v, ok := kept(c, m, def.Digest); ok {
		return v, nil
	}
	var none T
	d, err := document.FromJSON(def.Kind+"/"+def.Name, def.Document)
	if err != nil {
		return none, err
	}
	v, problems := parse(d)
	if len(problems) > 0 {
		return none, errs.New(errs.Invalid, "%s %s is not sound any more", def.Kind, def.Name).WithProblems(problems...).
			WithHint("nothing is wrong with the request: tell the author of %s %s", def.Kind, def.Name)
	}
	keep(c, m, def.Digest, v)
	return v, nil
}

// definition fetches the newest version of a definition.
func (s *Service) definition(ctx context.Context, ns api.NS, kind, name string) (api.Definition, error) {
	return api.GetDefinition.Call(s.asService(ctx), s.d.Bus, api.GetDefinitionIn{NS: ns, Kind: kind, Name: name})
}

// definitions lists the definitions of a kind without their text.
func (s *Service) definitions(ctx context.Context, ns api.NS, kind string) (all []api.Definition, err error) {
	in := api.ListDefinitionsIn{NS: ns, Kind: kind, Paging: api.Paging{Limit: 1000}}
	for {
		page, err := api.ListDefinitions.Call(s.asService(ctx), s.d.Bus, in)
		if err != nil {
			return nil, fmt.Errorf("list the definitions of kind %s: %w", kind, err)
		}
		all = append(all, page.Items...)
		if in.Cursor = page.Cursor; in.Cursor == "" {
			return all, nil
		}
	}
}

// whole returns def with its text, unless its compiled form is at hand.
func (s *Service) whole(ctx context.Context, ns api.NS, def api.Definition) (api.Definition, error) {
	_, isType := kept(&s.known, &s.known.types, def.Digest)
	_, isPreset := kept(&s.known, &s.known.presets, def.Digest)
	if isType || isPreset {
		return def, nil
	}
	return s.definition(ctx, ns, def.Kind, def.Name)
}

func (s *Service) asService(ctx context.Context) context.Context { return bus.AsService(ctx, s.d.Name) }

// entry returns the catalogue entry of that name: the preset, or the type. It returns errs.NotFound
// with what may have been meant.
func (s *Service) entry(ctx context.Context, ns api.NS, name string) (entry, error) {
	def, err := s.definition(ctx, ns, api.KindPreset, name)
	if errs.Is(err, errs.NotFound) {
		def, err = s.definition(ctx, ns, api.KindResourceType, name)
		if errs.Is(err, errs.NotFound) {
			return entry{}, s.missing(ctx, ns, name)
		}
		if err != nil {
			return entry{}, err
		}
		t, err := s.typeOf(def)
		return entry{typ: t}, err
	}
	if err != nil {
		return entry{}, err
	}
	b, err := s.presetOf(def)
	if err != nil {
		return entry{}, err
	}
	def, err = s.definition(ctx, ns, api.KindResourceType, b.of)
	if errs.Is(err, errs.NotFound) {
		return entry{}, errs.New(errs.Invalid, "%s is a preset of the resource type %s, which does not exist any more", name, b.of).
			WithHint("tell the author of preset %s", name)
	}
	if err != nil {
		return entry{}, err
	}
	t, err := s.typeOf(def)
	return entry{typ: t, preset: b}, err
}

// missing is the error of an entry that is not there.
func (s *Service) missing(ctx context.Context, ns api.NS, name string) error {
	e := errs.New(errs.NotFound, "the catalogue of %s has no entry %.127q", ns.Namespace, name).WithHint("`tutti catalogue` lists what can be ordered")
	var names []string
	for _, kind := range []string{api.KindPreset, api.KindResourceType} {
		defs, err := s.definitions(ctx, ns, kind)
		if err != nil {
			return err
		}
		for _, d := range defs {
			names = append(names, d.Name)
		}
	}
	if near := document.Nearest(name, names); near != "" {
		e.Hint = "did you mean " + near + "?"
	}
	return e
}

// listEntries returns the catalogue, presets first, each by name. An entry that is not sound any more
// is left out.
func (s *Service) listEntries(ctx context.Context, in api.ListEntriesIn) (api.Page[api.Entry], error) {
	types := map[string]*resourceType{}
	var presets, bare []api.Entry
	defs, err := s.definitions(ctx, in.NS, api.KindResourceType)
	if err != nil {
		return api.Page[api.Entry]{}, err
	}
	for _, def := range defs {
		t, err := load(ctx, s, in.NS, def, s.typeOf)
		if err != nil {
			s.d.Log.Warn("resource type left out of the catalogue", "name", def.Name, "err", err)
			continue
		}
		types[t.name] = t
		bare = append(bare, entry{typ: t}.summary())
	}
	if defs, err = s.definitions(ctx, in.NS, api.KindPreset); err != nil {
		return api.Page[api.Entry]{}, err
	}
	for _, def := range defs {
		b, err := load(ctx, s, in.NS, def, s.presetOf)
		if err != nil || types[b.of] == nil {
			s.d.Log.Warn("preset left out of the catalogue", "name", def.Name, "err", err)
			continue
		}
		presets = append(presets, entry{typ: types[b.of], preset: b}.summary())
	}
	return api.Page[api.Entry]{Items: append(append([]api.Entry{}, presets...), bare...)}, nil
}

func load[T any](ctx context.Context, s *Service, ns api.NS, def api.Definition, of func(api.Definition) (T, error)) (T, error) {
	def, err := s.whole(ctx, ns, def)
	if err != nil {
		var none T
		return none, err
	}
	return of(def)
}

// getEntry returns an entry with the schema of what it asks.
func (s *Service) getEntry(ctx context.Context, in api.EntryIn) (api.Entry, error) {
	e, err := s.entry(ctx, in.NS, in.Name)
	if err != nil {
		return api.Entry{}, err
	}
	out := e.summary()
	out.Schema = e.form()
	if len(e.typ.workflows) == 1 { // else it depends on what is asked
		d, err := api.WorkflowDurations.Call(s.asService(ctx), s.d.Bus, api.DurationsIn{NS: in.NS, Name: e.typ.workflows[0].use})
		if err == nil { // the entry is as good without
			out.Expected = d.Expected
		}
	}
	return out, nil
}

// summary is the entry as lists show it.
func (e entry) summary() api.Entry {
	t := e.typ
	out := api.Entry{Name: t.name, Kind: api.KindResourceType, Type: t.name, Title: t.title, Doc: t.description, Tags: t.tags}
	if b := e.preset; b != nil {
		out.Name, out.Kind, out.Locked = b.name, api.KindPreset, b.set
		out.Title = first(b.title, b.name)
		out.Doc = first(b.description, t.description)
		if len(b.tags) > 0 {
			out.Tags = b.tags
		}
	}
	return out
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// form is the JSON Schema of what the entry asks: without what a preset fixes, with what it fills in
// as defaults.
func (e entry) form() json.RawMessage {
	schema := maps.Clone(e.typ.schema)
	if b := e.preset; b != nil {
		props, _ := schema["properties"].(map[string]any)
		asked := map[string]any{}
		for name, sub := range props {
			v, filled := b.defaults[name]
			if fields, ok := sub.(map[string]any); ok && filled {
				fields = maps.Clone(fields)
				fields["default"] = v
				sub = fields
			}
			if _, fixed := b.set[name]; !fixed {
				asked[name] = sub
			}
		}
		schema["properties"] = asked
		required, _ := schema["required"].([]any)
		schema["required"] = slices.DeleteFunc(slices.Clone(required), func(name any) bool {
			key := text(name)
			_, fixed := b.set[key]
			_, filled := b.defaults[key]
			return fixed || filled
		})
		if b.title != "" {
			schema["title"] = b.title
		}
	}
	return document.Canonical(schema)
}
