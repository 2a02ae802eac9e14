package request

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"sort"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/workflow/expr"
)

//go:embed schemas
var schemaFiles embed.FS

// TriggerSchema returns the JSON Schema of the kind Trigger.
func TriggerSchema() json.RawMessage {
	b, err := schemaFiles.ReadFile("schemas/trigger.json")
	if err != nil {
		panic(err) // impossible: it is embedded
	}
	return b
}

// trigger is a Trigger ready to be used.
type trigger struct {
	name, title string
	match       map[string]string
	entry       string
	params      *expr.Template
	label       *expr.Template // the title of the request; nil is the default
	ttl         api.Duration
	ceiling     int
	cooldown    time.Duration
	reverse     bool
}

// parseTrigger reads a Trigger. It is nil where there are problems.
func parseTrigger(d *document.Document) (*trigger, []errs.Problem) {
	schema, err := document.CompileSchema(TriggerSchema())
	if err != nil {
		return nil, []errs.Problem{{Location: d.At(""), Message: err.Error()}}
	}
	if problems := d.Validate(schema.Compiled()); len(problems) > 0 {
		return nil, problems
	}
	v, _ := d.Value().(map[string]any)
	req, _ := v["request"].(map[string]any)
	t := &trigger{name: d.Name, title: d.Title, match: map[string]string{}, reverse: v["resolved"] == "delete"}
	match, _ := v["match"].(map[string]any)
	for k, x := range match {
		t.match[k], _ = x.(string)
	}
	t.entry, _ = req["entry"].(string)
	var problems []errs.Problem
	duration := func(at string, x any) time.Duration {
		text, ok := x.(string)
		if !ok {
			return 0
		}
		n, err := api.ParseDuration(text)
		if err != nil {
			problems = append(problems, errs.Problem{Location: d.At(at), Message: errs.Public(err).Msg, Hint: errs.Public(err).Hint})
		}
		return n
	}
	t.cooldown, t.ttl = duration("/cooldown", v["cooldown"]), api.Duration(duration("/request/ttl", req["ttl"]))
	t.ceiling = number(v["ceiling"])
	template := func(at string, x any) *expr.Template {
		if x == nil {
			return nil
		}
		p, wrong := expr.ParseTemplate(x)
		for _, e := range wrong {
			problems = append(problems, errs.Problem{Location: d.Inside(at+e.Pointer, e.Offset), Message: e.Message, Hint: e.Hint})
		}
		if p == nil {
			return nil
		}
		for _, use := range p.Secrets() {
			problems = append(problems, errs.Problem{Location: d.Inside(at+use.Pointer, use.Offset), Message: "a secret has no place here", Hint: "the workflow's tasks can use it"})
		}
		for _, x := range p.Exprs() {
			for _, ref := range x.Program.Refs() {
				if root := ref.Path[0]; root != "alert" && root != "n" && root != "secrets" {
					problems = append(problems, errs.Problem{Location: d.Inside(at+x.Pointer, x.Offset+ref.Offset), Message: fmt.Sprintf("there is no %q here", root), Hint: "there are alert and n"})
				}
			}
		}
		return p
	}
	params := req["params"]
	if params == nil {
		params = map[string]any{}
	}
	t.params, t.label = template("/request/params", params), template("/request/title", req["title"])
	if len(problems) > 0 {
		return nil, problems
	}
	return t, nil
}

func number(v any) int {
	switch v := v.(type) {
	case float64:
		return int(v)
	case int64:
		return int(v)
	case int:
		return v
	case json.Number:
		n, _ := v.Int64()
		return int(n)
	}
	return 0
}

// matches reports whether an alert is one for t.
func (t *trigger) matches(a api.Alert) bool {
	for k, v := range t.match {
		if a.Labels[k] != v {
			return false
		}
	}
	return true
}

// body is the request that t makes of an alert.
func (t *trigger) body(a api.Alert, n int) (api.CreateRequestBody, error) {
	labels, notes := map[string]any{}, map[string]any{}
	for k, v := range a.Labels {
		labels[k] = v
	}
	for k, v := range a.Annotations {
		notes[k] = v
	}
	env := expr.Env{"n": float64(n), "alert": map[string]any{"labels": labels, "annotations": notes, "fingerprint": a.Fingerprint, "startsAt": a.StartsAt.UTC().Format(time.RFC3339)}}
	b := api.CreateRequestBody{Entry: t.entry, TTL: t.ttl, Title: clip("Because of the alert "+a.Labels["alertname"], 200)}
	v, _, err := t.params.Eval(env)
	if err == nil {
		b.Params = document.Canonical(v)
		if t.label != nil {
			var text any
			if text, _, err = t.label.Eval(env); err == nil {
				b.Title = clip(fmt.Sprint(text), 200)
			}
		}
	}
	if err != nil {
		return b, errs.New(errs.Invalid, "trigger %s has no value for this alert: %w", t.name, err).WithHint("see that the alert has the labels that the trigger reads")
	}
	return b, nil
}

