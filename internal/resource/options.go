package resource

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/workflow/expr"
)

// maxOptions bounds the choices of a field, and the resources that they may come from.
const maxOptions = 1000

// optionSource is a field whose choices are resources: x-options in its schema.
type optionSource struct {
	field        string // "network", or "disks.storage" inside of lists and objects
	of           string // the resource type
	value, title *expr.Program
	where        *expr.Program // nil takes all
}

// readsOption are the names that the expressions of x-options may read.
var readsOption = []string{"resource", "params", "requester"}

// optionsKeyword is where a schema says that choices come from resources.
const optionsKeyword = "x-options"

// optionSources finds x-options in the schema of a type, in fields within fields too.
func (p *parser) optionSources(at, field string, schema any) (out []optionSource) {
	s, _ := schema.(map[string]any)
	if x, ok := s[optionsKeyword]; ok && field != "" {
		if o, ok := p.optionSource(at+"/"+optionsKeyword, field, x); ok {
			out = append(out, o)
		}
	}
	if items, ok := s["items"]; ok {
		out = append(out, p.optionSources(at+"/items", field, items)...)
	}
	props, _ := s["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(props)) {
		inner := name
		if field != "" {
			inner = field + "." + name
		}
		out = append(out, p.optionSources(at+document.Pointer("properties", name), inner, props[name])...)
	}
	return out
}

func (p *parser) optionSource(at, field string, x any) (o optionSource, ok bool) {
	const form = "write x-options: { resources: TYPE, value: resource.name, where: CONDITION }; value and where may be left out"
	m, isMap := x.(map[string]any)
	o = optionSource{field: field, of: text(m["resources"])}
	if !isMap || o.of == "" {
		p.fail(p.d.At(at), "x-options does not say which resources can be chosen", form)
		return o, false
	}
	before := len(p.problems)
	for key, v := range m {
		switch source, isText := v.(string); {
		case key == "resources":
		case key != "value" && key != "title" && key != "where":
			p.fail(p.d.KeyAt(at+document.Pointer(key)), fmt.Sprintf("x-options has no field %q", key), form)
		case !isText:
			p.fail(p.d.At(at+document.Pointer(key)), key+" is not an expression", form)
		case key == "value":
			o.value = p.expression(at+"/value", source, readsOption)
		case key == "title":
			o.title = p.expression(at+"/title", source, readsOption)
		default:
			o.where = p.expression(at+"/where", source, readsOption)
		}
	}
	return o, len(p.problems) == before
}

// options answers resource.options.
func (s *Service) options(ctx context.Context, in api.EntryOptionsIn) (api.Options, error) {
	params, err := decode(in.Body.Params)
	if err != nil {
		return api.Options{}, err
	}
	e, err := s.entry(ctx, in.NS, in.Name)
	if err != nil {
		return api.Options{}, err
	}
	spec, _ := e.ask(params) // what is wrong with it so far does not matter
	fields, err := s.choices(ctx, in.NS, e.typ, spec, bus.Subject(ctx))
	if err != nil {
		return api.Options{}, err
	}
	if e.preset != nil {
		for name := range e.preset.set {
			delete(fields, name) // it is not asked
		}
	}
	return api.Options{Fields: fields}, nil
}

// choices returns what the fields of a type may be, given what is asked for so far: the resources that its
// schema names, then what the function options of its handler says, which wins.
func (s *Service) choices(ctx context.Context, ns api.NS, t *resourceType, spec map[string]any, requester string) (map[string][]api.Option, error) {
	out := map[string][]api.Option{}
	for _, src := range t.options {
		list, err := s.fromResources(ctx, ns, src, spec, requester)
		if err != nil {
			return nil, t.evalError("x-options of "+src.field, err)
		}
		out[src.field] = list
	}
	if t.handler == nil || !t.handler.Has("options") {
		return out, nil
	}
	views, err := s.offers(ctx, ns, t)
	if err != nil {
		return nil, err
	}
	said, err := t.handler.Call(ctx, "options", map[string]any{"params": spec, "context": map[string]any{"namespace": ns.Namespace, "type": t.name, "requester": requester, "views": views.values()}}, handlerLimits)
	if err != nil {
		return nil, t.handlerError(err)
	}
	fields, ok := plain(said).(map[string]any)
	if !ok {
		return nil, t.fault("its function options did not return a dict")
	}
	for field, v := range fields {
		list, ok := v.([]any)
		if !ok || len(list) > maxOptions {
			return nil, t.fault(fmt.Sprintf("its function options returned no list, or more than %d values, for %.100s", maxOptions, field))
		}
		out[field] = make([]api.Option, len(list))
		for i, v := range list {
			out[field][i] = optionOf(v)
		}
	}
	return out, nil
}

