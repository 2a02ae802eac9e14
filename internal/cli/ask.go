package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli/output"
	"tutti/internal/document"
)

// requestKind is the kind of a request file. It is no definition: it is sent, not applied.
const requestKind = "Request"

// asksFor is what a command asks for, and the file it comes from, if any.
type asksFor struct {
	body api.CreateRequestBody
	doc  *document.Document
}

func fileFlags(cmd *cobra.Command, file, ttl *string, body *api.CreateRequestBody) {
	f := cmd.Flags()
	f.StringVarP(file, "file", "f", "", "a request file of kind Request, - is stdin: several resources, of several types")
	f.StringVar(ttl, "ttl", "", "after this time it is deleted again, such as 2d")
	f.IntVar(&body.Count, "count", 0, "how many, with numbered names")
}

// askedFor reads what is asked for: by a file, or by an entry and its parameters.
func (l *line) askedFor(ctx context.Context, g *given, args []string, file, ttl string, more api.CreateRequestBody) (f asksFor, err error) {
	switch {
	case file != "" && len(args) > 0, file == "" && len(args) == 0:
		return f, usage("give an entry of the catalogue, or a file with -f")
	case file != "":
		if len(g.pairs) > 0 || g.file != "" || g.interactive || ttl != "" || more.Count != 0 {
			return f, usage("a request file says all of it: leave -p, --params, --interactive, --ttl and --count out")
		}
		if f, err = l.requestFile(file); err != nil {
			return f, err
		}
	default:
		if f.body, err = l.requestBody(ctx, g, args[0]); err != nil {
			return f, err
		}
		f.body.Count = more.Count
		if ttl != "" {
			d, err := api.ParseDuration(ttl)
			if err != nil {
				return f, err
			}
			f.body.TTL = api.Duration(d)
		}
	}
	if more.Title != "" {
		f.body.Title = more.Title
	}
	f.body.Notify = append(f.body.Notify, more.Notify...)
	return f, nil
}

// requestFile reads a file of kind Request.
func (l *line) requestFile(path string) (asksFor, error) {
	name, data, err := l.read(path)
	if err != nil {
		return asksFor{}, err
	}
	docs, problems := document.Parse(name, data)
	if len(problems) > 0 {
		return asksFor{}, errs.New(errs.Invalid, "%s cannot be read", name).WithProblems(problems...)
	}
	if len(docs) != 1 || docs[0].Kind != requestKind {
		return asksFor{}, errs.New(errs.Invalid, "%s is not one document of kind Request", name).WithHint("begin it with kind: Request and a name; definitions are applied: tutti apply -f %s", output.Clean(name))
	}
	d := docs[0]
	f := asksFor{doc: d}
	v, _ := d.Value().(map[string]any)
	rest := map[string]any{}
	for k, x := range v {
		switch k {
		case "kind", "name", "format", "labels":
		default:
			rest[k] = x
		}
	}
	raw, err := json.Marshal(rest)
	if err != nil {
		return asksFor{}, err
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f.body); err != nil {
		return asksFor{}, l.badFile(d, err)
	}
	if len(f.body.Resources) == 0 {
		return asksFor{}, errs.New(errs.Invalid, "%s asks for nothing", name).WithProblems(errs.Problem{Location: d.At(""), Message: "it has no resources", Hint: "write resources: [{ entry: …, params: { … } }]"})
	}
	if f.body.Title == "" {
		f.body.Title = d.Name
	}
	return f, nil
}

// badFile says what in a request file is not as it should be, as near as that can be known.
func (l *line) badFile(d *document.Document, err error) error {
	p := errs.Problem{Location: d.At(""), Message: strings.TrimPrefix(err.Error(), "json: "), Hint: "a request file has title, notify and resources; each of these has entry, params, count and ttl, or action, type, name, params, base and to"}
	if m := unknownField.FindStringSubmatch(p.Message); m != nil {
		p.Message = fmt.Sprintf("there is no %q here", m[1])
		v, _ := d.Value().(map[string]any)
		if _, ok := v[m[1]]; ok {
			p.Location = d.KeyAt(document.Pointer(m[1]))
		}
		list, _ := v["resources"].([]any)
		for i, e := range list {
			if x, _ := e.(map[string]any); x[m[1]] != nil {
				p.Location = d.KeyAt(document.Pointer("resources", fmt.Sprint(i), m[1]))
				break
			}
		}
	}
	return errs.New(errs.Invalid, "the request file is not valid").WithProblems(p)
}

var unknownField = regexp.MustCompile(`^unknown field "(.*)"$`)

// placed is err with the places of a request body turned into places of the file.
func (f asksFor) placed(err error) error {
	if f.doc == nil || err == nil {
		return err
	}
	e := errs.Public(err)
	if len(e.Problems) == 0 {
		return err
	}
	problems := make([]errs.Problem, len(e.Problems))
	for i, p := range e.Problems {
		problems[i] = p
		if rest, ok := strings.CutPrefix(p.Location, "body."); ok {
			problems[i].Location = f.doc.At(nearest(f.doc, rest))
			if last := rest[strings.LastIndexByte(rest, '.')+1:]; !strings.Contains(last, "]") && last != "" && !strings.HasPrefix(p.Message, last+" ") {
				problems[i].Message = last + ": " + p.Message
			}
		}
	}
	return errs.New(e.Kind, "%s", e.Msg).WithHint("%s", e.Hint).WithProblems(problems...)
}

