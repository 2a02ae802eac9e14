package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
)

// asked is what a request is about, before it is validated.
type asked struct {
	entry  entry
	action string         // create, modify or delete
	params map[string]any // all that the resource shall have
	now    *api.Resource  // as it stands; nil where it does not exist
}

// spec is the common format as it stands, {} where nothing exists.
func (a asked) spec() map[string]any {
	spec, _ := a.current()["spec"].(map[string]any)
	if spec == nil {
		spec = map[string]any{}
	}
	return spec
}

// current is what templates and handlers may know of what exists; an empty map where nothing does.
func (a asked) current() map[string]any {
	out := map[string]any{}
	if a.now == nil {
		return out
	}
	for name, v := range map[string]json.RawMessage{"spec": a.now.Spec, "params": a.now.Params, "outputs": a.now.Outputs} {
		out[name] = valueOf(v)
	}
	if a.now.Source != nil {
		out["source"] = sourceValue(*a.now.Source)
	}
	return out
}

// valueOf reads JSON that we wrote; nil where there is none.
func valueOf(raw json.RawMessage) any {
	var v any
	if len(raw) == 0 || json.Unmarshal(raw, &v) != nil {
		return nil
	}
	return v
}

// asked finds out what a request is about: to create the entry, or the resource that it names.
func (s *Service) asked(ctx context.Context, ns api.NS, in api.Ask, params map[string]any) (asked, error) {
	if in.Action == "" || in.Action == api.ActionCreate {
		e, err := s.entry(ctx, ns, in.Entry)
		return asked{entry: e, action: api.ActionCreate, params: params}, err
	}
	if in.Type == "" || in.Name == "" {
		return asked{}, refuse(in.Action, []errs.Problem{{Location: "body.type", Message: "to " + words[in.Action] + " takes the type and the name of a resource", Hint: "give type and name"}})
	}
	at := api.ResourceIn{NS: ns, Type: in.Type, Name: in.Name}
	now, err := current(ctx, s.d.DB, at)
	if errs.Is(err, errs.NotFound) && in.Action != api.ActionRollback {
		_, err = s.get(ctx, at) // says more
	}
	exists := err == nil
	if err != nil && !errs.Is(err, errs.NotFound) || err != nil && in.Action != api.ActionRollback {
		return asked{}, err
	}
	if exists {
		if err := stands(in, now); err != nil {
			return asked{}, err
		}
	}
	a := asked{action: in.Action, params: params}
	if exists {
		a.now = &now
	}
	name := first(now.Entry, in.Type)
	switch in.Action {
	case api.ActionRollback:
		c, err := s.target(ctx, at, in.To)
		if err != nil {
			return asked{}, err
		}
		a.action, name = api.ActionModify, first(c.entry, in.Type)
		if !exists {
			a.action = api.ActionCreate
		}
		a.params, _ = valueOf(c.params).(map[string]any)
	case api.ActionModify:
		before, _ := valueOf(now.Params).(map[string]any)
		a.params, _ = merge(before, params).(map[string]any)
	case api.ActionDelete:
		a.params, _ = valueOf(now.Params).(map[string]any)
	}
	if a.params == nil {
		a.params = map[string]any{}
	}
	a.entry, err = s.entry(ctx, ns, name)
	if errs.Is(err, errs.NotFound) && name != in.Type { // the preset was withdrawn, its type was not
		a.entry, err = s.entry(ctx, ns, in.Type)
	}
	if err == nil && a.entry.typ.name != in.Type {
		err = errs.New(errs.Conflict, "the entry %s, by which %s %s was made, is now of type %s", name, in.Type, in.Name, a.entry.typ.name)
	}
	return a, err
}

// words are the actions in sentences.
var words = map[string]string{api.ActionModify: "modify", api.ActionDelete: "delete", api.ActionRollback: "roll back"}

// stands refuses what builds on something the resource has moved on from.
func stands(in api.Ask, now api.Resource) error {
	if in.Base == "" || matches(in.Base, now.Request, now.Source) {
		return nil
	}
	at := now.Request
	if now.Source != nil {
		at += ", commit " + now.Source.Commit
	}
	return errs.New(errs.Conflict, "%s %s has moved on from %.64s: it stands at request %s", in.Type, in.Name, in.Base, at).
		WithHint("look at what changed (tutti resource history %s %s), and ask again from there", in.Type, in.Name)
}

// minPrefix is how much of a commit or of a request has to be given.
const minPrefix = 7

// matches reports whether a text names a request or its commit: whole, or a beginning.
func matches(text, request string, source *api.SourceRef) bool {
	if len(text) < minPrefix {
		return text == request && text != ""
	}
	return strings.HasPrefix(request, text) || source != nil && strings.HasPrefix(source.Commit, text)
}

