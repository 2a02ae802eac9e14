package cli

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli/output"
	"tutti/internal/cli/params"
)

func (l *line) requestCommands() *cobra.Command {
	return l.group("request", "Ask for resources, and follow what was asked for",
		"  tutti request create vm -p name=web-dev-07 -p network=INTRANET_DEV -p cpu=2 --wait",
		l.requestCreate(), l.requestList(), l.requestShow(), l.requestPlan(), l.decide("approve", "request", api.ApproveTask), l.decide("reject", "request", api.RejectTask),
		l.requestCancel(), l.requestRetry(), l.requestResubmit(), l.requestTrace(), l.requestDiff(), l.requestVars(), l.requestFiles())
}

// given are the flags that give parameters.
type given struct {
	pairs       []string
	file        string
	interactive bool
}

func (g *given) flags(l *line, cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVarP(&g.pairs, "param", "p", nil, "a parameter as name=value; typed by the schema, a.b=value reaches into objects")
	f.StringVar(&g.file, "params", "", "a YAML or JSON file of parameters, - is stdin; -p wins over it")
	f.BoolVar(&g.interactive, "interactive", false, "ask for every parameter that is not given")
	must(cmd.RegisterFlagCompletionFunc("param", func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return l.completeParam(cmd.Context(), args, word), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}))
}

// completeParam suggests names of parameters, and values after the =.
func (l *line) completeParam(ctx context.Context, args []string, word string) []string {
	if len(args) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	f, err := l.form(ctx, args[0])
	if err != nil {
		return nil
	}
	var out []string
	name, _, hasValue := strings.Cut(word, "=")
	if hasValue {
		for _, v := range f.Values(name) {
			out = append(out, name+"="+v)
		}
		return out
	}
	for _, n := range f.Names() {
		out = append(out, n+"=")
	}
	return out
}

// form returns what a catalogue entry asks for.
func (l *line) form(ctx context.Context, entry string) (*params.Form, error) {
	e, err := call(ctx, l, api.GetEntry, api.EntryIn{Name: entry})
	if errs.Is(err, errs.NotFound) {
		return nil, l.meant(ctx, err, entry)
	}
	if err != nil {
		return nil, err
	}
	return params.New(e.Schema, e.Name, "tutti catalogue "+e.Name)
}

// meant adds to "not found" which entry was probably meant.
func (l *line) meant(ctx context.Context, err error, entry string) error {
	var names []string
	for _, n := range l.entryNames(ctx) {
		name, _, _ := strings.Cut(n, "\t")
		names = append(names, name)
	}
	return near(err, "no entry %q in the catalogue", entry, names, "tutti catalogue")
}

// values returns the parameters that g gives, typed by the form.
func (g *given) values(ctx context.Context, l *line, f *params.Form) (map[string]any, error) {
	values := map[string]any{}
	if g.file != "" {
		name, data, err := l.read(g.file)
		if err != nil {
			return nil, err
		}
		if values, err = params.Object(name, data); err != nil {
			return nil, err
		}
		if err := f.Check(values); err != nil {
			return nil, err
		}
	}
	values, err := f.Set(values, g.pairs)
	if err != nil || !g.interactive {
		return values, err
	}
	if !l.Terminal.In {
		return nil, usage("--interactive needs a terminal").WithHint("give the parameters with -p or --params")
	}
	return values, f.Ask(values, func(q params.Question, wrong error) (string, error) {
		if wrong != nil {
			l.complain(wrong)
		}
		return l.ask(ctx, prompt(q))
	})
}

// prompt is like "network (one of DEV, PROD) [DEV]: ".
func prompt(q params.Question) string {
	var b strings.Builder
	b.WriteString(output.Clean(q.Name))
	if text := strings.TrimSpace(q.Title + "  " + q.Doc); text != "" {
		b.WriteString("  " + output.Clean(text))
	}
	switch {
	case len(q.Values) > 0:
		b.WriteString("  (one of " + output.Clean(strings.Join(q.Values, ", ")) + ")")
	case q.Type != "" && q.Type != "string":
		b.WriteString("  (" + output.Clean(q.Type) + ")")
	}
	switch {
	case q.Default != "":
		b.WriteString("  [" + output.Clean(q.Default) + "]")
	case !q.Required:
		b.WriteString("  [none]")
	}
	return b.String() + ": "
}

// read returns the content of a file, or of stdin for "-", and the name to use in messages.
func (l *line) read(path string) (string, []byte, error) {
	if path == "-" {
		b, err := io.ReadAll(io.LimitReader(l.Stdin, maxInput+1))
		if err == nil && len(b) > maxInput {
			err = errs.New(errs.TooLarge, "stdin holds more than %s", output.Size(maxInput))
		}
		return "stdin", b, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return path, nil, errs.New(errs.Invalid, "read %s: %w", path, reasonOf(err))
	}
	return path, b, nil
}