// The outcomes of a firing.
const (
	outFiling    = "filing" // the request is being made
	outFiled     = "filed"
	outKnown     = "known"
	outCooling   = "cooling"
	outCeiling   = "ceiling"
	outUnmatched = "unmatched"
	outRefused   = "refused"
	outResolved  = "resolved"
	outReversed  = "reversed"
)

// standingOf is what a decision about an alert depends on.
type standingOf struct {
	known *firing   // this alert, as it was dealt with before
	live  int       // resources of the trigger that are there, or asked for
	last  time.Time // when the last request was filed
}

// decide says what a firing alert leads to: outFiling, outKnown, outCeiling or outCooling.
func (t *trigger) decide(s standingOf, now time.Time) (outcome, text string) {
	switch {
	case s.known != nil && s.known.Outcome == outFiling: // it was cut off: go on with it
		return outFiling, ""
	case s.known != nil && s.known.Request != "":
		return outKnown, "the request was filed before"
	case s.live >= t.ceiling:
		return outCeiling, fmt.Sprintf("there are %d of %d already", s.live, t.ceiling)
	case now.Before(s.last.Add(t.cooldown)):
		return outCooling, "it rests until " + s.last.Add(t.cooldown).UTC().Format(time.RFC3339)
	}
	return outFiling, ""
}

// checkTriggers answers for the kind Trigger.
func (s *Service) checkTriggers(_ context.Context, in api.CheckIn) (out api.CheckOut, err error) {
	for _, f := range in.Files {
		docs, _ := document.Parse(f.Name, []byte(f.Text))
		for _, d := range docs {
			if d.Kind != api.KindTrigger {
				continue
			}
			_, problems := parseTrigger(d)
			out.Problems = append(out.Problems, problems...)
		}
	}
	out.Needs = []string{api.CreateRequest.Name} // what it does, its publisher may do
	return out, nil
}

// triggerOf reads a trigger that was published.
func (s *Service) triggerOf(ctx context.Context, in api.TriggerIn) (*trigger, error) {
	def, err := api.GetDefinition.Call(s.asService(ctx, ""), s.d.Bus, api.GetDefinitionIn{NS: in.NS, Kind: api.KindTrigger, Name: in.Name})
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New(errs.NotFound, "no trigger %.127q in namespace %s", in.Name, in.Namespace).WithHint("`tutti trigger list` shows what there is; `tutti apply -f FILE` publishes one")
	}
	if err != nil {
		return nil, err
	}
	d, err := document.FromJSON("Trigger/"+in.Name, def.Document)
	if err != nil {
		return nil, err
	}
	t, problems := parseTrigger(d)
	if t == nil {
		return nil, errs.New(errs.Invalid, "trigger %s is not sound any more", in.Name).WithProblems(problems...)
	}
	return t, nil
}

// listTriggers lists the triggers of a namespace, by name.
func (s *Service) listTriggers(ctx context.Context, in api.ListTriggersIn) (out api.Page[api.Trigger], err error) {
	page, err := api.ListDefinitions.Call(s.asService(ctx, ""), s.d.Bus, api.ListDefinitionsIn{NS: in.NS, Kind: api.KindTrigger, Paging: api.Paging{Limit: 1000}})
	if err != nil {
		return out, err
	}
	for _, d := range page.Items {
		t, err := s.getTrigger(ctx, api.TriggerIn{NS: in.NS, Name: d.Name})
		if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Invalid) {
			continue
		}
		if err != nil {
			return out, err
		}
		t.Firings = nil
		out.Items = append(out.Items, t)
	}
	sort.Slice(out.Items, func(i, j int) bool { return out.Items[i].Name < out.Items[j].Name })
	return out, nil
}

// getTrigger tells how a trigger stands.
func (s *Service) getTrigger(ctx context.Context, in api.TriggerIn) (api.Trigger, error) {
	t, err := s.triggerOf(ctx, in)
	if err != nil {
		return api.Trigger{}, err
	}
	out := api.Trigger{Name: t.name, Title: t.title, Ceiling: t.ceiling, Cooldown: api.Duration(t.cooldown)}
	q := reading(ctx, s.d.DB)
	live, last, err := liveOf(q, in.Namespace, in.Name)
	if err != nil {
		return out, err
	}
	out.Live = live
	if next := last.Add(t.cooldown); !last.IsZero() && next.After(time.Now()) {
		out.Next = next
	}
	out.Firings, err = firingsOf(q, in.Namespace, in.Name)
	return out, err
}