// target finds the change to roll back to.
func (s *Service) target(ctx context.Context, in api.ResourceIn, to string) (past, error) {
	if to == "" {
		return past{}, refuse("rollback", []errs.Problem{{Location: "body.to", Message: "a roll-back needs the commit or the request to go back to", Hint: "tutti resource history lists them"}})
	}
	all, err := pasts(ctx, s.d.DB, in)
	if err != nil {
		return past{}, err
	}
	if len(all) == 0 {
		return past{}, errs.New(errs.NotFound, "no %.127q named %.127q in namespace %s", in.Type, in.Name, in.Namespace)
	}
	var found []past
	for _, c := range all {
		if matches(to, c.Request, c.Source) {
			found = append(found, c)
		}
	}
	history := fmt.Sprintf("tutti resource history %s %s lists what there is", in.Type, in.Name)
	switch {
	case len(found) == 0:
		return past{}, errs.New(errs.NotFound, "nothing in the history of %s %s is %.64q", in.Type, in.Name, to).WithHint("%s", history)
	case len(found) > 1:
		return past{}, errs.New(errs.Conflict, "%.64q is the beginning of more than one", to).WithHint("give more characters; %s", history)
	case found[0].State != api.Succeeded || found[0].Action == api.ActionDelete || len(found[0].params) == 0:
		return past{}, errs.New(errs.Conflict, "request %s left nothing to go back to: it is a %s that %s", found[0].Request, first(found[0].Action, api.ActionCreate), found[0].State).
			WithHint("choose one that succeeded; %s", history)
	}
	return found[0], nil
}

// allowed refuses what the type does not offer.
func (a asked) allowed(in api.Ask) error {
	t := a.entry.typ
	if _, ok := t.courses[a.action]; !ok {
		hint := "its type says nothing of it: the author of " + t.name + " adds actions." + a.action
		return errs.New(errs.Conflict, "a %s cannot be %s by request", t.name, map[string]string{api.ActionModify: "modified", api.ActionDelete: "deleted"}[a.action]).WithHint("%s", hint)
	}
	if _, ok := t.courses[api.ActionDelete]; in.TTL > 0 && !ok {
		return refuse(a.entry.name(), []errs.Problem{{Location: "body.ttl", Message: "a " + t.name + " cannot be deleted by request, so it cannot expire",
			Hint: "leave ttl out, or have actions.delete added to its type"}})
	}
	if a.action == api.ActionDelete && (len(in.Params) > 0 && string(in.Params) != "{}" || in.TTL > 0) {
		return refuse("delete", []errs.Problem{{Location: body, Message: "to delete takes no parameters and no ttl", Hint: "leave them out"}})
	}
	return nil
}

// free refuses what another request is changing, what exists already, and a change of the name.
func (s *Service) free(ctx context.Context, ns api.NS, a asked, name string) error {
	t := a.entry.typ
	if a.now != nil && a.now.Name != name {
		return refuse(a.entry.name(), []errs.Problem{{Location: body, Message: fmt.Sprintf("this would make %s of %s: a name stays", name, a.now.Name), Hint: "leave the name out, or make another and delete this one"}})
	}
	if !t.exclusive() {
		return nil
	}
	in := api.ResourceIn{NS: ns, Type: t.name, Name: name}
	holder, err := holderOf(ctx, s.d.DB, in)
	if err != nil {
		return err
	}
	if holder != "" {
		return busy(in, holder)
	}
	if a.now != nil {
		return nil
	}
	_, err = current(ctx, s.d.DB, in)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return exists(in)
}

// exclusive says that resources of t are changed by one request at a time, and made once.
func (t *resourceType) exclusive() bool { return t.repository != "" || len(t.can()) > 0 }

func busy(in api.ResourceIn, holder string) error {
	return errs.New(errs.Conflict, "request %s is changing %s %s", holder, in.Type, in.Name).WithHint("wait for its end: tutti wait %s", holder)
}

func exists(in api.ResourceIn) error {
	return errs.New(errs.Conflict, "there is a %s %s already", in.Type, in.Name).
		WithHint("change it (tutti resource modify %s %s), or choose another name", in.Type, in.Name)
}

// merge applies a merge patch (RFC 7396).
func merge(to any, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	m, ok := to.(map[string]any)
	if !ok {
		m = map[string]any{}
	}
	m = maps.Clone(m)
	for _, k := range slices.Sorted(maps.Keys(p)) {
		if p[k] == nil {
			delete(m, k)
			continue
		}
		m[k] = merge(m[k], p[k])
	}
	return m
}

// maxChanges bounds the differences that a plan tells of one resource.
const maxChanges = 500

// changes are the fields that a request would change.
func (a asked) changes(spec map[string]any) ([]api.FieldChange, error) {
	if a.action == api.ActionDelete {
		spec = map[string]any{}
	}
	return api.Compare(document.Canonical(a.spec()), document.Canonical(spec), maxChanges)
}
