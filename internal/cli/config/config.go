// Package config keeps the contexts of the command line: which server, which namespace, and the
// credential for it, in one file that only its owner can read. It owns ~/.config/tutti/config.yaml and
// decides what wins: a flag, then the environment, then the context.
package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"tutti/errs"
	"tutti/internal/durable"
)

// Server and Namespace are used where nothing names any.
const (
	Server    = "http://127.0.0.1:8080"
	Namespace = "default"
)

// Context is a server and how to work with it.
type Context struct {
	Server    string `yaml:"server" json:"server"`
	Namespace string `yaml:"namespace,omitempty" json:"namespace,omitempty"`
	// CA is the path of a PEM file with the authority of the server's certificate.
	CA string `yaml:"ca,omitempty" json:"ca,omitempty"`
	// User is whose credential it is, for people; Token is the credential: an API token, or the
	// secret of a session that ends at Expires.
	User    string    `yaml:"user,omitempty" json:"user,omitempty"`
	Token   string    `yaml:"token,omitempty" json:"-"`
	Expires time.Time `yaml:"expires,omitempty" json:"expires,omitzero"`
	// Protected asks that dangerous commands name the context.
	Protected bool `yaml:"protected,omitempty" json:"protected,omitempty"`
}

// File is the file of contexts.
type File struct {
	Current  string             `yaml:"current,omitempty"`
	Contexts map[string]Context `yaml:"contexts,omitempty"`

	path string
}

// Path returns where the file is: $TUTTI_CONFIG, or tutti/config.yaml in $XDG_CONFIG_HOME or ~/.config.
func Path(env func(string) string) (string, error) {
	if p := env("TUTTI_CONFIG"); p != "" {
		return p, nil
	}
	if d := env("XDG_CONFIG_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "tutti", "config.yaml"), nil
	}
	if home := env("HOME"); home != "" {
		return filepath.Join(home, ".config", "tutti", "config.yaml"), nil
	}
	return "", errs.New(errs.Invalid, "neither TUTTI_CONFIG nor HOME is set").WithHint("set TUTTI_CONFIG to the path of a file for contexts")
}

// Load reads the file at path. A file that is not there is an empty one.
func Load(path string) (*File, error) {
	f := &File{path: path, Contexts: map[string]Context{}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read contexts: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(f); err != nil && !errors.Is(err, io.EOF) {
		return nil, errs.New(errs.Invalid, "%s: %w", path, err).WithHint("correct the file, or set TUTTI_CONFIG to another one")
	}
	if f.Contexts == nil {
		f.Contexts = map[string]Context{}
	}
	return f, nil
}

// Path returns where f was read from.
func (f *File) Path() string { return f.path }

// Exposed reports whether others than its owner may read the file.
func (f *File) Exposed() bool {
	st, err := os.Stat(f.path)
	return err == nil && st.Mode().Perm()&0o077 != 0
}

// Save writes the file, readable by its owner only, whole or not at all.
func (f *File) Save() error {
	data, err := yaml.Marshal(f)
	if err != nil {
		return err
	}
	err = os.MkdirAll(filepath.Dir(f.path), 0o700)
	if err == nil {
		err = durable.Replace(f.path, data)
	}
	if err != nil {
		return fmt.Errorf("save contexts: %w", err)
	}
	return nil
}

var nameOK = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// Set stores c under name; the first one becomes the current one. It returns errs.Invalid.
func (f *File) Set(name string, c Context) error {
	if !nameOK.MatchString(name) {
		return errs.New(errs.Invalid, "%q cannot be the name of a context", name).WithHint("use letters, digits, '.', '_' and '-'")
	}
	var err error
	if c.Server, err = CheckServer(c.Server); err != nil {
		return err
	}
	f.Contexts[name] = c
	if f.Current == "" {
		f.Current = name
	}
	return nil
}

// Find returns the context of that name, or errs.NotFound.
func (f *File) Find(name string) (Context, error) {
	if c, ok := f.Contexts[name]; ok {
		return c, nil
	}
	e := errs.New(errs.NotFound, "no context %q", name)
	if len(f.Contexts) == 0 {
		return Context{}, e.WithHint("make one with: tutti context add %s --server URL", name)
	}
	return Context{}, e.WithHint("there are %s", strings.Join(f.Names(), ", "))
}

// Names lists the contexts in order.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.Contexts)) }

// CheckServer returns the address of a server in the form it is used in, or errs.Invalid.
func CheckServer(s string) (string, error) {
	if s != "" && !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errs.New(errs.Invalid, "%q is not the address of a server", s).WithHint("write it like %s or https://tutti.example.org", Server)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// Choice is what the flags say; empty fields leave it to the environment and the context.
type Choice struct{ Context, Server, Namespace string }

// Settings are what a command works with.
type Settings struct {
	// Name is that of the context; empty where none is used.
	Name string
	Context
	// From says where the token came from: "TUTTI_TOKEN" or "context"; empty where there is none.
	From string
	// Named says that the context was named on the command line.
	Named bool
}

// Resolve decides between flags, environment and the file, in this order. The credential of a context
// is sent to that context's server only.
func (f *File) Resolve(flags Choice, env func(string) string) (Settings, error) {
	s := Settings{Name: cmp.Or(flags.Context, env("TUTTI_CONTEXT"), f.Current), Named: flags.Context != ""}
	if s.Name != "" {
		var err error
		if s.Context, err = f.Find(s.Name); err != nil {
			return Settings{}, err
		}
	}
	own := s.Server
	server, err := CheckServer(cmp.Or(flags.Server, env("TUTTI_SERVER"), s.Server, Server))
	if err != nil {
		return Settings{}, err
	}
	s.Server = server
	s.Namespace = cmp.Or(flags.Namespace, env("TUTTI_NAMESPACE"), s.Namespace, Namespace)
	switch {
	case env("TUTTI_TOKEN") != "":
		s.Token, s.From, s.User, s.Expires = strings.TrimSpace(env("TUTTI_TOKEN")), "TUTTI_TOKEN", "", time.Time{}
	case s.Token != "" && server == own:
		s.From = "context"
	default:
		s.Token, s.User, s.Expires = "", "", time.Time{}
	}
	if server != own {
		s.CA = ""
	}
	return s, nil
}

// New returns a context for a server; "" is the default one.
func New(server string) (Context, error) {
	s, err := CheckServer(cmp.Or(server, Server))
	return Context{Server: s}, err
}
