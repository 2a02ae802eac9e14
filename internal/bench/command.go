package bench

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"tutti/errs"
	"tutti/internal/cli"
	"tutti/internal/cli/config"
	"tutti/internal/cli/output"
	"tutti/sdk"
)

// Commands returns `tutti bench`. types are what a worker over HTTP can do.
func Commands(c cli.Config, types func() ([]sdk.TaskType, error)) []*cobra.Command {
	p := program{c, types}
	cmd := p.bench()
	cmd.AddCommand(p.sleeping(), p.recovery())
	return []*cobra.Command{cmd}
}

// program is what the commands know of the program they are part of.
type program struct {
	cli.Config
	types func() ([]sdk.TaskType, error)
}

func (p program) bench() *cobra.Command {
	var c Config
	var verbose bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure how many tasks are completed in a second, beside what the disk allows",
		Long: "Measures workflows of tasks that do nothing: chain10 (ten in a row), fan100 (one, a hundred at once, one) and wide1000 (a thousand at once); with many runs under\n" +
			"way and with one at a time; with the workers inside the server and with one over HTTP. Runs are started by the call run.start and every completion is durable.\n" +
			"The server is one of its own, in the configuration of `tutti serve`, or, with --server, a running one. Beside each row stands the ceiling, measured in the same\n" +
			"seconds: rows of the same size inserted into the same kind of database.",
		Example: "  tutti bench\n  tutti bench --db postgres://bench@localhost/bench\n  tutti bench --workload chain10 --workers http -o json\n  TUTTI_TOKEN=tutti_… tutti bench --server http://127.0.0.1:8080",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if c.Types, err = p.types(); err != nil {
				return err
			}
			if cmd.Flag("server").Changed {
				if c.Client, err = p.client(cmd); err != nil {
					return err
				}
			}
			c.Progress = p.Stderr
			if verbose {
				c.Log = slog.New(slog.NewTextHandler(p.Stderr, nil))
			}
			rows, err := Run(cmd.Context(), c)
			if err != nil {
				return err
			}
			return output.List(p.printer(cmd), list[Row]{rows}, rows, rowColumns, func(r Row) string { return r.Workload })
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.DB, "db", "", "PostgreSQL to use instead of SQLite: postgres://user@host/database")
	f.StringVar(&c.Dir, "dir", "", "where to make the folder to measure in (default here); it should be on the disk that matters")
	f.StringSliceVar(&c.Workloads, "workload", nil, "workloads, of chainN, fanN, wideN (default chain10,fan100,wide1000)")
	f.StringSliceVar(&c.Workers, "workers", nil, "only these workers: inprocess, http")
	f.StringSliceVar(&c.Modes, "mode", nil, "only these modes: saturation, alone")
	f.DurationVar(&c.Window, "window", 2*time.Second, "how long to measure in each round")
	f.IntVar(&c.Rounds, "rounds", 3, "how many rounds; the medians are shown")
	f.IntVar(&c.InFlight, "in-flight", 0, "runs under way at saturation (default as many as have 20,000 tasks)")
	f.IntVar(&c.Slots, "slots", 1024, "how many tasks the worker over HTTP runs at the same time")
	f.IntVar(&c.Payload, "payload", 0, "bytes that each task takes and gives")
	f.IntVar(&c.RowBytes, "row-bytes", 300, "what a completion stores, for the ceiling beside a running server")
	f.StringVar(&c.Profiles, "profiles", "", "folder to write pprof profiles into, for each row")
	f.BoolVar(&verbose, "log", false, "show what the server logs, on stderr")
	return cmd
}

func (p program) sleeping() *cobra.Command {
	c := CrowdConfig{Progress: p.Stderr, Log: p.Stderr}
	cmd := &cobra.Command{
		Use:   "sleeping",
		Short: "Measure what a server uses in which many runs are stored and many sleep",
		Long: "Starts a server in a process of its own, lets so many runs end and so many others sleep for 30 days, and measures processor time and memory while nothing happens;\n" +
			"then again after a restart.",
		Args: cobra.NoArgs,
	}
	cmd.RunE = p.inFolder(&c, func(cmd *cobra.Command) error {
		rows, err := Sleep(cmd.Context(), c)
		if err != nil {
			return err
		}
		return output.List(p.printer(cmd), list[Idle]{rows}, rows, idleColumns, func(i Idle) string { return i.When })
	})
	f := cmd.Flags()
	p.crowdFlags(cmd, &c)
	f.IntVar(&c.Stored, "stored", 100_000, "runs that have ended")
	f.IntVar(&c.Sleeping, "sleeping", 100_000, "runs that wait for a time")
	f.DurationVar(&c.Watch, "watch", 10*time.Second, "how long to look at the server, after as long a rest")
	return cmd
}

func (p program) recovery() *cobra.Command {
	c := CrowdConfig{Progress: p.Stderr, Log: p.Stderr}
	cmd := &cobra.Command{
		Use:   "recovery",
		Short: "Measure how long it takes after kill -9 until running workflows go on",
		Long:  "Starts a server in a process of its own, lets so many runs have a task with a worker, kills the server, and measures from the start of the next until a worker has all tasks again.",
		Args:  cobra.NoArgs,
	}
	cmd.RunE = p.inFolder(&c, func(cmd *cobra.Command) error {
		r, err := Recover(cmd.Context(), c)
		if err != nil {
			return err
		}
		rows := []Recovery{r}
		return output.List(p.printer(cmd), list[Recovery]{rows}, rows, recoveryColumns, func(r Recovery) string { return r.Store })
	})
	f := cmd.Flags()
	p.crowdFlags(cmd, &c)
	f.IntVar(&c.Running, "running", 500, "runs with a task at a worker")
	f.IntVar(&c.Stored, "stored", 0, "runs that have ended before")
	return cmd
}

