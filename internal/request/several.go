package request

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
)

// several stands for the type, and the workflow, of a request whose resources have not the same one.
const several = "several"

const (
	// maxItems bounds the resources of a request as they are stored, in bytes.
	maxItems = 2 << 20
	// maxResources is how many resources a request may have.
	maxResources = 200
)

// item is one resource of a request for several, as it is stored.
type item struct {
	api.RequestItem
	Inputs json.RawMessage `json:"inputs,omitempty"`
}

// filing is a resource that is to be filed before the run.
type filing struct {
	Index   int `json:"index"`
	Version int `json:"version"` // of its type
}

// items are the resources as the API tells of them.
func (r row) items() (out []api.RequestItem) {
	for _, it := range r.Items {
		out = append(out, it.RequestItem)
	}
	return out
}

// ask is one resource that is asked for, and where that stands in the request.
type ask struct {
	api.Ask
	at string
	// entry is the number of the entry it comes from: one with a count makes many.
	entry int
}

// resolved is what became of an ask.
type resolved struct {
	api.Resolved
	ask ask
}

// canonical brings the params of a body into their canonical form.
func canonical(b *api.CreateRequestBody) (err error) {
	if len(b.Resources) > 0 && (b.Entry != "" || len(b.Params) > 0 || b.Action != "" || b.Type != "" || b.Name != "" || b.Count != 0 || b.TTL != 0 || b.To != "" || b.Base != "") {
		return invalid("the request", []errs.Problem{{Location: "body.resources", Message: "the request has resources and, beside them, an entry of its own", Hint: "put all of it under resources"}})
	}
	if len(b.Resources) == 0 {
		b.Params, err = params(b.Params)
		return err
	}
	b.Resources = slices.Clone(b.Resources)
	for i := range b.Resources {
		if b.Resources[i].Params, err = params(b.Resources[i].Params); err != nil {
			return elsewhere(err, "body.resources["+strconv.Itoa(i)+"]")
		}
	}
	return nil
}

// elsewhere is err with its problems below another place than "body".
func elsewhere(err error, at string) error {
	e := errs.Public(err)
	if len(e.Problems) == 0 {
		return err
	}
	return errs.New(e.Kind, "%s", e.Msg).WithHint("%s", e.Hint).WithProblems(below(e.Problems, at)...)
}

// below puts problems with "body" at another place.
func below(problems []errs.Problem, at string) []errs.Problem {
	out := slices.Clone(problems)
	for i, p := range out {
		if rest, ok := strings.CutPrefix(p.Location, "body"); ok {
			out[i].Location = at + rest
		}
	}
	return out
}

// asksOf are the resources that a body asks for, each by itself.
func asksOf(b api.CreateRequestBody) (out []ask, problems []errs.Problem) {
	for i, a := range b.Asks() {
		at := "body"
		if len(b.Resources) > 0 {
			at = "body.resources[" + strconv.Itoa(i) + "]"
		}
		if wrong := shapeOf(a, at); len(wrong) > 0 {
			problems = append(problems, wrong...)
			continue
		}
		if a.Count < 2 {
			out = append(out, ask{a, at, i})
			continue
		}
		all, wrong := numbered(a, at)
		if wrong != nil {
			problems = append(problems, *wrong)
			continue
		}
		for _, one := range all {
			out = append(out, ask{one, at, i})
		}
	}
	if len(out) > maxResources {
		problems = append(problems, errs.Problem{Location: "body.resources", Message: fmt.Sprintf("these are %d resources, a request has at most %d", len(out), maxResources), Hint: "make several requests of it"})
	}
	return out, problems
}

// shapeOf says what of an ask does not go together.
func shapeOf(a api.Ask, at string) (problems []errs.Problem) {
	create := a.Action == "" || a.Action == api.ActionCreate
	fail := func(field, message, hint string) {
		problems = append(problems, errs.Problem{Location: at + "." + field, Message: message, Hint: hint})
	}
	switch {
	case create && a.Entry == "":
		fail("entry", "nothing is named that is to be made", "give entry, a name of the catalogue; or action with type and name")
	case create && (a.Type != "" || a.Name != ""):
		fail("type", "type and name are of what exists", "to create, give entry and params; to change, give action: modify")
	case !create && a.Entry != "":
		fail("entry", "an entry is for what is made", "leave it out: type and name say which resource")
	case !create && a.Count > 1:
		fail("count", "a count is for what is made", "leave it out")
	case a.To != "" && a.Action != api.ActionRollback:
		fail("to", "to is for action: rollback", "leave it out")
	case create && a.Base != "":
		fail("base", "what is made builds on nothing", "leave it out")
	}
	return problems
}

// numbered makes count asks of one, each with a name of its own.
func numbered(a api.Ask, at string) (out []api.Ask, wrong *errs.Problem) {
	var p map[string]json.RawMessage
	var name string
	if json.Unmarshal(a.Params, &p) != nil || json.Unmarshal(p["name"], &name) != nil || name == "" {
		return nil, &errs.Problem{Location: at + ".params.name", Message: "a count needs the parameter name, as text: it is what is numbered", Hint: `name: web gives web-01, web-02; name: "web{n}-a" gives web01-a`}
	}
	if !strings.Contains(name, "{n}") {
		name += "-{n}"
	}
	width := max(2, len(strconv.Itoa(a.Count)))
	for n := 1; n <= a.Count; n++ {
		one := a
		one.Count = 0
		own := map[string]json.RawMessage{}
		for k, v := range p {
			own[k] = v
		}
		own["name"], _ = json.Marshal(strings.ReplaceAll(name, "{n}", fmt.Sprintf("%0*d", width, n)))
		one.Params, _ = json.Marshal(own)
		out = append(out, one)
	}
	return out, nil
}

