package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli/output"
	"tutti/sdk"
)

// finding is one thing the doctor looked at.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"` // ok, warning, failed
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

// doctor collects findings.
type doctor struct {
	*line
	found []finding
}

func (d *doctor) say(check, result, remedy, format string, args ...any) {
	d.found = append(d.found, finding{check, result, fmt.Sprintf(format, args...), remedy})
}

func (l *line) doctorCommand() *cobra.Command {
	var data string
	cmd := l.command("doctor", "Check the server, the login and the data folder, and say what to do", func(ctx context.Context, _ []string) error {
		d := &doctor{line: l}
		if s, err := l.settled(); err != nil {
			d.say("contexts", "failed", "", "%s", first(err))
		} else {
			d.contexts(s.Expires)
			d.server(ctx)
		}
		if data != "" {
			d.folder(data)
		}
		cols := []output.Column[finding]{
			{Name: "RESULT", Get: func(f finding) output.Cell {
				if s, ok := map[string]api.State{"ok": api.Succeeded, "failed": api.Failed, "warning": api.Waiting}[f.Result]; ok && l.Terminal.Out {
					text := output.Glyph(s) + " " + f.Result
					return output.Text("%s", text)
				}
				return output.Text("%s", f.Result)
			}},
			col("CHECK", func(f finding) string { return f.Check }),
			col("FOUND", func(f finding) string { return f.Text }),
			col("REMEDY", func(f finding) string { return f.Remedy }),
		}
		if err := list(l, api.Page[finding]{Items: d.found}, cols, func(f finding) string { return f.Check }, ""); err != nil {
			return err
		}
		if slices.ContainsFunc(d.found, func(f finding) bool { return f.Result == "failed" }) {
			return exit{code: ExitError}
		}
		return nil
	})
	cmd.Flags().StringVar(&data, "data", "", "data folder of a server on this machine, to look into too")
	return cmd
}

// contexts looks at the file of contexts.
func (d *doctor) contexts(expires time.Time) {
	path := d.file.Path()
	switch {
	case path == "":
		d.say("contexts", "ok", "", "no file: no home folder")
	case d.file.Exposed():
		d.say("contexts", "failed", "chmod 600 "+path, "%s holds credentials and may be read by others", path)
	default:
		d.say("contexts", "ok", "", "%s, %d contexts", path, len(d.file.Contexts))
	}
	if left := time.Until(expires); !expires.IsZero() && left < time.Hour {
		d.say("session", "warning", "tutti login", "the session ends %s", output.Relative(expires, time.Now()))
	}
}

// worstSkew is how far clocks may differ before times and certificates begin to confuse.
const worstSkew = 5 * time.Second

// server looks at the server: is it there, ready, and does it know the caller.
func (d *doctor) server(ctx context.Context) {
	c, err := d.client()
	if err != nil {
		d.say("server", "failed", "", "%s", first(err))
		return
	}
	began := time.Now()
	resp, err := c.Raw(ctx, http.MethodGet, "/readyz", nil, nil)
	if err != nil {
		d.say("server", "failed", "start it: tutti serve; name it: TUTTI_SERVER or --server", "%s", first(err))
		return
	}
	defer resp.Body.Close()
	took := time.Since(began)
	var ready struct {
		Ready      bool              `json:"ready"`
		Durable    bool              `json:"durable"`
		Durability string            `json:"durability"`
		Services   map[string]string `json:"services"`
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(b, &ready)
	}
	if err != nil {
		d.say("server", "failed", "check the address", "%s is not a server of Tutti: it answered %s", c.Server(), resp.Status)
		return
	}
	d.say("server", "ok", "", "%s answers in %s", c.Server(), took.Round(time.Millisecond))
	d.readiness(ready.Ready, ready.Durable, ready.Durability, ready.Services)
	d.clock(resp.Header.Get("Date"), began.Add(took/2))
	d.who(ctx, c)
	d.versions(ctx)
}

func (d *doctor) readiness(ready, durable bool, durability string, services map[string]string) {
	var down []string
	for name, s := range services {
		if s != "up" {
			down = append(down, name)
		}
	}
	slices.Sort(down)
	switch {
	case ready:
		d.say("ready", "ok", "", "all services answer")
	case len(down) > 0:
		d.say("ready", "failed", "see the log of the server", "down: %s", strings.Join(down, ", "))
	default:
		d.say("ready", "failed", "see the log of the server", "not every service answers")
	}
	if durable {
		d.say("durability", "ok", "", "%s", strings.TrimSpace("what is accepted survives a power loss; "+durability))
	} else {
		d.say("durability", "failed", "see the log of the server", "what is accepted may be lost at a power loss")
	}
}