func (p program) crowdFlags(cmd *cobra.Command, c *CrowdConfig) {
	cmd.Flags().StringVar(&c.DB, "db", "", "PostgreSQL to use instead of SQLite: postgres://user@host/database, an empty one")
	cmd.Flags().StringVar(&c.Dir, "dir", "", "where to make the folder of the server (default here)")
}

// inFolder runs f with a folder for the server, which is removed afterwards.
func (p program) inFolder(c *CrowdConfig, f func(*cobra.Command) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		self, err := os.Executable()
		if err != nil {
			return errs.New(errs.Internal, "find this program: %w", err)
		}
		c.Command = []string{self}
		dir, err := os.MkdirTemp(cmp.Or(c.Dir, "."), "tutti-bench-")
		if err != nil {
			return errs.New(errs.Invalid, "make a folder for the server: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }() // nothing of it is needed
		c.Dir = filepath.Join(dir, "server")
		return f(cmd)
	}
}

var idleColumns = []output.Column[Idle]{
	{Name: "WHEN", Get: func(i Idle) output.Cell { return output.Text("%s", i.When) }},
	{Name: "STORE", Get: func(i Idle) output.Cell { return output.Text("%s", i.Store) }},
	{Name: "STORED", Right: true, Get: func(i Idle) output.Cell { return output.Text("%d", i.Stored) }},
	{Name: "SLEEPING", Right: true, Get: func(i Idle) output.Cell { return output.Text("%d", i.Sleeping) }},
	{Name: "CPU %", Right: true, Get: func(i Idle) output.Cell { return output.Text("%.2f", i.CPU) }},
	{Name: "RSS MB", Right: true, Get: func(i Idle) output.Cell { return output.Text("%.0f", i.Memory) }},
	{Name: "READY MS", Right: true, Get: func(i Idle) output.Cell { return output.Text("%.0f", i.Ready) }},
}

var recoveryColumns = []output.Column[Recovery]{
	{Name: "STORE", Get: func(r Recovery) output.Cell { return output.Text("%s", r.Store) }},
	{Name: "STORED", Right: true, Get: func(r Recovery) output.Cell { return output.Text("%d", r.Stored) }},
	{Name: "RUNNING", Right: true, Get: func(r Recovery) output.Cell { return output.Text("%d", r.Running) }},
	{Name: "READY MS", Right: true, Get: func(r Recovery) output.Cell { return output.Text("%.0f", r.Ready) }},
	{Name: "DISPATCHED MS", Right: true, Get: func(r Recovery) output.Cell { return output.Text("%.0f", r.Again) }},
}

// list is a list as the API gives one.
type list[T any] struct {
	Items []T `json:"items"`
}

var rowColumns = []output.Column[Row]{
	{Name: "WORKLOAD", Get: func(r Row) output.Cell { return output.Text("%s", r.Workload) }},
	{Name: "STORE", Get: func(r Row) output.Cell { return output.Text("%s", r.Store) }},
	{Name: "WORKERS", Get: func(r Row) output.Cell { return output.Text("%s", r.Workers) }},
	{Name: "MODE", Get: func(r Row) output.Cell { return output.Text("%s", r.Mode) }},
	{Name: "RUNS", Right: true, Get: func(r Row) output.Cell { return output.Text("%d", r.Runs) }},
	{Name: "COMPLETIONS/S", Right: true, Get: func(r Row) output.Cell { return output.Text("%.0f", r.Completions) }},
	{Name: "P50 MS", Right: true, Get: func(r Row) output.Cell { return output.Text("%.2f", r.P50) }},
	{Name: "P99 MS", Right: true, Get: func(r Row) output.Cell { return output.Text("%.2f", r.P99) }},
	{Name: "CEILING/S", Right: true, Get: func(r Row) output.Cell { return output.Text("%.0f", r.Ceiling) }},
	{Name: "RATIO", Right: true, Get: func(r Row) output.Cell { return output.Text("%.2f", r.Ratio) }},
	{Name: "CPU US", Right: true, Get: func(r Row) output.Cell { return output.Text("%.1f", r.CPU) }},
	{Name: "BYTES", Right: true, Wide: true, Get: func(r Row) output.Cell { return output.Text("%.0f", r.Bytes) }},
}

// printer prints as the global flags say.
func (p program) printer(cmd *cobra.Command) *output.Printer {
	text := func(name string) string { return cmd.Flag(name).Value.String() }
	fields, _ := cmd.Flags().GetStringSlice("fields") // a global flag
	width := 120
	if p.Terminal.Size != nil {
		width, _ = p.Terminal.Size()
	}
	return &output.Printer{W: p.Stdout, Format: text("output"), JQ: text("jq"), Fields: fields, NoHeaders: text("no-headers") == "true",
		Terminal: p.Terminal.Out, Width: width, Now: time.Now()}
}

// client reaches the server that the flags and the environment name.
func (p program) client(cmd *cobra.Command) (*sdk.Client, error) {
	f := &config.File{Contexts: map[string]config.Context{}}
	if path, err := config.Path(p.Env); err == nil {
		if f, err = config.Load(path); err != nil {
			return nil, fmt.Errorf("contexts: %w", err)
		}
	}
	s, err := f.Resolve(config.Choice{Context: cmd.Flag("context").Value.String(), Server: cmd.Flag("server").Value.String()}, p.Env)
	if err != nil {
		return nil, err
	}
	if s.Token == "" {
		return nil, errs.New(errs.Unauthenticated, "no token for %s", s.Server).WithHint("tutti login %s, or set TUTTI_TOKEN", s.Server)
	}
	return sdk.New(sdk.Config{Server: s.Server, Token: s.Token, CA: s.CA, Agent: "tutti-bench"})
}