// resolveAll asks what each resource of a body becomes. It returns all that is wrong, each with its
// place, and then nothing of it is accepted.
func (s *Service) resolveAll(ctx context.Context, namespace string, b api.CreateRequestBody, requester string) ([]resolved, error) {
	asks, problems := asksOf(b)
	if len(problems) > 0 {
		return nil, invalid("the request", problems)
	}
	ctx = s.asService(ctx, bus.TraceFrom(ctx))
	var out []resolved
	var kind errs.Kind
	broken, names := map[int]bool{}, map[string]string{}
	for _, a := range asks {
		if broken[a.entry] { // of twenty alike one complaint is enough
			continue
		}
		res, err := api.ResolveResource.Call(ctx, s.d.Bus, api.ResolveIn{NS: api.NS{Namespace: namespace}, Ask: a.Ask, Requester: requester})
		if err != nil && (!final(err) || len(b.Resources) == 0) {
			return nil, err
		}
		if err != nil {
			e := errs.Public(err)
			if kind == "" {
				kind = e.Kind
			}
			more := below(e.Problems, a.at)
			if len(more) == 0 {
				more = []errs.Problem{{Location: a.at, Message: e.Msg, Hint: e.Hint}}
			}
			problems, broken[a.entry] = append(problems, more...), true
			continue
		}
		if key := res.Type + "/" + res.Name; names[key] != "" {
			problems = append(problems, errs.Problem{Location: a.at, Message: fmt.Sprintf("%s %s is asked for already, at %s", res.Type, res.Name, names[key]), Hint: "a resource is changed once by a request"})
		} else {
			names[key] = a.at
		}
		out = append(out, resolved{res, a})
	}
	if len(problems) > 0 {
		if kind == "" {
			kind = errs.Invalid
		}
		return nil, errs.New(kind, "the request cannot be accepted").WithProblems(problems[:min(len(problems), 100)]...)
	}
	return out, nil
}

// itemOf is a resource of a request for several.
func itemOf(x resolved) item {
	it := item{RequestItem: api.RequestItem{Entry: x.Entry, Type: x.Type, Name: x.Name, Action: x.Action, Base: x.Base, TTL: x.ask.TTL,
		Params: x.Resolved.Params, Spec: x.Spec, Workflow: x.Workflow, State: api.Pending}, Inputs: x.Inputs}
	return it
}

// filings are the resources to be filed before the run.
func filings(all []resolved) (out []filing) {
	for i, x := range all {
		if x.Files {
			out = append(out, filing{i, x.Version})
		}
	}
	return out
}

// headlineOf is the title of a request for several resources.
func headlineOf(all []resolved) string {
	const most = 3
	var names []string
	for _, x := range all[:min(len(all), most)] {
		names = append(names, x.Name)
	}
	title := fmt.Sprintf("%d resources: %s", len(all), strings.Join(names, ", "))
	if len(all) > most {
		title += fmt.Sprintf(" and %d more", len(all)-most)
	}
	return clip(title, 200)
}

// again is the body that asks for the same as r.
func again(r row) api.CreateRequestBody {
	b := api.CreateRequestBody{Title: r.Title, Notify: r.Notify}
	one := func(it api.RequestItem) api.Ask {
		a := api.Ask{Action: it.Action, TTL: it.TTL}
		if it.Action != api.ActionDelete {
			a.Params = it.Params
		}
		if it.Action == "" || it.Action == api.ActionCreate {
			a.Action, a.Entry = "", it.Entry
		} else {
			a.Type, a.Name = it.Type, it.Name
		}
		return a
	}
	if len(r.Items) == 0 {
		a := one(r.Request.Items()[0])
		b.Entry, b.Params, b.Action, b.Type, b.Name, b.TTL = a.Entry, a.Params, a.Action, a.Type, a.Name, a.TTL
		return b
	}
	for _, it := range r.Items {
		b.Resources = append(b.Resources, one(it.RequestItem))
	}
	return b
}

// taskOf is the task that builds the resource with a number.
func taskOf(i int) string { return "r" + strconv.Itoa(i+1) }

// indexOf is the reverse of taskOf; -1 where it is none.
func indexOf(task string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(task, "r"))
	if err != nil || !strings.HasPrefix(task, "r") || n < 1 {
		return -1
	}
	return n - 1
}

// compose is the workflow of a request for several resources: each is built by its own workflow, in a run
// of its own, beside the others. One that fails leaves the others to end. All data is in the inputs.
func compose(r row) (definition string, inputs json.RawMessage, err error) {
	tasks, all := map[string]any{}, make([]json.RawMessage, len(r.Items))
	for i, it := range r.Items {
		tasks[taskOf(i)] = map[string]any{"title": it.Type + " " + it.Name, "use": "workflow:" + it.Workflow, "with": "${{ inputs.resources[" + strconv.Itoa(i) + "] }}"}
		all[i] = it.Inputs
	}
	d, err := json.Marshal(map[string]any{"kind": "Workflow", "name": "request.several", "title": "Several resources", "onFailure": "drain",
		"inputs": map[string]any{"type": "object", "required": []string{"resources"},
			"properties": map[string]any{"resources": map[string]any{"type": "array", "items": map[string]any{"type": "object", "additionalProperties": true}}}},
		"tasks": tasks})
	if err != nil {
		return "", nil, err
	}
	inputs, err = json.Marshal(map[string]any{"resources": all})
	return string(d), inputs, err
}
