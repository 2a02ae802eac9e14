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

func rolloutColumns() []output.Column[api.Rollout] {
	return []output.Column[api.Rollout]{
		col("ENTITY", func(r api.Rollout) string { return r.Entity }),
		col("STATE", rolloutState),
		col("VERSION", func(r api.Rollout) string { return r.Version }),
		col("WAVE", func(r api.Rollout) string {
			if r.Wave == 0 {
				return ""
			}
			return fmt.Sprintf("%d of %d", r.Wave, r.Waves)
		}),
		right(col("DONE", func(r api.Rollout) string { return fmt.Sprintf("%d/%d", r.Succeeded, r.Targets) })),
		right(col("FAILED", func(r api.Rollout) string { return fmt.Sprint(r.Failed) })),
		col("GOOD", func(r api.Rollout) string { return r.Good }),
		col("BAD", func(r api.Rollout) string { return strings.Join(r.Bad, ", ") }),
		when("BEGAN", func(r api.Rollout) time.Time { return r.Began }),
		wide("WANTED", func(r api.Rollout) string { return r.Wanted }),
		wide("PENDING", func(r api.Rollout) string { return fmt.Sprint(r.Pending) }),
		wide("SILENT", func(r api.Rollout) string { return fmt.Sprint(r.Silent) }),
		wide("RULE", func(r api.Rollout) string { return r.Rule }),
		wide("WHY", func(r api.Rollout) string { return r.Why }),
	}
}

// rolloutState is the state with what holds it.
func rolloutState(r api.Rollout) string {
	if r.Paused {
		return r.State + ", paused by " + r.PausedBy
	}
	return r.State
}

func (l *line) rolloutCommands() *cobra.Command {
	verbs := []*cobra.Command{
		l.rolloutVersion("start ENTITY VERSION", "Set the version to roll out", "set-version"),
		l.rolloutVersion("force ENTITY VERSION", "Roll out a version now, and abandon the one that is going out", "force"),
		l.rolloutVersion("operate ENTITY NAME", "Have each target do something once, such as restart", "operate"),
		l.rolloutVersion("retry ENTITY VERSION", "Try a version again that was bad", "retry"),
		l.rolloutVersion("mark-good ENTITY VERSION", "Declare a version good", "mark-good"),
		l.rolloutVersion("mark-bad ENTITY VERSION", "Declare a version bad; if it is going out, its targets go back", "mark-bad"),
		l.rolloutVerb("pause ENTITY", "Ask no more targets; verdicts go on, and what fails still goes back", "pause"),
		l.rolloutVerb("resume ENTITY", "Go on after a pause, a breach or a stuck rollback", "resume"),
		l.rolloutVerb("abort ENTITY", "Roll back: the targets that have the version go back to the good one", "abort"),
		l.rolloutVerb("skip ENTITY", "End what the wave waits for", "skip"),
		l.rolloutVerb("promote ENTITY", "Give up the remaining waves and waits", "promote"),
	}
	return l.group("rollout", "Roll out versions to targets, and back", "  tutti rollout start app-service v2\n  tutti rollout show app-service",
		append([]*cobra.Command{l.rolloutList(), l.rolloutShow(), l.rolloutWatch(), l.rolloutTargets(), l.rolloutHistory()}, verbs...)...)
}

func (l *line) rolloutList() *cobra.Command {
	return lister(l, "list", "List entities with their rollouts", rolloutColumns(), func(r api.Rollout) string { return r.Entity },
		"No rollout. Begin one: tutti rollout start ENTITY VERSION",
		func(ctx context.Context, p api.Paging) (api.Page[api.Rollout], error) {
			return call(ctx, l, api.ListRollouts, api.ListRolloutsIn{Paging: p})
		})
}

func (l *line) rolloutShow() *cobra.Command {
	return l.command("show ENTITY", "Show how far a rollout is, and when it would go back", func(ctx context.Context, args []string) error {
		r, err := call(ctx, l, api.GetRollout, api.RolloutIn{Entity: args[0]})
		if err != nil {
			return err
		}
		if err := output.One(l.printer(), r, rolloutColumns(), r.Entity); err != nil {
			return err
		}
		if r.Rule != "" {
			l.note("It %s.", r.Rule)
		}
		if r.Why != "" {
			l.note("%s", r.Why)
		}
		return nil
	})
}

