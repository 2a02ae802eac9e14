package cli

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/internal/cli/params"
)

// changing are the flags of the commands that change a resource.
type changing struct {
	g         given
	w         waiting
	base, key string
	ttl       string
	title     string
	dry       bool
}

func (c *changing) flags(l *line, cmd *cobra.Command) *cobra.Command {
	f := cmd.Flags()
	f.StringVar(&c.base, "base", "", "the request or commit that you believe it stands at: refused where it has moved on")
	f.StringVar(&c.key, "key", "", "idempotency key: the same key makes one request, however often it is sent")
	f.StringVar(&c.title, "title", "", "a line to know it by")
	f.BoolVar(&c.dry, "dry-run", false, "check it and say what it would do, and do nothing")
	return c.w.starts(cmd)
}

// submit asks for a change of a resource, or for its plan.
func (c *changing) submit(ctx context.Context, l *line, body api.CreateRequestBody) error {
	body.Base, body.Title = c.base, c.title
	if c.ttl != "" {
		d, err := api.ParseDuration(c.ttl)
		if err != nil {
			return err
		}
		body.TTL = api.Duration(d)
	}
	if c.dry {
		plan, err := call(ctx, l, api.PlanRequest, api.PlanRequestIn{Body: body})
		if err != nil {
			return err
		}
		return l.printPlan(plan)
	}
	r, err := call(ctx, l, api.CreateRequest, api.CreateRequestIn{Key: c.key, Body: body})
	if err != nil {
		return err
	}
	return l.accepted(ctx, &c.w, r)
}

// resourceArgs splits TYPE NAME, or TYPE/NAME, from the arguments after it.
func resourceArgs(args []string, more int) (kind, name string, rest []string, err error) {
	if len(args) == 1+more {
		if kind, name, ok := strings.Cut(args[0], "/"); ok {
			return kind, name, args[1:], nil
		}
	}
	if len(args) != 2+more {
		return "", "", nil, usage("which resource?").WithHint("write TYPE NAME, such as vm web-dev-07")
	}
	return args[0], args[1], args[2:], nil
}

func (l *line) resourceModify() *cobra.Command {
	var c changing
	cmd := l.command("modify TYPE [NAME]", "Change a resource: a request with the parameters that are to be different", func(ctx context.Context, args []string) error {
		kind, name, _, err := resourceArgs(args, 0)
		if err != nil {
			return err
		}
		r, err := l.resource(ctx, args)
		if err != nil {
			return err
		}
		entry := r.Entry
		if entry == "" {
			entry = r.Type
		}
		f, err := l.form(ctx, entry)
		if err != nil {
			return err
		}
		values, err := c.g.values(ctx, l, f)
		if err != nil {
			return err
		}
		if len(values) == 0 && c.ttl == "" {
			return usage("nothing is to be different").WithHint("give what changes with -p or --params; %s", paramsOf(f))
		}
		raw, err := json.Marshal(values)
		if err != nil {
			return err
		}
		if c.base == "" { // what was just looked at
			c.base = r.Request
		}
		return c.submit(ctx, l, api.CreateRequestBody{Action: api.ActionModify, Type: kind, Name: name, Params: raw})
	})
	cmd.Example = "  tutti resource modify vm web-dev-07 -p memory_gb=16 --wait\n  tutti resource modify vm/web-dev-07 --params smaller.yaml --base 4f1c2ab --dry-run"
	c.g.flags(l, cmd)
	cmd.Flags().StringVar(&c.ttl, "ttl", "", "after this time it is deleted, such as 2d")
	return c.flags(l, cmd)
}

func paramsOf(f *params.Form) string { return "its parameters are " + strings.Join(f.Names(), ", ") }

func (l *line) resourceDelete() *cobra.Command {
	var c changing
	cmd := l.command("delete TYPE [NAME]", "Have a resource deleted, by a request", func(ctx context.Context, args []string) error {
		kind, name, _, err := resourceArgs(args, 0)
		if err != nil {
			return err
		}
		if _, err := l.resource(ctx, args); err != nil {
			return err
		}
		return c.submit(ctx, l, api.CreateRequestBody{Action: api.ActionDelete, Type: kind, Name: name})
	})
	cmd.Example = "  tutti resource delete vm web-dev-07 --dry-run\n  tutti resource delete vm/web-dev-07 --wait"
	return c.flags(l, cmd)
}

func (l *line) resourceRollback() *cobra.Command {
	var c changing
	cmd := l.command("rollback TYPE [NAME] COMMIT", "Have a resource as it was at a commit, by a new request; one that was deleted is made again", func(ctx context.Context, args []string) error {
		kind, name, rest, err := resourceArgs(args, 1)
		if err != nil {
			return err
		}
		return c.submit(ctx, l, api.CreateRequestBody{Action: api.ActionRollback, Type: kind, Name: name, To: rest[0]})
	})
	cmd.Example = "  tutti resource history vm web-dev-07\n  tutti resource rollback vm web-dev-07 4f1c2ab --dry-run"
	return c.flags(l, cmd)
}

func (l *line) resourceObserve() *cobra.Command {
	var w waiting
	return w.starts(l.command("observe TYPE [NAME]", "Look at a resource in the world, and at how it differs from what was ordered", func(ctx context.Context, args []string) error {
		kind, name, _, err := resourceArgs(args, 0)
		if err != nil {
			return err
		}
		run, err := call(ctx, l, api.ObserveResource, api.ObserveIn{ResourceIn: api.ResourceIn{Type: kind, Name: name}})
		if err != nil {
			return err
		}
		if w.wait {
			if err := l.await(ctx, &w, target{id: string(run.ID), run: run.ID}); err != nil {
				return err
			}
			l.note("Drift, if any: tutti resource show %s %s", kind, name)
			return nil
		}
		l.note("%s looks at %s %s. Then: tutti resource show %s %s", run.ID, kind, name, kind, name)
		return nil
	}))
}