// maxInput bounds what is read from stdin, in bytes.
const maxInput = 16 << 20

// params of a request as the API takes them.
func (l *line) requestBody(ctx context.Context, g *given, entry string) (api.CreateRequestBody, error) {
	body := api.CreateRequestBody{Entry: entry}
	f, err := l.form(ctx, entry)
	if err != nil {
		return body, err
	}
	values, err := g.values(ctx, l, f)
	if err != nil {
		return body, err
	}
	body.Params, err = json.Marshal(values)
	return body, err
}

func (l *line) requestCreate() *cobra.Command {
	var g given
	var w waiting
	var file, key string
	var dry bool
	var body api.CreateRequestBody
	ttl := ""
	cmd := l.command("create [ENTRY]", "Ask for what the catalogue offers, or for all that a file asks for", func(ctx context.Context, args []string) error {
		f, err := l.askedFor(ctx, &g, args, file, ttl, body)
		if err != nil {
			return err
		}
		if dry {
			plan, err := call(ctx, l, api.PlanRequest, api.PlanRequestIn{Body: f.body})
			if err != nil {
				return f.placed(err)
			}
			return l.printPlan(plan)
		}
		r, err := call(ctx, l, api.CreateRequest, api.CreateRequestIn{Key: key, Body: f.body})
		if err != nil {
			return f.placed(err)
		}
		return l.accepted(ctx, &w, r)
	})
	cmd.Example = "  tutti request create vm -p name=web-dev-07 -p network=INTRANET_DEV -p cpu=2 --wait\n  tutti request create vm --params vm.yaml\n  tutti request create vm --interactive\n  tutti request create -f twenty.yaml --dry-run"
	g.flags(l, cmd)
	fileFlags(cmd, &file, &ttl, &body)
	cmd.Flags().StringVar(&body.Title, "title", "", "a line to know it by")
	cmd.Flags().StringSliceVar(&body.Notify, "notify", nil, "mail addresses to tell of receipt and completion")
	cmd.Flags().StringVar(&key, "key", "", "idempotency key: the same key makes one request, however often it is sent")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "check it and say what it would do, and do nothing")
	cmd.ValidArgsFunction = l.complete(l.entryNames)
	return w.starts(cmd)
}

// accepted prints a request that was just made, or waits for its outcome.
func (l *line) accepted(ctx context.Context, w *waiting, r api.Request) error {
	l.note("%s  %s %s   trace %s   %s", r.ID, r.Entry, r.Name, r.Trace, l.address("requests", r.ID))
	if w.wait {
		return l.await(ctx, w, target{id: r.ID, request: true})
	}
	if err := l.printRequest(r); err != nil {
		return err
	}
	l.note("Follow it: tutti watch %s", r.ID)
	return nil
}

func (l *line) printRequest(r api.Request) error {
	return output.One(l.printer(), r, requestFacts(), r.ID)
}

func (l *line) requestList() *cobra.Command {
	var in api.ListRequestsIn
	var mine bool
	var state string
	cmd := lister(l, "list", "List requests, newest first", requestColumns(), func(r api.Request) string { return r.ID },
		"No request. Make one: tutti request create ENTRY; tutti catalogue lists the entries.",
		func(ctx context.Context, p api.Paging) (api.Page[api.Request], error) {
			in.Paging, in.State = p, api.State(state)
			if mine && in.Requester == "" {
				me, err := call(ctx, l, api.WhoAmI, api.Nothing{})
				if err != nil {
					return api.Page[api.Request]{}, err
				}
				in.Requester = me.Subject
			}
			return call(ctx, l, api.ListRequests, in)
		})
	f := cmd.Flags()
	f.StringVar(&state, "state", "", "only in this state")
	f.StringVar(&in.Trace, "trace", "", "only of this trace")
	f.StringVar(&in.Requester, "by", "", "only of this requester, such as user:anna")
	f.StringVar(&in.Type, "type", "", "only for this type of resource")
	f.BoolVar(&mine, "mine", false, "only my own")
	return cmd
}

func (l *line) requestShow() *cobra.Command {
	cmd := l.command("show ID", "Show a request", func(ctx context.Context, args []string) error {
		id, err := l.requestID(ctx, args[0])
		if err != nil {
			return err
		}
		r, err := call(ctx, l, api.GetRequest, api.RequestIn{ID: id})
		if err != nil {
			return err
		}
		return l.printRequest(r)
	})
	cmd.ValidArgsFunction = l.complete(l.requestIDs)
	return cmd
}