// clock compares the clock of the server, which tells whole seconds, with the one here.
func (d *doctor) clock(date string, here time.Time) {
	t, err := http.ParseTime(date)
	if err != nil {
		d.say("clock", "warning", "", "the server does not tell its time")
		return
	}
	skew := here.Sub(t.Add(500 * time.Millisecond)).Round(time.Second)
	if skew.Abs() > worstSkew {
		d.say("clock", "warning", "set the clocks by NTP", "this machine is %s off the server's clock", skew)
		return
	}
	d.say("clock", "ok", "", "within %s of the server's", worstSkew)
}

func (d *doctor) who(ctx context.Context, c *sdk.Client) {
	me, err := call(ctx, d.line, api.WhoAmI, api.Nothing{})
	switch {
	case errs.Is(err, errs.Unauthenticated) && d.settings.From == "":
		d.say("login", "warning", "tutti login", "nobody is logged in")
	case errs.Is(err, errs.Unauthenticated):
		d.say("login", "failed", "tutti login", "the token of the %s is not valid (any more)", d.settings.From)
	case err != nil:
		d.say("login", "failed", "", "%s", first(err))
	case len(me.Permissions[c.Namespace()])+len(me.Permissions["*"]) == 0 && len(me.Permissions) > 0:
		d.say("login", "warning", "tutti whoami", "%s holds no role in namespace %s", me.Subject, c.Namespace())
	default:
		d.say("login", "ok", "", "%s, roles %s", me.Subject, grants(me.Grants))
	}
}

// versions compares what runs with this program.
func (d *doctor) versions(ctx context.Context) {
	page, err := call(ctx, d.line, api.ListPresence, api.Nothing{})
	if err != nil {
		return // login has said why
	}
	var versions []string
	down := 0
	for _, p := range page.Items {
		if p.State != "up" {
			down++
			continue
		}
		if !slices.Contains(versions, p.Version) {
			versions = append(versions, p.Version)
		}
	}
	slices.Sort(versions)
	switch {
	case len(versions) > 1:
		d.say("versions", "warning", "finish the upgrade: tutti service list", "several versions run: %s", strings.Join(versions, ", "))
	case len(versions) == 1 && versions[0] != d.Version:
		d.say("versions", "warning", "use the program of the server's version", "the server is %s, this program %s", versions[0], d.Version)
	case len(versions) == 1:
		d.say("versions", "ok", "", "%s", versions[0])
	}
	if down > 0 {
		d.say("presence", "warning", "tutti service list", "%d services or workers missed their beats", down)
	}
}

// folder looks at a data folder: who may read it, and whether a write to it is kept.
func (d *doctor) folder(dir string) {
	st, err := os.Stat(dir)
	switch {
	case err != nil:
		d.say("data", "failed", "", "%v", err)
		return
	case !st.IsDir():
		d.say("data", "failed", "", "%s is not a folder", dir)
		return
	case st.Mode().Perm()&0o077 != 0:
		d.say("data", "failed", "chmod 700 "+dir, "%s may be read by others (%v)", dir, st.Mode())
	default:
		d.say("data", "ok", "", "%s is closed to others", dir)
	}
	d.keys(dir)
	d.sync(dir)
}

// keys looks at the files that nobody else may read.
func (d *doctor) keys(dir string) {
	for _, name := range []string{"master.key", "cluster.key", "bootstrap-token"} {
		path := filepath.Join(dir, name)
		st, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			d.say(name, "failed", "", "%v", err)
		case !st.Mode().IsRegular() || st.Mode().Perm()&0o077 != 0:
			d.say(name, "failed", "chmod 600 "+path, "%s may be read by others (%v)", path, st.Mode())
		case name == "bootstrap-token":
			d.say(name, "warning", "tutti login --bootstrap "+path+" --user admin", "there is no administrator yet")
		default:
			d.say(name, "ok", "", "closed to others")
		}
	}
}

// sync writes a file and waits for the disk. It says how long that takes: the engine commits that often.
func (d *doctor) sync(dir string) {
	f, err := os.CreateTemp(dir, ".doctor-")
	if err != nil {
		d.say("disk", "failed", "run it as the user of the server", "%v", err)
		return
	}
	defer os.Remove(f.Name())
	defer f.Close()
	const tries = 20
	began := time.Now()
	for range tries {
		if _, err = f.WriteString("x"); err == nil {
			err = f.Sync()
		}
		if err != nil {
			d.say("disk", "failed", "", "%v", err)
			return
		}
	}
	each := time.Since(began) / tries
	if each > 20*time.Millisecond {
		d.say("disk", "warning", "put the data folder on a faster disk", "a durable write takes %s", each.Round(10*time.Microsecond))
		return
	}
	d.say("disk", "ok", "", "a durable write takes %s", each.Round(10*time.Microsecond))
}
