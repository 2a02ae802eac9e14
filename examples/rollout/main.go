// Command rollout shows the three ways to roll out a version, each with one that goes well and one that goes back: the
// library in a program, the service to which a controller reports, and the step of a workflow.
//
//	go run ./examples/rollout
package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"time"

	"tutti/api"
	"tutti/internal/app"
	"tutti/rollout"
	"tutti/sdk"
)

//go:embed web.update.yaml
var workflow string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) // background: the program begins here
	defer stop()
	dir, err := os.MkdirTemp("", "rollout")
	if err == nil {
		err = show(ctx, os.Stdout, dir)
		_ = os.RemoveAll(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// show runs all three, with the server's data in dir.
func show(ctx context.Context, w io.Writer, dir string) error {
	if err := library(ctx, w); err != nil {
		return fmt.Errorf("library: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := make(chan app.Started, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, app.Config{Data: dir, Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Ready: func(s app.Started) { ready <- s }})
	}()
	var s app.Started
	select {
	case s = <-ready:
	case err := <-ended:
		return err
	}
	c, err := login(ctx, s)
	if err == nil {
		if err = service(ctx, w, c); err == nil {
			err = step(ctx, w, c)
		}
		c.Close()
	}
	cancel()
	if stopped := <-ended; err == nil {
		err = stopped
	}
	return err
}

// fleet are servers that do what they are told, but for those on which a version breaks.
type fleet struct {
	version map[string]string
	breaks  map[string]string // the version that breaks on a server
}

func newFleet() *fleet {
	f := &fleet{version: map[string]string{}, breaks: map[string]string{"web-4": "v3"}}
	for i := range 6 {
		f.version[fmt.Sprint("web-", i+1)] = "v1"
	}
	return f
}

// run makes a server run a version.
func (f *fleet) run(name, version string) {
	if version != "" {
		f.version[name] = version
	}
}

func (f *fleet) broken(name string) bool { return f.breaks[name] == f.version[name] }

// library rolls out with the planner in this program, its clock and its store.
func library(ctx context.Context, w io.Writer) error {
	fmt.Fprintln(w, "1. The library")
	now := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)
	engine := rollout.NewEngine(&rollout.Memory{}, func() time.Time { return now })
	key := rollout.Key{Namespace: "shop", Entity: "web"}
	policy := rollout.Policy{Waves: []rollout.Amount{rollout.Count(1), rollout.Percent(50)}, Soak: time.Minute}
	if err := engine.SetPolicy(ctx, key, policy); err != nil {
		return err
	}
	if err := engine.Do(ctx, key, rollout.Command{Verb: rollout.MarkGood, Version: "v1"}); err != nil {
		return err
	}
	f := newFleet()
	for _, version := range []string{"v2", "v3"} {
		if err := engine.SetVersion(ctx, key, version); err != nil {
			return err
		}
		for range 20 {
			var reports []rollout.Report
			for name := range f.version {
				r := rollout.Report{Target: rollout.Target{Name: name}, Version: f.version[name]}
				if f.broken(name) {
					r.Health, r.Message = rollout.Failed, "it does not start"
				}
				reports = append(reports, r)
			}
			wanted, err := engine.Orchestrate(ctx, key, reports...)
			if err != nil {
				return err
			}
			for _, t := range wanted {
				f.run(t.Name, t.Version)
			}
			now = now.Add(time.Minute)
		}
		s, err := engine.Status(ctx, key)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "   %s: %s, last known good %s\n", version, s.State, s.Good)
	}
	return nil
}

// login makes the first administrator of a fresh server, and logs in.
func login(ctx context.Context, s app.Started) (*sdk.Client, error) {
	token, err := os.ReadFile(s.BootstrapToken)
	if err != nil {
		return nil, err
	}
	c, err := sdk.New(sdk.Config{Server: s.Address})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	session, err := sdk.Call(ctx, c, api.Bootstrap, api.BootstrapIn{Body: api.BootstrapBody{Token: strings.TrimSpace(string(token)), User: "ada", Password: "correct horse battery"}})
	if err != nil {
		return nil, err
	}
	return sdk.New(sdk.Config{Server: s.Address, Token: session.Secret, Namespace: "default"})
}

// service is a controller: it reports its fleet to the server, and does what is asked.
func service(ctx context.Context, w io.Writer, c *sdk.Client) error {
	fmt.Fprintln(w, "2. The service")
	web := api.RolloutIn{NS: api.NS{Namespace: "default"}, Entity: "web"}
	if _, err := sdk.Call(ctx, c, api.SetRolloutPolicy, api.SetRolloutPolicyIn{RolloutIn: web, Body: api.RolloutPolicy{Waves: []string{"1", "50%"}}}); err != nil {
		return err
	}
	do := func(verb, version string) error {
		_, err := sdk.Call(ctx, c, api.CommandRollout, api.CommandRolloutIn{RolloutIn: web, Verb: verb, Body: api.RolloutCommand{Version: version}})
		return err
	}
	if err := do("mark-good", "v1"); err != nil {
		return err
	}
	f := newFleet()
	for _, version := range []string{"v2", "v3"} {
		if err := do("set-version", version); err != nil {
			return err
		}
		for range 20 {
			var body api.OrchestrateBody
			for name := range f.version {
				r := api.RolloutReport{Name: name, Version: f.version[name]}
				if f.broken(name) {
					r.Health, r.Message = "failed", "it does not start"
				}
				body.Reports = append(body.Reports, r)
			}
			plan, err := sdk.Call(ctx, c, api.Orchestrate, api.OrchestrateIn{RolloutIn: web, Body: body})
			if err != nil {
				return err
			}
			for _, t := range plan.Targets {
				f.run(t.Name, t.Version)
			}
		}
		r, err := sdk.Call(ctx, c, api.GetRollout, web)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "   %s: %s, last known good %s\n", version, r.State, r.Good)
	}
	return nil
}

// step runs a workflow whose items go out in waves.
func step(ctx context.Context, w io.Writer, c *sdk.Client) error {
	fmt.Fprintln(w, "3. The step of a workflow")
	for _, broken := range []string{"", "web-4"} {
		in := api.StartRunIn{NS: api.NS{Namespace: "default"}, Body: api.StartRunBody{Definition: workflow, Inputs: []byte(fmt.Sprintf(`{"broken": %q}`, broken))}}
		run, err := sdk.Call(ctx, c, api.StartRun, in)
		if err != nil {
			return err
		}
		for !run.State.Ended() {
			if run, err = sdk.Call(ctx, c, api.GetRun, api.GetRunIn{NS: in.NS, ID: run.ID, Wait: api.Duration(30 * time.Second)}); err != nil {
				return err
			}
		}
		what := "all six are updated"
		if run.Failure != nil {
			what = run.Failure.Message
		}
		fmt.Fprintf(w, "   %s: %s\n", run.State, what)
	}
	return nil
}
