package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/internal/cli/output"
)

func (l *line) viewCommands() *cobra.Command {
	return l.group("view", "See what end systems have, and decide what of it may be ordered",
		"  tutti view show dc1\n  tutti view permit dc1 CLUSTER_DEV SSD_DEV",
		l.viewList(), l.viewShow(), l.viewRefresh(), l.viewMatrix(), l.viewPermit(true), l.viewPermit(false), l.viewOptions())
}

// ageWords tells how old something is that was seen.
func ageWords(at time.Time, age api.Duration) string {
	if at.IsZero() {
		return "never read"
	}
	return age.String() + " old"
}

func (l *line) viewList() *cobra.Command {
	return l.command("list", "List the views of end systems", func(ctx context.Context, _ []string) error {
		page, err := call(ctx, l, api.ListViews, api.ListViewsIn{})
		if err != nil {
			return err
		}
		cols := []output.Column[api.View]{
			col("VIEW", func(v api.View) string { return v.Name }),
			col("SYSTEM", func(v api.View) string { return v.System }),
			col("AGE", func(v api.View) string { return ageWords(v.At, v.Age) }),
			col("NETWORKS", func(v api.View) string { return fmt.Sprint(v.Networks) }),
			col("CLUSTERS", func(v api.View) string { return fmt.Sprint(v.Clusters) }),
			col("STORAGE", func(v api.View) string { return fmt.Sprint(v.Storage) }),
			col("FAILURE", func(v api.View) string { return v.Failure }),
			wide("TITLE", func(v api.View) string { return v.Title }),
		}
		return list(l, page, cols, func(v api.View) string { return v.Name }, "No view. Publish one: tutti apply -f view.yaml, of kind View")
	})
}

// seenThing is a network, a cluster or a storage, in a table.
type seenThing struct{ kind, name, where, about string }

func seenThings(c *api.ViewContent) (out []seenThing) {
	if c == nil {
		return nil
	}
	for _, x := range c.Clusters {
		out = append(out, seenThing{"cluster", x.Name, x.Datacenter, fmt.Sprintf("%d hosts, %d cores, %d GB", x.Hosts, x.Cores, x.MemoryMB>>10)})
	}
	for _, x := range c.Storage {
		out = append(out, seenThing{"storage", x.Name, x.Datacenter, fmt.Sprintf("%d of %d GB free, for %s", x.FreeGB, x.CapacityGB, strings.Join(x.Clusters, ", "))})
	}
	for _, x := range c.Networks {
		where := x.Datacenter
		if x.Tenant != "" {
			where = x.Tenant + "/" + x.Application
		}
		out = append(out, seenThing{"network", x.Name, where, strings.Join(x.Clusters, ", ")})
	}
	return out
}

func (l *line) showView(v api.View) error {
	p := l.printer()
	if p.Structured() {
		return output.One(p, v, nil, v.Name)
	}
	l.note("%s  %s, %s", v.Name, v.System, ageWords(v.At, v.Age))
	if v.Failure != "" {
		l.note("The last reading failed, so this is what was known before: %s", v.Failure)
	}
	cols := []output.Column[seenThing]{
		col("KIND", func(x seenThing) string { return x.kind }),
		col("NAME", func(x seenThing) string { return x.name }),
		col("WHERE", func(x seenThing) string { return x.where }),
		col("ABOUT", func(x seenThing) string { return x.about }),
	}
	return output.List(p, v, seenThings(v.Content), cols, func(x seenThing) string { return x.name })
}

func (l *line) viewShow() *cobra.Command {
	return l.one("show VIEW", "Show what is known of an end system, and how old that is", func(ctx context.Context, name string) error {
		v, err := call(ctx, l, api.GetView, api.ViewIn{Name: name})
		if err != nil {
			return err
		}
		return l.showView(v)
	})
}

func (l *line) viewRefresh() *cobra.Command {
	return l.one("refresh VIEW", "Read an end system now", func(ctx context.Context, name string) error {
		v, err := call(ctx, l, api.RefreshView, api.ViewIn{Name: name})
		if err != nil {
			return err
		}
		return l.showView(v)
	})
}

// one is a command that takes the name of a view.
func (l *line) one(use, short string, run func(ctx context.Context, name string) error) *cobra.Command {
	cmd := l.command(use, short, func(ctx context.Context, args []string) error { return run(ctx, args[0]) })
	cmd.ValidArgsFunction = l.complete(l.definitionNames(api.KindView))
	return cmd
}

func (l *line) showMatrix(m api.Matrix) error {
	cols := []output.Column[api.Cell]{
		wide("DATACENTER", func(c api.Cell) string { return c.Datacenter }),
		col("CLUSTER", func(c api.Cell) string { return c.Cluster }),
		col("STORAGE", func(c api.Cell) string { return c.Storage }),
		col("PERMITTED", func(c api.Cell) string { return map[bool]string{true: "yes", false: "no"}[c.Permitted] }),
		col("REACHABLE", func(c api.Cell) string { return map[bool]string{true: "yes", false: "no"}[c.Reachable] }),
		col("BY", func(c api.Cell) string {
			if c.By == "" {
				return "default"
			}
			return c.By
		}),
		when("AT", func(c api.Cell) time.Time { return c.At }),
	}
	p := l.printer()
	if p.Structured() {
		return output.One(p, m, nil, m.View)
	}
	l.note("%s, %s", m.View, ageWords(m.At, m.Age))
	return output.List(p, m, m.Cells, cols, func(c api.Cell) string { return c.Cluster + "/" + c.Storage })
}

