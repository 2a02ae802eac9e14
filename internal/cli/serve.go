package cli

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/sdk"
)

// ServeFlags are what `tutti serve` was told. Empty fields leave it to the server.
type ServeFlags struct {
	// Data is the folder that holds everything; Listen the address of the API.
	Data, Listen string
	// DB is a postgres:// URL, NATS a nats:// URL; empty is what is built in.
	DB, NATS string
	// Services are what this process runs; none is all.
	Services []string
	// AllowDial are special addresses that tasks may reach, such as 10.0.0.0/8:443.
	AllowDial []string
	// SMTP is the mail server, smtp://[user:password@]host:port; From the address mails come from; Notify
	// who is told of every request.
	SMTP, From string
	Notify     []string
	// TrustedPools are the pools of remote workers that get the values of secrets.
	TrustedPools []string
	// TLSCert and TLSKey are PEM files. Secure says that browsers come over TLS through a proxy.
	TLSCert, TLSKey string
	Secure          bool
	// TaskTypes is a folder of task types that are applied when they change; "" is none.
	TaskTypes string
	// MaxFile bounds an uploaded file, in bytes.
	MaxFile int64
	// Programs bounds the programs of exec tasks that run at a time; 0 is four for each processor.
	Programs int
	// Terraform is the program, tofu or terraform; "" is what PATH has. TerraformConfig is a CLI
	// configuration file for it, such as one that names a mirror of providers.
	Terraform, TerraformConfig string
	// Ansible is the program ansible-playbook; "" is what PATH has.
	Ansible string
	// Log takes what happens.
	Log *slog.Logger
	// Ready is to be called once the server takes calls, with its address and the file of the
	// bootstrap token, which is there as long as there is no administrator. It does not block.
	Ready func(address, bootstrapToken string)
}

func (l *line) serveCommand() *cobra.Command {
	var f ServeFlags
	var format, level string
	cmd := l.command("serve", "Run the server", func(ctx context.Context, _ []string) error {
		if l.Serve == nil {
			return errs.New(errs.Internal, "this program was built without the server")
		}
		var err error
		if f.Log, err = l.logger(format, level); err != nil {
			return err
		}
		f.Ready = func(address, token string) { l.ready(f, address, token) }
		return l.Serve(ctx, f)
	})
	cmd.Example = "  tutti serve --data /var/lib/tutti --listen 127.0.0.1:8080"
	cmd.Long = "Run the server until it is interrupted. Every flag can be given as a variable too: --allow-dial is TUTTI_ALLOW_DIAL."
	s := cmd.Flags()
	s.StringVar(&f.Data, "data", cmp.Or(l.Env("TUTTI_DATA"), "tutti-data"), "folder that holds everything; it is made where it is missing")
	s.StringVar(&f.Listen, "listen", l.Env("TUTTI_LISTEN"), "address of the API (default 127.0.0.1:8080)")
	s.StringVar(&f.DB, "db", "", "PostgreSQL to use instead of SQLite: postgres://user@host/database")
	s.StringVar(&f.NATS, "nats", l.Env("TUTTI_NATS"), "NATS cluster to use instead of the embedded server: nats://host")
	s.StringSliceVar(&f.Services, "services", words(l.Env("TUTTI_SERVICES")), "services to run in this process (default all)")
	s.StringSliceVar(&f.AllowDial, "allow-dial", words(l.Env("TUTTI_ALLOW_DIAL")), "private or local addresses that tasks may reach: 10.0.0.0/8:443")
	s.StringVar(&f.SMTP, "smtp", "", "mail server: smtp://[user:password@]host:port")
	s.StringVar(&f.From, "from", l.Env("TUTTI_FROM"), "address that mails come from")
	s.StringSliceVar(&f.Notify, "notify", words(l.Env("TUTTI_NOTIFY")), "addresses to mail about every request")
	s.StringSliceVar(&f.TrustedPools, "trusted-pools", words(l.Env("TUTTI_TRUSTED_POOLS")), "pools of remote workers that get the values of secrets")
	s.StringVar(&f.TLSCert, "tls-cert", l.Env("TUTTI_TLS_CERT"), "PEM file with the certificate")
	s.StringVar(&f.TLSKey, "tls-key", l.Env("TUTTI_TLS_KEY"), "PEM file with its key")
	s.BoolVar(&f.Secure, "behind-tls", false, "a proxy in front serves TLS: mark cookies as secure")
	s.Int64Var(&f.MaxFile, "max-file", 0, "largest file to take, in bytes (default 256 MiB)")
	s.StringVar(&f.TaskTypes, "task-types", l.Env("TUTTI_TASK_TYPES"), "folder of task types (*.yaml) to apply when they change")
	s.IntVar(&f.Programs, "programs", 0, "how many programs of exec tasks run at the same time (default 4 for each processor)")
	s.StringVar(&f.Terraform, "terraform", l.Env("TUTTI_TERRAFORM"), "program that runs Terraform tasks (default tofu or terraform in PATH)")
	s.StringVar(&f.TerraformConfig, "terraform-config", l.Env("TUTTI_TERRAFORM_CONFIG"), "CLI configuration file for it, such as one that names a mirror of providers")
	s.StringVar(&f.Ansible, "ansible", l.Env("TUTTI_ANSIBLE"), "program that runs playbooks (default ansible-playbook in PATH)")
	s.StringVar(&format, "log-format", cmp.Or(l.Env("TUTTI_LOG_FORMAT"), "text"), "text|json")
	s.StringVar(&level, "log-level", cmp.Or(l.Env("TUTTI_LOG_LEVEL"), "warn"), "debug|info|warn|error")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		// These may hold passwords: help shows the default of a flag, so they are read late.
		f.DB, f.SMTP = cmp.Or(f.DB, l.Env("TUTTI_DB")), cmp.Or(f.SMTP, l.Env("TUTTI_SMTP"))
		return run(cmd, args)
	}
	return cmd
}

