package cli

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/bus"
)

// What is in this file changes how a run goes on while it does.

func (l *line) runCancel() *cobra.Command {
	return l.steer("cancel ID", "Cancel a run: no attempt starts after this returns", api.CancelRun)
}

func (l *line) runPause() *cobra.Command {
	return l.steer("pause ID", "Let nothing new start in a run and its sub-runs; what runs goes on", api.PauseRun)
}

func (l *line) runResume() *cobra.Command {
	return l.steer("resume ID", "Let a paused run go on", api.ResumeRun)
}

// steer returns a command that makes a call which takes a run and why.
func (l *line) steer(use, short string, method bus.Method[api.CancelRunIn, api.Run]) *cobra.Command {
	var why string
	cmd := l.onRun(use, short, func(ctx context.Context, id api.RunID) error {
		r, err := call(ctx, l, method, api.CancelRunIn{ID: id, Body: api.CancelBody{Reason: why}})
		if err != nil {
			return err
		}
		return l.printRun(r)
	})
	cmd.Flags().StringVar(&why, "reason", "", "why, for the record")
	return cmd
}

func (l *line) runSignal() *cobra.Command {
	var data string
	cmd := l.command("signal ID NAME", "Give a signal to the task of a run that waits for it, or will", func(ctx context.Context, args []string) error {
		f, err := l.resolve(ctx, args[0], "run")
		if err != nil {
			return err
		}
		body := api.SignalBody{Name: args[1]}
		if err := jsonFlag("data", data, &body.Data); err != nil {
			return err
		}
		r, err := call(ctx, l, api.SignalRun, api.SignalRunIn{ID: api.RunID(f.ID), Body: body})
		if err != nil {
			return err
		}
		return l.printRun(r)
	})
	cmd.Example = `  tutti run signal run_7k2m delivered --data '{"rack": 4}'`
	cmd.Flags().StringVar(&data, "data", "", "JSON that the waiting task gives as its output")
	cmd.ValidArgsFunction = l.complete(l.runIDs)
	return cmd
}

// jsonFlag puts the text of a flag that takes JSON into to; "" leaves it as it is.
func jsonFlag(name, text string, to *json.RawMessage) error {
	switch {
	case text == "":
	case !json.Valid([]byte(text)):
		return usage("--%s is not JSON: %s", name, text).WithHint(`text is written with quotes: --%s '"text"'`, name)
	default:
		*to = json.RawMessage(text)
	}
	return nil
}
