package app

import (
	"cmp"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"tutti/errs"
	"tutti/internal/ansible/local"
	"tutti/internal/identity"
	"tutti/internal/logs"
	"tutti/internal/notify"
	"tutti/internal/request"
	"tutti/internal/terraform/tfcli"
	"tutti/internal/worker"
	"tutti/internal/workflow"
)

// Config is what a server can be told. Only Data is needed. What concerns one service is the Config of
// that service.
type Config struct {
	// Data is the folder that holds everything the server keeps; it is made where it is missing.
	Data string
	// Listen is the address of the API, "host:port"; "" is DefaultListen, port 0 any free one.
	Listen string
	// Cert and Key are the PEM files of a certificate for TLS; both or neither.
	Cert, Key string
	// Secure says that browsers come over TLS through a proxy.
	Secure bool
	// DB is "" for SQLite in the data folder, or postgres://….
	DB string
	// NATS is "" for a server inside this process, or nats://… of a cluster.
	NATS string
	// Services are what this process runs; empty is all.
	Services []string
	// AllowDial are the special addresses that tasks may reach all the same: "10.0.0.0/8:443", and so on;
	// see netguard.Parse.
	AllowDial []string
	// TaskTypes is a folder whose *.yaml files declare task types; they are applied when they change. ""
	// is none.
	TaskTypes string
	// MaxFile bounds an uploaded file, in bytes; 0 is 256 MiB.
	MaxFile int64

	// Shim is the command line that runs shim.Main with the folder appended; nil is this program's shim.
	Shim []string

	// Programs is how many programs of the task type exec, and of types made with it, run at a time; 0 is
	// four for each processor.
	Programs int
	// Terraform says which program runs Terraform tasks, and how; its folder, key and shim are set by Run.
	Terraform tfcli.Config
	// Ansible says which program runs playbooks, and how; its folder, key and shim are set by Run.
	Ansible local.Config

	Identity identity.Config // TokenFile is set by Run
	Logs     logs.Config
	Notify   notify.Config
	Request  request.Config
	Workflow workflow.Config // Types are set by Run
	Worker   worker.Config

	// Log takes what happens; nil discards it.
	Log *slog.Logger
	// Ready is called once the server takes calls; nil is not called. It must not block.
	Ready func(Started)
}

func (c Config) withDefaults() Config {
	c.Listen = cmp.Or(c.Listen, DefaultListen)
	if len(c.Services) == 0 {
		for _, x := range new(platform).list() {
			c.Services = append(c.Services, x.Name)
		}
	}
	c.Services = slices.Clone(c.Services)
	// Short, so that results still get through before the server has to be gone.
	c.Worker.Grace = cmp.Or(c.Worker.Grace, 4*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// check returns what is wrong with settings that no service looks at.
func (c Config) check() error {
	switch {
	case c.Data == "":
		return errs.New(errs.Invalid, "no data folder is given").WithHint("--data DIR says where the server keeps everything")
	case c.DB != "" && !strings.HasPrefix(c.DB, "postgres://") && !strings.HasPrefix(c.DB, "postgresql://"):
		return errs.New(errs.Invalid, "the database URL does not start with postgres://").
			WithHint("leave it empty for SQLite in the data folder, or use postgres://user@host/database")
	case c.NATS != "" && !strings.HasPrefix(c.NATS, "nats://") && !strings.HasPrefix(c.NATS, "tls://"):
		return errs.New(errs.Invalid, "the NATS URL does not start with nats:// or tls://").WithHint("leave it empty for a server inside this process")
	case c.NATS == "" && len(c.Services) < len(new(platform).list()):
		return errs.New(errs.Invalid, "some services would run elsewhere, but no NATS server connects them").WithHint("--nats nats://host names one")
	}
	return nil
}

// version returns that of the program: its release, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}