// rolloutWatch follows a rollout, a line for each change, until nothing goes on by itself any more.
func (l *line) rolloutWatch() *cobra.Command {
	return l.command("watch ENTITY", "Follow a rollout until it is good, back, or stopped", func(ctx context.Context, args []string) error {
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		shown := ""
		for {
			r, err := call(ctx, l, api.GetRollout, api.RolloutIn{Entity: args[0]})
			if err != nil {
				return err
			}
			text := fmt.Sprintf("%s %s, wave %d of %d, %d of %d succeeded, %d failed", rolloutState(r), r.Version, r.Wave, r.Waves, r.Succeeded, r.Targets, r.Failed)
			if r.Wave == 0 {
				text = fmt.Sprintf("%s %s, %d of %d succeeded, %d failed", rolloutState(r), r.Version, r.Succeeded, r.Targets, r.Failed)
			}
			if len(r.Waiting) > 0 {
				text += ": " + r.Waiting[0]
			}
			if text != shown {
				l.note("%s", text)
				shown = text
			}
			if r.State != "rolling" && r.State != "rolling back" {
				return output.One(l.printer(), r, rolloutColumns(), r.Entity)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
		}
	})
}

func (l *line) rolloutTargets() *cobra.Command {
	cols := []output.Column[api.RolloutTarget]{
		col("GROUP", func(t api.RolloutTarget) string { return t.Group }),
		col("NAME", func(t api.RolloutTarget) string { return t.Name }),
		col("OUTCOME", func(t api.RolloutTarget) string { return t.Outcome }),
		col("VERSION", func(t api.RolloutTarget) string { return t.Version }),
		col("WANTED", func(t api.RolloutTarget) string { return t.Wanted }),
		col("HEALTH", func(t api.RolloutTarget) string {
			if t.Silent {
				return "silent"
			}
			return t.Health
		}),
		when("HEARD", func(t api.RolloutTarget) time.Time { return t.Heard }),
		col("MESSAGE", func(t api.RolloutTarget) string { return t.Message }),
	}
	var p paging
	var group, outcome string
	cmd := p.flags(l.command("targets ENTITY", "List the targets of an entity", func(ctx context.Context, args []string) error {
		page, err := pages(&p, func(pg api.Paging) (api.Page[api.RolloutTarget], error) {
			return call(ctx, l, api.ListRolloutTargets, api.ListRolloutTargetsIn{RolloutIn: api.RolloutIn{Entity: args[0]}, Paging: pg, Group: group, Outcome: outcome})
		})
		if err != nil {
			return err
		}
		return list(l, page, cols, func(t api.RolloutTarget) string { return t.Name }, "No such target.")
	}))
	cmd.Flags().StringVar(&group, "group", "", "only of this group")
	cmd.Flags().StringVar(&outcome, "outcome", "", "untouched|pending|wavering|succeeded|failed")
	return cmd
}

func (l *line) rolloutHistory() *cobra.Command {
	cols := []output.Column[api.RolloutEntry]{
		when("AT", func(e api.RolloutEntry) time.Time { return e.At }),
		col("STATE", func(e api.RolloutEntry) string { return e.To }),
		col("VERSION", func(e api.RolloutEntry) string { return e.Version }),
		col("BY", func(e api.RolloutEntry) string { return e.By }),
		col("WHY", func(e api.RolloutEntry) string { return e.Text }),
	}
	var p paging
	return p.flags(l.command("history ENTITY", "List what happened, who wanted it and why, newest first", func(ctx context.Context, args []string) error {
		page, err := pages(&p, func(pg api.Paging) (api.Page[api.RolloutEntry], error) {
			return call(ctx, l, api.RolloutHistory, api.RolloutHistoryIn{RolloutIn: api.RolloutIn{Entity: args[0]}, Paging: pg})
		})
		if err != nil {
			return err
		}
		return list(l, page, cols, func(e api.RolloutEntry) string { return fmt.Sprint(e.Seq) }, "Nothing happened yet.")
	}))
}

func (l *line) rolloutVersion(use, short, verb string) *cobra.Command {
	var why string
	cmd := l.command(use, short, func(ctx context.Context, args []string) error {
		return l.rolloutDo(ctx, args[0], verb, api.RolloutCommand{Version: args[1], Why: why})
	})
	cmd.Flags().StringVar(&why, "why", "", "the reason, for the history")
	return cmd
}

func (l *line) rolloutVerb(use, short, verb string) *cobra.Command {
	var why string
	cmd := l.command(use, short, func(ctx context.Context, args []string) error {
		return l.rolloutDo(ctx, args[0], verb, api.RolloutCommand{Why: why})
	})
	cmd.Flags().StringVar(&why, "why", "", "the reason, for the history")
	return cmd
}

func (l *line) rolloutDo(ctx context.Context, entity, verb string, body api.RolloutCommand) error {
	r, err := call(ctx, l, api.CommandRollout, api.CommandRolloutIn{RolloutIn: api.RolloutIn{Entity: entity}, Verb: verb, Body: body})
	if err != nil {
		return err
	}
	return output.One(l.printer(), r, rolloutColumns(), r.Entity)
}
