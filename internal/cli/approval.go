package cli

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/cli/output"
	"tutti/internal/cli/params"
)

func (l *line) approvalCommands() *cobra.Command {
	return l.group("approval", "Decide what waits for a person", "  tutti approval list\n  tutti approval approve run_7k2m",
		l.approvalList(), l.decide("approve", "run", api.ApproveTask), l.decide("reject", "run", api.RejectTask))
}

func (l *line) approvalList() *cobra.Command {
	return lister(l, "list", "List the approvals that wait for a decision, oldest first", approvalColumns(),
		func(a api.Approval) string { return string(a.Run) }, "Nothing waits for a decision.",
		func(ctx context.Context, p api.Paging) (api.Page[api.Approval], error) {
			return call(ctx, l, api.ListApprovals, api.ListApprovalsIn{Paging: p})
		})
}

// decide returns the command that approves or rejects: by run, or by request. The task need not be
// named where only one asks.
func (l *line) decide(verb, kind string, method bus.Method[api.DecideIn, api.Run]) *cobra.Command {
	var why string
	var form decision
	does := map[string]string{"approve": "Approve what waits in a " + kind, "reject": "Reject what waits in a " + kind + "; its task fails"}
	cmd := l.command(verb+" ID [TASK]", does[verb], func(ctx context.Context, args []string) error {
		f, err := l.resolve(ctx, args[0], "run", "request")
		if err != nil {
			return err
		}
		task := ""
		if len(args) > 1 {
			task = args[1]
		}
		a, err := l.asking(ctx, f, task)
		if err != nil {
			return err
		}
		if verb == "reject" && why == "" && l.Terminal.In {
			if why, err = l.ask(ctx, "Why? "); err != nil {
				return err
			}
		}
		body := api.DecideBody{Task: a.Task, Reason: why}
		if verb == "approve" {
			if err := form.fill(ctx, l, a, &body); err != nil {
				return err
			}
		}
		r, err := call(ctx, l, method, api.DecideIn{ID: a.Run, Body: body})
		if err != nil {
			return err
		}
		l.note("%s %s of %s", map[string]string{"approve": "Approved", "reject": "Rejected"}[verb], a.Task, a.Run)
		return l.printRun(r)
	})
	cmd.Flags().StringVar(&why, "reason", "", "why, for the record")
	if verb == "approve" {
		form.flags(cmd)
	}
	cmd.ValidArgsFunction = l.complete(l.asked)
	return cmd
}

// decision is what an approval may ask for beside yes.
type decision struct {
	given
	digest string
}

func (d *decision) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVarP(&d.pairs, "param", "p", nil, "a field of the approval's form, as name=value")
	f.StringVar(&d.file, "params", "", "a YAML or JSON file of such fields, - is stdin; -p wins over it")
	f.BoolVar(&d.interactive, "interactive", false, "ask for every field that is not given")
	f.StringVar(&d.digest, "digest", "", "digest of what was looked at, where the approval is bound to one")
}

// fill puts what an approval asks for into body.
func (d *decision) fill(ctx context.Context, l *line, a api.Approval, body *api.DecideBody) error {
	if a.Digest != "" && d.digest == "" {
		return usage("the approval is bound to what it shows").
			WithHint("look at it: tutti approval list -o json; then name its digest: --digest %s", a.Digest)
	}
	body.Digest = d.digest
	if len(a.Form) == 0 {
		if len(d.pairs) > 0 || d.file != "" {
			return usage("%s asks for no form", a.Task).WithHint("leave -p and --params out")
		}
		return nil
	}
	f, err := params.New(a.Form, a.Task, "tutti approval list -o json")
	if err != nil {
		return err
	}
	values, err := d.values(ctx, l, f)
	if err != nil {
		return err
	}
	body.Form, err = json.Marshal(values)
	return err
}

// asking returns the one approval that a run, or any run of a request's trace, waits for.
func (l *line) asking(ctx context.Context, f api.Found, task string) (api.Approval, error) {
	trace := ""
	if f.Kind == "request" {
		r, err := call(ctx, l, api.GetRequest, api.RequestIn{ID: f.ID})
		if err != nil {
			return api.Approval{}, err
		}
		trace = r.Trace
	}
	page, err := pages(&paging{}, func(p api.Paging) (api.Page[api.Approval], error) {
		return call(ctx, l, api.ListApprovals, api.ListApprovalsIn{Paging: p})
	})
	if err != nil {
		return api.Approval{}, err
	}
	var found []api.Approval
	for _, a := range page.Items {
		if (string(a.Run) == f.ID || trace != "" && a.Trace == trace) && (task == "" || a.Task == task) {
			found = append(found, a)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return api.Approval{}, errs.New(errs.NotFound, "nothing in %s waits for a decision", strings.TrimSpace(f.ID+" "+task)).WithHint("see: tutti approval list")
	}
	e := errs.New(errs.Conflict, "%d tasks of %s wait for a decision", len(found), f.ID).WithHint("name the run and the task: tutti approval approve RUN TASK")
	for _, a := range found {
		e.Problems = append(e.Problems, errs.Problem{Location: string(a.Run) + " " + a.Task, Message: output.Clean(a.Text)})
	}
	return api.Approval{}, e
}

// asked completes the runs that wait for a decision.
func (l *line) asked(ctx context.Context) []string {
	page, err := call(ctx, l, api.ListApprovals, api.ListApprovalsIn{})
	if err != nil {
		return nil
	}
	var out []string
	for _, a := range page.Items {
		out = append(out, describe(string(a.Run), "%s %s", a.Task, a.Text))
	}
	return out
}
