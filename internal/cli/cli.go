// Package cli is the command line of Tutti: it says what users ask for in calls of package api, and
// says what came back in tables, trees, JSON and exit codes. It decides nothing that the server does
// not decide; what it owns is the grammar, the output and the file of contexts.
//
// Main runs one command. Everything it touches comes in through Config, so that a test or another
// program can run the whole of it.
package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/cli/config"
	"tutti/internal/cli/output"
	"tutti/internal/document"
	"tutti/sdk"
)

// Config is all that a command reaches.
type Config struct {
	// Args are the words after the program's name.
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Env returns a variable of the environment; nil has none.
	Env func(string) string
	// Terminal says which of the streams are terminals; the zero value is none.
	Terminal Terminal
	// Version is what `tutti version` prints; empty is "devel".
	Version string
	// Types returns what `tutti worker` can do, connecting to public addresses and to those allowed, such
	// as 10.0.0.0/8:443; nil has no `tutti worker`.
	Types func(allowDial []string) ([]sdk.TaskType, error)
	// Specs are the task types that workflows may use, for what checks and plays them without a server.
	Specs []api.TaskType
	// Declare returns the task type that a document of kind TaskType declares, or all that is wrong with
	// it; nil leaves those documents to the server.
	Declare func(*document.Document) (api.TaskType, []errs.Problem)
	// Schemas are the JSON Schemas `tutti schema` prints, by kind.
	Schemas map[string]json.RawMessage
	// Serve runs the server until ctx ends; it calls f.Ready once it takes calls. nil has no `tutti serve`.
	Serve func(ctx context.Context, f ServeFlags) error
	// Verify reads what a stopped server keeps and returns what is wrong with it; db is a postgres:// URL, or
	// "" for SQLite. nil has no `tutti fsck`.
	Verify func(ctx context.Context, data, db string) ([]Flaw, error)
	// Shim runs the program of a folder and returns its exit code, for `tutti shim DIR`; nil has none.
	Shim func(dir string) int
	// More are further commands, such as the demo.
	More []*cobra.Command
}

// Terminal is what a command may know of the terminal it runs at.
type Terminal struct {
	// In, Out and Err say which streams are a terminal.
	In, Out, Err bool
	// Size returns its width and height in cells; nil is 80 by 24.
	Size func() (width, height int)
	// Secret reads a line that is not shown; nil reads it as any other.
	Secret func(ctx context.Context) (string, error)
}

// Main runs the command of c.Args and returns its exit code (see Codes). ctx ends when the user
// interrupts: a command that only watches says what goes on without it.
func Main(ctx context.Context, c Config) int {
	if c.Env == nil {
		c.Env = func(string) string { return "" }
	}
	c.Stdin, c.Stdout, c.Stderr = cmp.Or[io.Reader](c.Stdin, strings.NewReader("")), cmp.Or(c.Stdout, io.Discard), cmp.Or(c.Stderr, io.Discard)
	c.Version = cmp.Or(c.Version, "devel")
	l := &line{Config: c}
	root := l.root()
	root.SetArgs(append([]string{}, c.Args...))
	return l.finish(ctx, root.ExecuteContext(ctx))
}

// Watch follows a request as `tutti watch` does, on the streams of c, and returns the exit code. It uses
// the server and token given, whatever the environment and the contexts say.
func (c Config) Watch(ctx context.Context, server, token, request string) int {
	env := c.Env
	c.Env = func(name string) string {
		switch name {
		case "TUTTI_SERVER":
			return server
		case "TUTTI_TOKEN":
			return token
		case "TUTTI_CONFIG":
			return os.DevNull
		case "TUTTI_CONTEXT", "TUTTI_NAMESPACE":
			return ""
		}
		if env == nil {
			return ""
		}
		return env(name)
	}
	c.Args = []string{"watch", request}
	return Main(ctx, c)
}

// line is one command line: what every command works with.
type line struct {
	Config
	context, server, namespace string
	format, jq, color, time    string
	fields                     []string
	noHeaders, verbose         bool

	file     *config.File
	settings config.Settings
	api      *sdk.Client
	lines    *bufio.Reader // of Stdin
}

const about = `Tutti builds what people ask for, by workflows across real systems, and shows how.

A command works with the server, namespace and credential that a flag names, else the environment
(TUTTI_SERVER, TUTTI_NAMESPACE, TUTTI_TOKEN, TUTTI_CONTEXT), else the current context. Contexts are in
~/.config/tutti/config.yaml, or where TUTTI_CONFIG says. An ID may be cut to any unique beginning.

Data goes to stdout, progress and hints to stderr. Exit codes: 0 done; 1 error; 2 usage; 3 refused;
4 not logged in or not permitted; 5 ended badly; 6 the time is up, it still runs; 7 a person must act;
8 plan --detailed-exitcode found changes; 130 interrupted.`