// optionOf reads a choice as a handler says it: a value, or {"value": …, "title": …, "off": …}.
func optionOf(v any) api.Option {
	if m, ok := v.(map[string]any); ok {
		if value, ok := m["value"]; ok {
			return api.Option{Value: document.Canonical(value), Title: text(m["title"]), Off: text(m["off"])}
		}
	}
	return api.Option{Value: document.Canonical(v)}
}

// fromResources returns the resources of a type that can be chosen.
func (s *Service) fromResources(ctx context.Context, ns api.NS, src optionSource, spec map[string]any, requester string) ([]api.Option, error) {
	all, err := resourcesOf(ctx, s.d.DB, ns.Namespace, src.of, maxOptions)
	if err != nil {
		return nil, err
	}
	out := []api.Option{}
	for _, r := range all {
		var v map[string]any
		b, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, &v); err != nil {
			return nil, err
		}
		env := expr.Env{"resource": v, "params": spec, "requester": requester}
		if src.where != nil {
			// A condition without a value, such as one over a field that is not filled in yet, holds for nothing.
			if ok, err := src.where.Bool(env); err != nil || !ok {
				continue
			}
		}
		o := api.Option{Value: document.Canonical(r.Name)}
		if src.value != nil {
			value, err := src.value.Eval(env)
			if err != nil || value == nil {
				continue
			}
			o.Value = document.Canonical(value)
		}
		if src.title != nil {
			o.Title, _ = src.title.Text(env)
		}
		out = append(out, o)
	}
	return out, nil
}

// permitted complains of values that cannot be chosen.
func permitted(spec map[string]any, fields map[string][]api.Option) (problems []errs.Problem) {
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		each(spec, strings.Split(field, "."), body, func(at string, v any) {
			for _, o := range fields[field] {
				var value any
				if json.Unmarshal(o.Value, &value) != nil || !reflect.DeepEqual(value, v) {
					continue
				}
				if o.Off != "" {
					problems = append(problems, errs.Problem{Location: at, Message: o.Off, Hint: offered(fields[field])})
				}
				return
			}
			problems = append(problems, errs.Problem{Location: at, Message: fmt.Sprintf("%.100s is not offered", spoken(v)), Hint: offered(fields[field])})
		})
	}
	return problems
}

// each calls f with every value at a path, going through lists; a value that is not there is none.
func each(v any, path []string, at string, f func(at string, v any)) {
	if list, ok := v.([]any); ok {
		for i, item := range list {
			each(item, path, at+"["+strconv.Itoa(i)+"]", f)
		}
		return
	}
	if len(path) == 0 {
		if v != nil {
			f(at, v)
		}
		return
	}
	if m, ok := v.(map[string]any); ok {
		each(m[path[0]], path[1:], at+"."+path[0], f)
	}
}

// spoken is a value as a person writes it.
func spoken(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return string(document.Canonical(v))
}

// offered says what can be chosen.
func offered(all []api.Option) string {
	var out []string
	for _, o := range all {
		var v any
		if o.Off == "" && json.Unmarshal(o.Value, &v) == nil {
			out = append(out, spoken(v))
		}
	}
	switch n := len(out); {
	case n == 0:
		return "nothing can be chosen now"
	case n > 12:
		return fmt.Sprintf("choose one of %s and %d others", strings.Join(out[:11], ", "), n-11)
	}
	return "choose " + cmp.Or(map[bool]string{true: out[0]}[len(out) == 1], "one of "+strings.Join(out, ", "))
}