// nearest turns a dotted place into a pointer to it, or to what is around it where it is not in the file:
// a default, or what a handler made.
func nearest(d *document.Document, dotted string) string {
	parts := strings.FieldsFunc(dotted, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
	at, v := "", d.Value()
	for _, part := range parts {
		switch x := v.(type) {
		case map[string]any:
			next, ok := x[part]
			if !ok {
				return at
			}
			v = next
		case []any:
			i := -1
			if _, err := fmt.Sscanf(part, "%d", &i); err != nil || i < 0 || i >= len(x) {
				return at
			}
			v = x[i]
		default:
			return at
		}
		at += document.Pointer(part)
	}
	return at
}

func (l *line) requestPlan() *cobra.Command {
	var g given
	var file, ttl, trial string
	var body api.CreateRequestBody
	cmd := l.command("plan [ENTRY]", "Say what a request would do, and do nothing", func(ctx context.Context, args []string) error {
		f, err := l.askedFor(ctx, &g, args, file, ttl, body)
		if err != nil {
			return err
		}
		in := api.PlanRequestIn{Body: f.body}
		if trial != "" {
			d, err := api.ParseDuration(trial)
			if err != nil {
				return err
			}
			in.Preview = api.Duration(d)
		}
		plan, err := call(ctx, l, api.PlanRequest, in)
		if err != nil {
			return f.placed(err)
		}
		return l.printPlan(plan)
	})
	cmd.Example = "  tutti request plan vm -p name=web-dev-07\n  tutti request plan -f twenty.yaml --preview 50s"
	g.flags(l, cmd)
	fileFlags(cmd, &file, &ttl, &body)
	cmd.Flags().StringVar(&trial, "preview", "", "have the types' trial runs made, such as a Terraform plan, and wait so long for them, 60s at most")
	cmd.ValidArgsFunction = l.complete(l.entryNames)
	return cmd
}

// signs tell what a plan does to a resource.
var signs = map[string]string{api.ActionCreate: "+ create", api.ActionModify: "~ modify", api.ActionDelete: "- delete"}

func (l *line) printPlan(plan api.RequestPlan) error {
	p := l.printer()
	if p.Structured() {
		return output.One(p, plan, nil, plan.Name)
	}
	for _, r := range plan.Resources {
		l.note("%s", planLine(r))
		if r.Action != api.ActionCreate || len(plan.Resources) == 1 {
			for _, c := range r.Changes {
				l.note("      %s", changeLine(c))
			}
		}
		if t := r.Preview; t != nil {
			for _, line := range trialLines(*t) {
				l.note("      %s", line)
			}
		}
	}
	cols := []output.Column[api.PlanStep]{
		col("STEP", func(s api.PlanStep) string { return s.Path }),
		col("USE", func(s api.PlanStep) string { return s.Use }),
		col("ONLY WHEN", func(s api.PlanStep) string { return s.When }),
		col("UNDONE BY", func(s api.PlanStep) string { return s.Undo }),
		col("TITLE", func(s api.PlanStep) string { return s.Title }),
	}
	if len(plan.Resources) < 2 {
		l.note("By %s version %d:", plan.Workflow, plan.Version)
	} else {
		l.note("The first by %s version %d:", plan.Workflow, plan.Version)
	}
	if err := output.List(p, plan, plan.Steps, cols, nil); err != nil {
		return err
	}
	if u := usually(plan.Expected); u != "" {
		l.note("It usually takes %s.", u)
	}
	if len(plan.Open) > 0 {
		l.note("What nobody can say before it runs:")
		for _, text := range plan.Open {
			l.note("  - %s", output.Clean(text))
		}
	}
	if len(plan.Resources) == 1 {
		l.note("Nothing was done. The resource would be: %s", plan.Spec)
		return nil
	}
	l.note("Nothing was done. %s", sum(plan.Resources))
	return nil
}

func planLine(r api.ResourcePlan) string {
	s := fmt.Sprintf("  %s  %s %s   by %s", signs[r.Action], r.Type, r.Name, r.Workflow)
	if r.Repository != "" {
		s += "   file " + r.Repository + ":" + r.File
	}
	if r.TTL > 0 {
		s += "   deleted after " + r.TTL.String()
	}
	return output.Clean(s)
}

func changeLine(c api.FieldChange) string {
	switch {
	case len(c.Before) == 0:
		return output.Clean("+ " + c.Path + ": " + string(c.After))
	case len(c.After) == 0:
		return output.Clean("- " + c.Path + ": " + string(c.Before))
	}
	return output.Clean("~ " + c.Path + ": " + string(c.Before) + " → " + string(c.After))
}

// sum counts what a plan does.
func sum(all []api.ResourcePlan) string {
	n := map[string]int{}
	for _, r := range all {
		n[r.Action]++
	}
	return fmt.Sprintf("%d to create, %d to modify, %d to delete.", n[api.ActionCreate], n[api.ActionModify], n[api.ActionDelete])
}
