package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"tutti/errs"
	"tutti/internal/cli/output"
	"tutti/internal/document"
)

// The exit codes.
const (
	ExitOK          = 0   // done; the thing watched ended well
	ExitError       = 1   // server, network, internal
	ExitUsage       = 2   // unknown flag, bad argument
	ExitRefused     = 3   // invalid input, conflict, not found
	ExitDenied      = 4   // not logged in or not permitted
	ExitBad         = 5   // the thing watched ended badly
	ExitTimeout     = 6   // --timeout ran out; it still runs
	ExitPerson      = 7   // stopped waiting because a person must act
	ExitChanges     = 8   // plan --detailed-exitcode: there are changes
	ExitInterrupted = 130 // Ctrl-C
)

// exit is an error that decides the exit code; without err there is nothing left to say.
type exit struct {
	code int
	err  error
}

// Error returns the message of what went wrong.
func (e exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap returns what went wrong.
func (e exit) Unwrap() error { return e.err }

// WithHint says what to do about it, and returns e.
func (e exit) WithHint(format string, args ...any) exit {
	if x, ok := errors.AsType[*errs.Error](e.err); ok {
		x.Hint = fmt.Sprintf(format, args...)
	}
	return e
}

// usage returns an error about the command line itself.
func usage(format string, args ...any) exit {
	return exit{ExitUsage, errs.New(errs.Invalid, format, args...)}
}

// code returns the exit code for an error.
func code(err error) int {
	if err == nil {
		return ExitOK
	}
	if e, ok := errors.AsType[exit](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[*errs.Error](err); !ok {
		return ExitError
	}
	switch errs.KindOf(err) {
	case errs.Invalid, errs.Conflict, errs.NotFound, errs.TooLarge:
		return ExitRefused
	case errs.Unauthenticated, errs.Denied:
		return ExitDenied
	default:
		return ExitError
	}
}

// finish prints err, if any, and returns the exit code. ctx has ended where the user interrupted.
func (l *line) finish(ctx context.Context, err error) int {
	n := code(err)
	if _, decided := errors.AsType[exit](err); !decided && err != nil && ctx.Err() != nil {
		n = ExitInterrupted
	}
	if e, ok := errors.AsType[exit](err); ok && e.err == nil {
		return n
	}
	if n == ExitInterrupted {
		l.note("interrupted")
	} else if err != nil {
		l.complain(err)
	}
	return n
}

// methodPrefix is what the sdk puts before the message of the server: which method was called.
var methodPrefix = regexp.MustCompile(`^[a-z]+\.[a-z]+: `)

// complain prints an error: what, then why and where, then what helps.
func (l *line) complain(err error) {
	msg := err.Error()
	e, ok := errors.AsType[*errs.Error](err)
	var problems []errs.Problem
	hint := ""
	if ok {
		msg = strings.Replace(msg, e.Error(), e.Msg, 1)
		problems, hint = e.Problems, e.Hint
		if hint == "" {
			hint = remedy(e.Kind)
		}
	}
	word := "error:"
	if l.colored(l.Terminal.Err) {
		word = output.Paint("1;31", word)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", word, indent(methodPrefix.ReplaceAllString(msg, "")))
	for _, p := range problems {
		text := p.Message
		if p.Location != "" {
			text = p.Location + ": " + text
		}
		fmt.Fprintf(&b, "  %s\n", indent(text))
		if p.Hint != "" {
			fmt.Fprintf(&b, "    %s\n", indent(p.Hint))
		}
	}
	if hint != "" {
		fmt.Fprintf(&b, "  %s\n", indent(hint))
	}
	_, _ = fmt.Fprint(l.Stderr, b.String()) // there is nobody to tell
}

// indent makes text safe to print, its further lines set off like the first.
func indent(s string) string {
	return strings.ReplaceAll(output.Lines(strings.TrimRight(s, "\n")), "\n", "\n  ")
}

// remedy is what helps against a kind of error that says nothing of it itself.
func remedy(k errs.Kind) string {
	switch k {
	case errs.Unauthenticated:
		return "log in: tutti login"
	case errs.Denied:
		return "see what you may do: tutti whoami"
	case errs.Unavailable:
		return "see what is wrong: tutti doctor"
	default:
		return ""
	}
}

// command returns a command. Its arguments are checked against use: words in capitals are required,
// [WORDS] may be left out, and … after a word takes any number.
func (l *line) command(use, short string, run func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, DisableFlagsInUseLine: true, ValidArgsFunction: cobra.NoFileCompletions,
		Args: func(cmd *cobra.Command, args []string) error { return checkArgs(cmd, args) },
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), args) },
	}
}

// group returns a command that only holds others.
func (l *line) group(use, short, example string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use: use, Short: short, Example: example, DisableFlagsInUseLine: true, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			var names []string
			for _, c := range cmd.Commands() {
				if c.IsAvailableCommand() {
					names = append(names, c.Name())
				}
			}
			u := usage("no command %q", cmd.CommandPath()+" "+args[0])
			if near := document.Nearest(args[0], names); near != "" {
				return u.WithHint("did you mean this?  %s %s", cmd.CommandPath(), near)
			}
			return u.WithHint("there are %s", strings.Join(names, ", "))
		},
	}
	g.AddCommand(commands...)
	return g
}

// checkArgs refuses too few or too many arguments.
func checkArgs(cmd *cobra.Command, args []string) error {
	least, most := 0, 0
	var missing string
	for _, w := range strings.Fields(cmd.Use)[1:] {
		most++
		if !strings.HasPrefix(w, "[") {
			if least++; least > len(args) && missing == "" {
				missing = strings.Trim(w, "…")
			}
		}
		if strings.HasSuffix(strings.Trim(w, "[]"), "…") {
			most = len(args)
		}
	}
	switch {
	case len(args) < least:
		return usage("%s needs %s", cmd.CommandPath(), missing).WithHint("write: %s\nsee: %s --help", cmd.UseLine(), cmd.CommandPath())
	case len(args) > max(most, least):
		return usage("%s takes no %q", cmd.CommandPath(), args[max(most, least)]).WithHint("write: %s\nsee: %s --help", cmd.UseLine(), cmd.CommandPath())
	}
	return nil
}

var (
	flagName    = regexp.MustCompile(`(?m)^\s+(?:-\w, )?--([a-z][a-z-]*)`)
	unknownFlag = regexp.MustCompile(`^unknown flag: --([^\s=]+)`)
)

// flagError says which flag was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	u := usage("%s", err.Error()).WithHint("see: %s --help", cmd.CommandPath())
	m := unknownFlag.FindStringSubmatch(err.Error())
	if m == nil {
		return u
	}
	var names []string
	for _, f := range flagName.FindAllStringSubmatch(cmd.LocalFlags().FlagUsages()+cmd.InheritedFlags().FlagUsages(), -1) {
		names = append(names, f[1])
	}
	if near := document.Nearest(m[1], names); near != "" {
		return u.WithHint("did you mean --%s?\nsee: %s --help", near, cmd.CommandPath())
	}
	return u
}

// Exit returns the error with which a command of Config.More ends with an exit code, having said itself
// what there is to say.
func Exit(code int) error { return exit{code: code} }
