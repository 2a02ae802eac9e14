package cli

import (
	"cmp"
	"context"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/internal/cli/config"
	"tutti/internal/cli/output"
)

// named is a context as it is shown: without its credential.
type named struct {
	Name    string `json:"name"`
	Current bool   `json:"current,omitempty"`
	config.Context
	LoggedIn bool `json:"loggedIn"`
}

func contextColumns() []output.Column[named] {
	return []output.Column[named]{
		col("NAME", func(n named) string { return n.Name }),
		col("CURRENT", func(n named) string { return yes(n.Current) }),
		col("SERVER", func(n named) string { return n.Server }),
		col("NAMESPACE", func(n named) string { return cmp.Or(n.Namespace, config.Namespace) }),
		col("USER", func(n named) string { return n.User }),
		when("UNTIL", func(n named) time.Time { return n.Expires }),
		col("PROTECTED", func(n named) string { return yes(n.Protected) }),
		wide("CA", func(n named) string { return n.CA }),
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func (l *line) contextCommands() *cobra.Command {
	return l.group("context", "Keep servers to work with", "  tutti context add prod --server https://tutti.example.org --protected\n  tutti context use prod",
		l.contextList(), l.contextUse(), l.contextAdd(), l.contextShow(), l.contextRemove())
}

func show(f *config.File, name string) named {
	c := f.Contexts[name]
	return named{Name: name, Current: name == f.Current, Context: c, LoggedIn: c.Token != ""}
}

// contextNames completes the names of contexts.
func (l *line) contextNames(context.Context) []string {
	f, err := l.contexts()
	if err != nil {
		return nil
	}
	return f.Names()
}

func (l *line) contextList() *cobra.Command {
	return l.command("list", "List the contexts", func(context.Context, []string) error {
		f, err := l.contexts()
		if err != nil {
			return err
		}
		var items []named
		for _, n := range f.Names() {
			items = append(items, show(f, n))
		}
		return list(l, api.Page[named]{Items: items}, contextColumns(), func(n named) string { return n.Name }, "No context. Add one: tutti context add NAME --server URL, or log in: tutti login")
	})
}

func (l *line) contextUse() *cobra.Command {
	cmd := l.command("use NAME", "Make a context the current one", func(_ context.Context, args []string) error {
		f, err := l.contexts()
		if err != nil {
			return err
		}
		if _, err := f.Find(args[0]); err != nil {
			return err
		}
		f.Current = args[0]
		if err := f.Save(); err != nil {
			return err
		}
		l.note("Using context %s: %s", args[0], f.Contexts[args[0]].Server)
		return nil
	})
	cmd.ValidArgsFunction = l.complete(l.contextNames)
	return cmd
}

func (l *line) contextAdd() *cobra.Command {
	var ca string
	var protected bool
	cmd := l.command("add NAME", "Add a context, or change one; --server and --namespace say which", func(_ context.Context, args []string) error {
		f, err := l.contexts()
		if err != nil {
			return err
		}
		c := f.Contexts[args[0]]
		if server := cmp.Or(l.server, c.Server, config.Server); c.Server != "" && server != c.Server {
			c.Token, c.User, c.Expires = "", "", time.Time{} // a credential is for one server
		}
		c.Server = cmp.Or(l.server, c.Server, config.Server)
		c.Namespace, c.CA = cmp.Or(l.namespace, c.Namespace), cmp.Or(ca, c.CA)
		c.Protected = protected
		if err := f.Set(args[0], c); err != nil {
			return err
		}
		if err := f.Save(); err != nil {
			return err
		}
		return output.One(l.printer(), show(f, args[0]), contextColumns(), args[0])
	})
	cmd.Flags().StringVar(&ca, "ca", "", "PEM file with the authority of the server's certificate")
	cmd.Flags().BoolVar(&protected, "protected", false, "dangerous commands must name the context")
	return cmd
}

func (l *line) contextShow() *cobra.Command {
	cmd := l.command("show [NAME]", "Show what a command here would use, or a context", func(_ context.Context, args []string) error {
		if len(args) == 0 {
			s, err := l.settled()
			if err != nil {
				return err
			}
			return output.One(l.printer(), named{s.Name, s.Name == l.file.Current, s.Context, s.Token != ""}, contextColumns(), s.Name)
		}
		f, err := l.contexts()
		if err != nil {
			return err
		}
		if _, err := f.Find(args[0]); err != nil {
			return err
		}
		return output.One(l.printer(), show(f, args[0]), contextColumns(), args[0])
	})
	cmd.ValidArgsFunction = l.complete(l.contextNames)
	return cmd
}

func (l *line) contextRemove() *cobra.Command {
	cmd := l.command("remove NAME", "Remove a context with its credential", func(_ context.Context, args []string) error {
		f, err := l.contexts()
		if err != nil {
			return err
		}
		if _, err := f.Find(args[0]); err != nil {
			return err
		}
		delete(f.Contexts, args[0])
		if f.Current == args[0] {
			f.Current = ""
		}
		if err := f.Save(); err != nil {
			return err
		}
		l.note("Removed context %s.", args[0])
		return nil
	})
	cmd.ValidArgsFunction = l.complete(l.contextNames)
	return cmd
}