func (l *line) requestCancel() *cobra.Command {
	var why string
	cmd := l.command("cancel ID", "Cancel what a request started", func(ctx context.Context, args []string) error {
		id, err := l.requestID(ctx, args[0])
		if err != nil {
			return err
		}
		r, err := call(ctx, l, api.CancelRequest, api.CancelRequestIn{ID: id, Body: api.CancelBody{Reason: why}})
		if err != nil {
			return err
		}
		return l.printRequest(r)
	})
	cmd.Flags().StringVar(&why, "reason", "", "why, for the record")
	cmd.ValidArgsFunction = l.complete(l.requestIDs)
	return cmd
}

func (l *line) requestRetry() *cobra.Command {
	return l.retryCommand("Try again what failed in a request's run; what succeeded is kept", l.requestIDs)
}

func (l *line) requestResubmit() *cobra.Command {
	var g given
	var w waiting
	var key string
	cmd := l.command("resubmit ID", "Submit a request again: a new ID, the same trace", func(ctx context.Context, args []string) error {
		id, err := l.requestID(ctx, args[0])
		if err != nil {
			return err
		}
		in := api.ResubmitIn{ID: id, Key: key}
		if len(g.pairs) > 0 || g.file != "" || g.interactive {
			if in.Body.Params, err = l.changed(ctx, &g, id); err != nil {
				return err
			}
		}
		r, err := call(ctx, l, api.ResubmitRequest, in)
		if err != nil {
			return err
		}
		return l.accepted(ctx, &w, r)
	})
	g.flags(l, cmd)
	cmd.Flags().StringVar(&key, "key", "", "idempotency key: the same key makes one request, however often it is sent")
	cmd.ValidArgsFunction = l.complete(l.requestIDs)
	return w.starts(cmd)
}

// changed returns the parameters of an earlier request with those that g gives in their place.
func (l *line) changed(ctx context.Context, g *given, id string) (json.RawMessage, error) {
	r, err := call(ctx, l, api.GetRequest, api.RequestIn{ID: id})
	if err != nil {
		return nil, err
	}
	f, err := l.form(ctx, r.Entry)
	if err != nil {
		return nil, err
	}
	values, err := g.values(ctx, l, f)
	if err != nil {
		return nil, err
	}
	before, err := params.Object("parameters of "+id, r.Params)
	if err != nil {
		return nil, err
	}
	for k, v := range values {
		before[k] = v
	}
	return json.Marshal(before)
}

func (l *line) requestFiles() *cobra.Command {
	cmd := l.command("files ID", "List the files of a request's trace", func(ctx context.Context, args []string) error {
		id, err := l.requestID(ctx, args[0])
		if err != nil {
			return err
		}
		r, err := call(ctx, l, api.GetRequest, api.RequestIn{ID: id})
		if err != nil {
			return err
		}
		page, err := pages(&paging{}, func(p api.Paging) (api.Page[api.File], error) {
			return call(ctx, l, api.ListFiles, api.ListFilesIn{Paging: p, Trace: r.Trace})
		})
		if err != nil {
			return err
		}
		return list(l, page, fileColumns(), func(f api.File) string { return f.ID }, "No file belongs to this request.")
	})
	cmd.ValidArgsFunction = l.complete(l.requestIDs)
	return cmd
}

func (l *line) requestDiff() *cobra.Command {
	cmd := l.command("diff ID [EARLIER]", "Show what a request asks for differently than another: by default the one before", func(ctx context.Context, args []string) error {
		to, err := l.resolve(ctx, args[0], "request")
		if err != nil {
			return err
		}
		in := api.DiffRequestsIn{ID: to.ID}
		if len(args) > 1 {
			from, err := l.resolve(ctx, args[1], "request")
			if err != nil {
				return err
			}
			in.With = from.ID
		}
		d, err := call(ctx, l, api.DiffRequests, in)
		if err != nil {
			return err
		}
		type change struct {
			what string
			api.FieldChange
		}
		var all []change
		for _, c := range d.Params {
			all = append(all, change{"asked", c})
		}
		for _, c := range d.Spec {
			all = append(all, change{"spec", c})
		}
		cols := []output.Column[change]{
			col("OF", func(c change) string { return c.what }),
			col("FIELD", func(c change) string { return c.Path }),
			col("BEFORE", func(c change) string { return string(c.Before) }),
			col("AFTER", func(c change) string { return string(c.After) }),
		}
		p := l.printer()
		if !p.Structured() {
			if d.From == nil {
				l.note("Nothing was asked for this %s before %s. Name another request to compare with.", d.To.Type, d.To.ID)
				return nil
			}
			l.note("%s → %s", d.From.ID, d.To.ID)
			if len(all) == 0 {
				l.note("They ask for the same.")
				return nil
			}
		}
		return output.List(p, d, all, cols, func(c change) string { return c.Path })
	})
	cmd.ValidArgsFunction = l.complete(l.requestIDs)
	return cmd
}