// words splits a variable at commas.
func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// ready says where the server is and how to get in.
func (l *line) ready(f ServeFlags, address, token string) {
	if address == "" {
		l.note("Tutti runs %s; the API is served elsewhere.", strings.Join(f.Services, ", "))
		return
	}
	how := "tutti login"
	if address != sdk.DefaultServer {
		how += " " + address
	}
	if token == "" {
		fmt.Fprintf(l.Stdout, "Tutti is ready at %s   log in: %s\n", address, how)
		return
	}
	fmt.Fprintf(l.Stdout, "Tutti is ready at %s   first login: %s --bootstrap %s --user admin\n", address, how, filepath.Clean(token))
}

// logger returns where processes log: stderr, as text or JSON.
func (l *line) logger(format, level string) (*slog.Logger, error) {
	var o slog.HandlerOptions
	var lv slog.Level
	if err := lv.UnmarshalText([]byte(level)); err != nil {
		return nil, usage("no log level %q", level).WithHint("--log-level takes debug, info, warn, error")
	}
	o.Level = lv
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(l.Stderr, &o)), nil
	case "text":
		return slog.New(slog.NewTextHandler(l.Stderr, &o)), nil
	}
	return nil, usage("no log format %q", format).WithHint("--log-format takes text, json")
}

func (l *line) workerCommand() *cobra.Command {
	var w sdk.Worker
	var format, level string
	var types, allow []string
	cmd := l.command("worker", "Run tasks of a pool on this machine, for a server elsewhere", func(ctx context.Context, _ []string) error {
		if l.Types == nil {
			return errs.New(errs.Internal, "this program was built without task types")
		}
		all, err := l.Types(allow)
		if err != nil {
			return err
		}
		if w.Log, err = l.logger(format, level); err != nil {
			return err
		}
		if w.Types, err = chosen(all, types); err != nil {
			return err
		}
		c, err := l.client()
		if err != nil {
			return err
		}
		// What is wrong with the server or the token shows at once, instead of as tasks that never come.
		if _, err := call(ctx, l, api.WhoAmI, api.Nothing{}); err != nil {
			return err
		}
		w.Transport, w.Namespace = c.Transport(), c.Namespace()
		names := make([]string, len(w.Types))
		for i, t := range w.Types {
			names[i] = t.Spec().Name
		}
		l.note("Working for %s, namespace %s, pool %s: %s", c.Server(), c.Namespace(), cmp.Or(w.Pool, api.DefaultPool), strings.Join(names, ", "))
		return w.Run(ctx)
	})
	cmd.Example = "  TUTTI_TOKEN=tutti_… tutti worker --server https://tutti.example.org --pool rack7 --slots 8"
	f := cmd.Flags()
	f.StringVar(&w.Pool, "pool", api.DefaultPool, "pool to take tasks from")
	f.IntVar(&w.Slots, "slots", 16, "how many tasks run at the same time")
	f.StringVar(&w.Name, "name", "", "who it is, for people (default the host's name)")
	f.DurationVar(&w.Grace, "grace", 10*time.Second, "how long tasks may take to end when it stops")
	f.StringSliceVar(&types, "types", nil, "only these task types")
	f.StringSliceVar(&allow, "allow-dial", words(l.Env("TUTTI_ALLOW_DIAL")), "private or local addresses that tasks may reach: 10.0.0.0/8:443")
	f.StringVar(&format, "log-format", "text", "text|json")
	f.StringVar(&level, "log-level", "info", "debug|info|warn|error")
	return cmd
}

// chosen returns the task types of some names; none is all.
func chosen(types []sdk.TaskType, names []string) ([]sdk.TaskType, error) {
	if len(names) == 0 {
		return types, nil
	}
	known := map[string]sdk.TaskType{}
	var all []string
	for _, t := range types {
		known[t.Spec().Name] = t
		all = append(all, t.Spec().Name)
	}
	var out []sdk.TaskType
	for _, n := range names {
		if known[n] == nil {
			return nil, usage("no task type %q", n).WithHint("there are %s", strings.Join(all, ", "))
		}
		out = append(out, known[n])
	}
	return out, nil
}

func (l *line) shimCommand() *cobra.Command {
	cmd := l.command("shim DIR", "Run the program of a folder (for Tutti itself)", func(_ context.Context, args []string) error {
		if l.Shim == nil {
			return errs.New(errs.Internal, "this program was built without the shim")
		}
		if n := l.Shim(args[0]); n != 0 {
			return exit{code: n}
		}
		return nil
	})
	cmd.Hidden = true
	return cmd
}