func (l *line) viewMatrix() *cobra.Command {
	return l.one("matrix VIEW", "Show which storage the machines of which cluster may use", func(ctx context.Context, name string) error {
		m, err := call(ctx, l, api.GetMatrix, api.ViewIn{Name: name})
		if err != nil {
			return err
		}
		return l.showMatrix(m)
	})
}

func (l *line) viewPermit(permit bool) *cobra.Command {
	verb, short := "permit", "Permit a pair of cluster and storage"
	if !permit {
		verb, short = "deny", "Deny a pair of cluster and storage"
	}
	var datacenter string
	cmd := l.command(verb+" VIEW CLUSTER STORAGE", short, func(ctx context.Context, args []string) error {
		m, err := call(ctx, l, api.PermitCells, api.PermitIn{Name: args[0], Body: api.PermitBody{Cells: []api.PermitCell{{Datacenter: datacenter, Cluster: args[1], Storage: args[2], Permitted: permit}}}})
		if err != nil {
			return err
		}
		return l.showMatrix(m)
	})
	cmd.Flags().StringVar(&datacenter, "datacenter", "", "where there are several of these names")
	cmd.ValidArgsFunction = l.complete(l.definitionNames(api.KindView))
	return cmd
}

func (l *line) viewOptions() *cobra.Command {
	return l.one("options VIEW", "Show what may be ordered: pairs that are permitted and reachable", func(ctx context.Context, name string) error {
		o, err := call(ctx, l, api.GetOffer, api.ViewIn{Name: name})
		if err != nil {
			return err
		}
		p := l.printer()
		if p.Structured() {
			return output.One(p, o, nil, name)
		}
		l.note("%s, %s", name, ageWords(o.At, o.Age))
		cols := []output.Column[api.Place]{
			wide("DATACENTER", func(c api.Place) string { return c.Datacenter }),
			col("CLUSTER", func(c api.Place) string { return c.Cluster }),
			col("STORAGE", func(c api.Place) string { return c.Storage }),
			col("FREE GB", func(c api.Place) string { return fmt.Sprint(c.FreeGB) }),
			col("NETWORKS", func(c api.Place) string { return strings.Join(c.Networks, ", ") }),
		}
		return output.List(p, o, o.Places, cols, func(c api.Place) string { return c.Cluster + "/" + c.Storage })
	})
}

func (l *line) triggerCommands() *cobra.Command {
	return l.group("trigger", "See where alerts become requests, and what came of them", "  tutti trigger list\n  tutti trigger show more-web", l.triggerList(), l.triggerShow())
}

func (l *line) triggerList() *cobra.Command {
	return l.command("list", "List triggers", func(ctx context.Context, _ []string) error {
		page, err := call(ctx, l, api.ListTriggers, api.ListTriggersIn{})
		if err != nil {
			return err
		}
		cols := []output.Column[api.Trigger]{
			col("TRIGGER", func(t api.Trigger) string { return t.Name }),
			col("LIVE", func(t api.Trigger) string { return fmt.Sprintf("%d of %d", t.Live, t.Ceiling) }),
			col("RESTS", func(t api.Trigger) string { return t.Cooldown.String() }),
			when("NEXT", func(t api.Trigger) time.Time { return t.Next }),
			wide("TITLE", func(t api.Trigger) string { return t.Title }),
		}
		return list(l, page, cols, func(t api.Trigger) string { return t.Name }, "No trigger. Publish one: tutti apply -f trigger.yaml, of kind Trigger")
	})
}

func (l *line) triggerShow() *cobra.Command {
	cmd := l.command("show TRIGGER", "Show the last alerts of a trigger, and what came of them", func(ctx context.Context, args []string) error {
		t, err := call(ctx, l, api.GetTrigger, api.TriggerIn{Name: args[0]})
		if err != nil {
			return err
		}
		p := l.printer()
		if p.Structured() {
			return output.One(p, t, nil, t.Name)
		}
		l.note("%s  %d of %d, rests %s after each", t.Name, t.Live, t.Ceiling, t.Cooldown)
		cols := []output.Column[api.Firing]{
			when("AT", func(f api.Firing) time.Time { return f.At }),
			col("ALERT", func(f api.Firing) string { return f.Fingerprint }),
			col("OUTCOME", func(f api.Firing) string { return f.Outcome }),
			col("REQUEST", func(f api.Firing) string { return f.Request }),
			col("DELETED BY", func(f api.Firing) string { return f.Reverse }),
			col("WHY", func(f api.Firing) string { return f.Text }),
		}
		return output.List(p, t, t.Firings, cols, func(f api.Firing) string { return f.Fingerprint })
	})
	cmd.ValidArgsFunction = l.complete(l.definitionNames(api.KindTrigger))
	return cmd
}