// root returns the tree of commands.
func (l *line) root() *cobra.Command {
	root := l.group("tutti", "Ask for resources, and see them built", "")
	root.Long = about
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetIn(l.Stdin)
	root.SetOut(l.Stdout)
	root.SetErr(l.Stderr)
	root.SetFlagErrorFunc(flagError)
	f := root.PersistentFlags()
	f.StringVar(&l.context, "context", "", "context to use instead of the current one")
	f.StringVar(&l.server, "server", "", "address of the server (default "+config.Server+")")
	f.StringVarP(&l.namespace, "namespace", "n", "", "namespace to work in (default "+config.Namespace+")")
	f.StringVarP(&l.format, "output", "o", "table", strings.Join(output.Formats, "|"))
	f.StringVar(&l.jq, "jq", "", "filter the JSON of the answer with a jq expression")
	f.StringSliceVar(&l.fields, "fields", nil, "columns, or JSON fields, to show")
	f.BoolVar(&l.noHeaders, "no-headers", false, "leave the heading of tables out")
	f.StringVar(&l.color, "color", "auto", "auto|always|never")
	f.StringVar(&l.time, "time", "", strings.Join(output.Times, "|"))
	f.BoolVarP(&l.verbose, "verbose", "v", false, "show the HTTP calls on stderr")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return l.check() }
	l.completeGlobals(root)

	section := func(id, title string, commands ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: id, Title: title})
		for _, c := range commands {
			c.GroupID = id
		}
		root.AddCommand(commands...)
	}
	section("daily", "Every day:",
		l.applyCommand(), l.planCommand(), l.statusCommand(), l.watchCommand(), l.waitCommand(), l.logsCommand(), l.openCommand())
	section("things", "Things:",
		l.requestCommands(), l.runCommands(), l.approvalCommands(), l.workflowCommands(), l.taskCommands(), l.resourceCommands(), l.viewCommands(), l.triggerCommands(), l.rolloutCommands(), l.catalogueCommand("catalogue"),
		l.fileCommands(), l.eventCommands(), l.auditCommands(), l.serviceCommands())
	section("access", "Access:",
		l.loginCommand(), l.logoutCommand(), l.whoamiCommand(), l.contextCommands(), l.userCommands(), l.tokenCommands(), l.secretCommands(), l.namespaceCommands())
	section("processes", "Processes:", append([]*cobra.Command{l.serveCommand(), l.workerCommand()}, l.More...)...)
	section("rest", "And:",
		l.schemaCommand(), l.doctorCommand(), l.fsckCommand(), l.apiCommand(), l.completionCommand(root), l.versionCommand())
	root.AddCommand(l.shimCommand())
	root.SetHelpCommandGroupID("rest")
	return root
}

// check refuses choices of the global flags that no command can carry out.
func (l *line) check() error {
	switch l.color {
	case "auto", "always", "never":
	default:
		return usage("no colour mode %q", l.color).WithHint("--color takes auto, always, never")
	}
	if err := l.printer().Check(); err != nil {
		return exit{ExitUsage, err}
	}
	return nil
}

// printer returns how to print to stdout.
func (l *line) printer() *output.Printer {
	w, _ := l.size()
	return &output.Printer{
		W: l.Stdout, Format: l.format, JQ: l.jq, Fields: l.fields, NoHeaders: l.noHeaders, Time: l.time,
		Terminal: l.Terminal.Out, Width: w, Color: l.colored(l.Terminal.Out), Now: time.Now(),
	}
}

// size returns the size of the terminal.
func (l *line) size() (width, height int) {
	width, height = 80, 24
	if l.Terminal.Size != nil {
		if w, h := l.Terminal.Size(); w > 0 && h > 0 {
			width, height = w, h
		}
	}
	return width, height
}

// colored decides about colour on a stream: --color, then NO_COLOR, then whether it is a terminal.
func (l *line) colored(terminal bool) bool {
	switch l.color {
	case "always":
		return true
	case "never":
		return false
	}
	return terminal && l.Env("NO_COLOR") == "" && l.Env("TERM") != "dumb"
}

// settled reads the contexts and decides which server, namespace and credential to use.
func (l *line) settled() (config.Settings, error) {
	if l.file != nil {
		return l.settings, nil
	}
	f, err := l.contexts()
	if err != nil {
		return config.Settings{}, err
	}
	if l.settings, err = f.Resolve(config.Choice{Context: l.context, Server: l.server, Namespace: l.namespace}, l.Env); err != nil {
		return config.Settings{}, err
	}
	l.file = f
	return l.settings, nil
}

// contexts reads the file of contexts. Where no place for one is known, it is empty.
func (l *line) contexts() (*config.File, error) {
	path, err := config.Path(l.Env)
	if err != nil {
		return &config.File{Contexts: map[string]config.Context{}}, nil
	}
	return config.Load(path)
}

// client returns the way to the server.
func (l *line) client() (*sdk.Client, error) {
	if l.api != nil {
		return l.api, nil
	}
	s, err := l.settled()
	if err != nil {
		return nil, err
	}
	c := sdk.Config{Server: s.Server, Token: s.Token, Namespace: s.Namespace, CA: s.CA, Agent: "tutti/" + l.Version}
	if l.verbose {
		if c.Transport, err = l.traced(s.CA); err != nil {
			return nil, err
		}
	}
	l.api, err = sdk.New(c)
	return l.api, err
}

// callTime bounds one call that does not wait for anything.
const callTime = 2 * time.Minute

// call calls a method of the API.
func call[In, Out any](ctx context.Context, l *line, m bus.Method[In, Out], in In) (Out, error) {
	var none Out
	c, err := l.client()
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return sdk.Call(ctx, c, m, in)
}

// note tells the person something that is not data.
func (l *line) note(format string, args ...any) {
	fmt.Fprintln(l.Stderr, output.Lines(fmt.Sprintf(format, args...)))
}
