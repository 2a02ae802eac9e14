package demo

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"tutti/errs"
	"tutti/internal/demo/vcenter"
)

// vcenterCommand is the hidden command that is the vCenter's process.
const vcenterCommand = "demo-vcenter"

// Program is what the commands know of the program they are part of.
type Program struct {
	// Watch is Config.Watch.
	Watch func(ctx context.Context, server, token, request string) int
	// Stdin is where the vCenter's process reads its orders; Stdout takes what the demo shows, Stderr
	// what the server logs.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Commands returns `tutti demo` and the hidden command of its vCenter. Exit returns the error with which
// a command ends the program with an exit code, having said itself what there is to say.
func Commands(p Program, exit func(code int) error) []*cobra.Command {
	return []*cobra.Command{demoCommand(p, exit), simulatorCommand(p, exit)}
}

func demoCommand(p Program, exit func(code int) error) *cobra.Command {
	c := Config{Out: p.Stdout, Watch: p.Watch, Tutti: os.Args[0]}
	var noPause, verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See the main job end to end: a machine that is asked for and built, here and now",
		Long: "Runs a server with a vCenter (a simulator with the real API), a mail server, a git repository and people around it; asks for a virtual machine as a\n" +
			"user would, follows it and shows what was built. Then it serves until Ctrl-C, and says what to try. Everything is kept in one folder. What a demo that was\n" +
			"killed left undone is finished by the next one.",
		Example: "  tutti demo\n  tutti demo --once --data /tmp/demo",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return errs.New(errs.Internal, "find this program: %w", err)
			}
			c.VCenter = []string{self, vcenterCommand}
			if noPause {
				c.Pause = 0
			}
			if verbose {
				c.Log = slog.New(slog.NewTextHandler(p.Stderr, nil))
			}
			code, err := Run(cmd.Context(), c)
			if err != nil || code == exitOK {
				return err
			}
			return exit(code)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Data, "data", DefaultData, "folder of the demo, made where it is missing")
	f.StringVar(&c.Listen, "listen", "", "address of the server (default 127.0.0.1:8080, or a free port where that is taken)")
	f.BoolVar(&c.Once, "once", false, "end with the outcome of the request as exit code, instead of serving")
	f.DurationVar(&c.Pause, "pause", 800*time.Millisecond, "how long the vCenter takes to make a machine; a real one takes longer")
	f.BoolVar(&noPause, "no-pause", false, "have the vCenter make machines in no time")
	f.BoolVar(&verbose, "log", false, "show what the server logs, on stderr")
	return cmd
}

func simulatorCommand(p Program, exit func(code int) error) *cobra.Command {
	return &cobra.Command{
		Use: vcenterCommand, Short: "The vCenter of `tutti demo`", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if code := vcenter.Main(cmd.Context(), p.Stdin); code != exitOK {
				return exit(code)
			}
			return nil
		},
	}
}
