package cli

import (
	"bytes"
	"cmp"
	"context"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli/config"
	"tutti/internal/cli/output"
	"tutti/sdk"
)

// credentials are the flags of login.
type credentials struct {
	user, mail, bootstrap string
	token                 bool
}

func (l *line) loginCommand() *cobra.Command {
	var c credentials
	cmd := l.command("login [SERVER]", "Log in, and keep the session in the current context", func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			l.server = args[0]
		}
		return l.login(ctx, c)
	})
	cmd.Long = `Log in, and keep the session in the current context, or in the one that --context names.

Passwords and tokens are read from the terminal, or from stdin, never from an argument. The first
administrator of a new server is made with the one-time token in the server's data folder:

  tutti login --bootstrap tutti-data/bootstrap-token --user admin`
	f := cmd.Flags()
	f.StringVarP(&c.user, "user", "u", "", "name of the user")
	f.StringVar(&c.bootstrap, "bootstrap", "", "file with the bootstrap token: make the first administrator")
	f.StringVar(&c.mail, "mail", "", "address of the first administrator")
	f.BoolVar(&c.token, "with-token", false, "read an API token instead of a password")
	return cmd
}

func (l *line) login(ctx context.Context, c credentials) error {
	s, err := l.place()
	if err != nil {
		return err
	}
	s.Token = ""
	client, err := sdk.New(sdk.Config{Server: s.Server, Namespace: s.Namespace, CA: s.CA, Agent: "tutti/" + l.Version})
	if err != nil {
		return err
	}
	if c.token {
		err = l.loginToken(ctx, client, &s)
	} else {
		err = l.loginUser(ctx, client, &s, c)
	}
	if err != nil {
		return err
	}
	f, err := l.contexts()
	if err != nil {
		return err
	}
	if err := f.Set(s.Name, s.Context); err != nil {
		return err
	}
	f.Current = s.Name
	if err := f.Save(); err != nil {
		return err
	}
	l.note("Logged in to %s as %s; context %s in %s", s.Server, s.User, s.Name, f.Path())
	if !s.Expires.IsZero() {
		l.note("The session ends %s.", output.Relative(s.Expires, time.Now()))
	}
	if l.Env("TUTTI_TOKEN") != "" {
		l.note("TUTTI_TOKEN is set and wins over the context: unset it to use this login.")
	}
	return nil
}

// place returns where to log in: a named context may be new, and takes its name from the server where
// none is named.
func (l *line) place() (config.Settings, error) {
	f, err := l.contexts()
	if err != nil {
		return config.Settings{}, err
	}
	name := cmp.Or(l.context, l.Env("TUTTI_CONTEXT"))
	if _, known := f.Contexts[name]; name != "" && !known {
		if f.Contexts[name], err = config.New(cmp.Or(l.server, l.Env("TUTTI_SERVER"))); err != nil {
			return config.Settings{}, err
		}
	}
	s, err := f.Resolve(config.Choice{Context: l.context, Server: l.server, Namespace: l.namespace}, l.Env)
	if err != nil {
		return s, err
	}
	s.From = ""
	if name == "" && (s.Name == "" || f.Contexts[s.Name].Server != s.Server) {
		u, err := url.Parse(s.Server)
		if err != nil {
			return s, err
		}
		s.Name = strings.NewReplacer(":", "-", "[", "", "]", "").Replace(u.Host)
	}
	return s, nil
}

func (l *line) loginToken(ctx context.Context, c *sdk.Client, s *config.Settings) error {
	token, err := l.secret(ctx, "API token: ")
	if err != nil {
		return err
	}
	token = strings.TrimSpace(token)
	if token == "" {
		return usage("no token was given").WithHint("give it on stdin: tutti login --with-token < FILE")
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return usage("the token holds a character that no token has")
	}
	me, err := sdk.Call(ctx, c.With(token, ""), api.WhoAmI, api.Nothing{})
	if err != nil {
		return err
	}
	s.Token, s.User, s.Expires = token, me.Subject, time.Time{}
	return nil
}

func (l *line) loginUser(ctx context.Context, c *sdk.Client, s *config.Settings, cr credentials) error {
	var err error
	if cr.user == "" && cr.bootstrap != "" {
		cr.user = "admin"
	}
	if cr.user == "" {
		if !l.Terminal.In {
			return usage("who logs in?").WithHint("give --user NAME with the password on stdin, or --with-token")
		}
		if cr.user, err = l.ask(ctx, "User: "); err != nil {
			return err
		}
	}
	var session api.Session
	if cr.bootstrap != "" {
		token, err := os.ReadFile(cr.bootstrap)
		if err != nil {
			return errs.New(errs.Invalid, "read the bootstrap token: %w", reasonOf(err)).
				WithHint("it is the file bootstrap-token in the server's data folder, and is gone once there is an administrator")
		}
		pw, err := l.password(ctx, cr.user)
		if err != nil {
			return err
		}
		session, err = sdk.Call(ctx, c, api.Bootstrap, api.BootstrapIn{Body: api.BootstrapBody{
			Token: string(bytes.TrimSpace(token)), User: cr.user, Password: pw, Mail: cr.mail}})
		if err != nil {
			return err
		}
	} else {
		pw, err := l.secret(ctx, "Password of "+cr.user+": ")
		if err != nil {
			return err
		}
		if session, err = sdk.Call(ctx, c, api.Login, api.LoginIn{Body: api.LoginBody{User: cr.user, Password: pw}}); err != nil {
			return err
		}
	}
	s.Token, s.User, s.Expires = session.Secret, cmp.Or(session.Subject, cr.user), session.Expires
	return nil
}

func (l *line) logoutCommand() *cobra.Command {
	return l.command("logout", "End the session, and forget the credential of the context", func(ctx context.Context, _ []string) error {
		s, err := l.settled()
		if err != nil {
			return err
		}
		if s.From != "context" {
			return errs.New(errs.Unauthenticated, "no context is logged in to %s", s.Server).WithHint("see: tutti context list")
		}
		if !strings.HasPrefix(s.Token, "tutti_") { // an API token stays until it is revoked
			_, err = call(ctx, l, api.Logout, api.LogoutIn{})
		}
		if err != nil && !errs.Is(err, errs.Unauthenticated) {
			l.note("The session could not be ended on the server: %s", first(err))
		}
		c := l.file.Contexts[s.Name]
		c.Token, c.User, c.Expires = "", "", time.Time{}
		l.file.Contexts[s.Name] = c
		if err := l.file.Save(); err != nil {
			return err
		}
		l.note("Logged out of %s.", s.Server)
		return nil
	})
}

func (l *line) whoamiCommand() *cobra.Command {
	return l.command("whoami", "Tell who you are and what you may do", func(ctx context.Context, _ []string) error {
		me, err := call(ctx, l, api.WhoAmI, api.Nothing{})
		if err != nil {
			return err
		}
		s, err := l.settled()
		if err != nil {
			return err
		}
		facts := []output.Column[api.Me]{
			col("You are", func(m api.Me) string { return m.Subject }),
			col("Roles", func(m api.Me) string { return grants(m.Grants) }),
			col("Server", func(api.Me) string { return s.Server }),
			col("Namespace", func(api.Me) string { return s.Namespace }),
			col("Context", func(api.Me) string { return s.Name }),
			when("Until", func(api.Me) time.Time { return s.Expires }),
			col("May", func(m api.Me) string {
				return strings.Join(append(m.Permissions["*"], m.Permissions[s.Namespace]...), ", ")
			}),
		}
		return output.One(l.printer(), me, facts, me.Subject)
	})
}
