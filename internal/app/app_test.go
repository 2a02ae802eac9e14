package app_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/app"
	"tutti/internal/identity"
	"tutti/internal/store/pgtest"
	"tutti/sdk"
)

// start runs a server until the test ends, or until stop is called, which returns what Run returned.
func start(t testing.TB, c app.Config) (app.Started, func() error) {
	t.Helper()
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	ready := make(chan app.Started, 1)
	c.Ready = func(s app.Started) { ready <- s }
	if testing.Verbose() {
		c.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1) // holds what Run returned
	go func() { ended <- app.Run(ctx, c) }()
	stop := func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() { _ = stop() })
	select {
	case s := <-ready:
		return s, stop
	case err := <-ended:
		ended <- err
		t.Fatalf("Run = %v before it was ready", err)
	}
	panic("not reached")
}

func client(t testing.TB, server, token string) *sdk.Client {
	t.Helper()
	c, err := sdk.New(sdk.Config{Server: server, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// firstSteps makes the first administrator, logs in, and asks who that is.
func firstSteps(t *testing.T, s app.Started) {
	t.Helper()
	info, err := os.Stat(s.BootstrapToken)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("bootstrap token: %v, %v; want a file with mode 0600", info, err)
	}
	token, err := os.ReadFile(s.BootstrapToken)
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, s.Address, "")
	in := api.BootstrapIn{Body: api.BootstrapBody{Token: strings.TrimSpace(string(token)), User: "anna", Password: "correct horse battery"}}
	if _, err := sdk.Call(t.Context(), c, api.Bootstrap, in); err != nil {
		t.Fatalf("bootstrap: %v", err)
	}
	if _, err := sdk.Call(t.Context(), c, api.Bootstrap, in); err == nil {
		t.Error("the bootstrap token worked twice")
	}
	session, err := sdk.Call(t.Context(), c, api.Login, api.LoginIn{Body: api.LoginBody{User: "anna", Password: "correct horse battery"}})
	if err != nil {
		t.Fatalf("login: %v", err)
	}
	me, err := sdk.Call(t.Context(), c.With(session.Secret, ""), api.WhoAmI, api.Nothing{})
	if err != nil || me.Subject != "user:anna" {
		t.Errorf("whoami = %+v, %v; want user:anna", me, err)
	}
	if _, err := sdk.Call(t.Context(), c, api.WhoAmI, api.Nothing{}); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("whoami as nobody = %v; want unauthenticated", err)
	}
}

func TestServerOnSQLite(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	s, stop := start(t, app.Config{Data: dir})
	t.Logf("ready after %v", s.Took)
	firstSteps(t, s)
	resp, err := http.Get(s.Address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || strings.Contains(string(body), "SQLite") {
		t.Errorf("readyz = %d %s; want 200 without detail", resp.StatusCode, body)
	}
	err = app.Run(t.Context(), app.Config{Data: dir, Listen: "127.0.0.1:0"})
	if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second server on the folder = %v; want a conflict that names it", err)
	}
	for _, name := range []string{".", "cluster.key", "master.key", "lock"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v; want it closed to others", name, info, err)
		}
	}
	began := time.Now()
	if err := stop(); err != nil {
		t.Errorf("Run = %v after its context ended; want nil", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the server took %v to stop; want 10s at most", took)
	}
	again, _ := start(t, app.Config{Data: dir})
	t.Logf("ready again after %v", again.Took)
	if _, err := os.Stat(again.BootstrapToken); err == nil {
		t.Error("there is a bootstrap token although there is an administrator")
	}
	if _, err := sdk.Call(t.Context(), client(t, again.Address, ""), api.Login, api.LoginIn{Body: api.LoginBody{User: "anna", Password: "correct horse battery"}}); err != nil {
		t.Errorf("login after a restart: %v", err)
	}
}

func TestServerOnPostgreSQL(t *testing.T) {
	t.Parallel()
	s, _ := start(t, app.Config{Data: t.TempDir(), DB: pgtest.URL(t)})
	t.Logf("ready after %v", s.Took)
	firstSteps(t, s)
}

func TestDemoToken(t *testing.T) {
	t.Parallel()
	token := identity.NewToken()
	s, _ := start(t, app.Config{Data: t.TempDir(), Identity: identity.Config{AdminToken: token}})
	if _, err := sdk.Call(t.Context(), client(t, s.Address, token), api.ListRuns, api.ListRunsIn{}); err != nil {
		t.Errorf("list runs with the administrator's token: %v", err)
	}
}

// A workflow goes through gateway, bus, engine and worker, and what happened can be followed.
func TestWorkflowRuns(t *testing.T) {
	t.Parallel()
	token := identity.NewToken()
	s, _ := start(t, app.Config{Data: t.TempDir(), Identity: identity.Config{AdminToken: token}})
	c := client(t, s.Address, token)
	const text = "kind: Workflow\nname: hello\ntasks:\n  greet:\n    use: noop\n    with: {text: hello}\n  after:\n    use: starlark\n    with: {code: \"def main(args): return {'n': 6 * 7}\"}\n    needs: [greet]\noutputs:\n  text: ${{ tasks.greet.out.text }}\n"
	run, err := sdk.Call(t.Context(), c, api.StartRun, api.StartRunIn{Wait: api.Duration(30 * time.Second), Body: api.StartRunBody{Definition: text}})
	if err != nil {
		t.Fatal(err)
	}
	if run.State != api.Succeeded || !strings.Contains(string(run.Outputs), "hello") {
		t.Errorf("run = %+v; want it succeeded with its output", run)
	}
	const happened, logEnded = "run", "end" // in no order: each topic goes at its own pace
	seen := map[string]int{}
	for e, err := range c.Stream(t.Context(), []string{"run:" + string(run.ID), "log:" + string(run.ID)}, "") {
		if err != nil {
			t.Fatal(err)
		}
		if seen[e.Type]++; int64(seen[happened]) == run.Seq && seen[logEnded] == 1 {
			break
		}
	}
	found, err := sdk.Call(t.Context(), c, api.Search, api.SearchIn{ID: string(run.ID)[:9]})
	if err != nil || len(found.Items) != 1 || found.Items[0].ID != string(run.ID) {
		t.Errorf("search = %+v, %v; want the run", found, err)
	}
	acts, err := sdk.Call(t.Context(), c, api.ListAudit, api.ListAuditIn{})
	if err != nil || len(acts.Items) == 0 || acts.Items[0].Action != "run.start" || !strings.HasPrefix(acts.Items[0].From, "127.0.0.1") {
		t.Errorf("audit = %+v, %v; want the start of the run first", acts.Items, err)
	}
	services, err := sdk.Call(t.Context(), c, api.ListPresence, api.Nothing{})
	if err != nil || len(services.Items) == 0 {
		t.Errorf("presence = %+v, %v; want the services", services, err)
	}
}

func TestRunRefusesWrongSettings(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "thesis.doc"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(full, "thesis.doc")
	open := t.TempDir()
	for name, mode := range map[string]os.FileMode{"lock": 0o600, "cluster.key": 0o644} {
		if err := os.WriteFile(filepath.Join(open, name), []byte("x"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		c    app.Config
		want string
	}{
		"no folder":              {app.Config{}, "no data folder"},
		"a folder of others":     {app.Config{Data: full}, "thesis.doc"},
		"a file":                 {app.Config{Data: file}, "data folder"},
		"a key others may read":  {app.Config{Data: open}, "cluster.key"},
		"a taken port":           {app.Config{Data: t.TempDir(), Listen: taken.Addr().String()}, "cannot listen"},
		"no address":             {app.Config{Data: t.TempDir(), Listen: "nonsense"}, "cannot listen"},
		"half a certificate":     {app.Config{Data: t.TempDir(), Cert: "c.pem"}, "key"},
		"no certificate":         {app.Config{Data: t.TempDir(), Cert: file, Key: file}, "TLS certificate"},
		"another database":       {app.Config{Data: t.TempDir(), DB: "mysql://x"}, "postgres://"},
		"a database that is off": {app.Config{Data: t.TempDir(), DB: "postgres://nobody@127.0.0.1:1/x?connect_timeout=1"}, "PostgreSQL"},
		"another bus":            {app.Config{Data: t.TempDir(), NATS: "amqp://x"}, "nats://"},
		"an unknown service":     {app.Config{Data: t.TempDir(), NATS: "nats://127.0.0.1:1", Services: []string{"gatewya"}}, "gatewya"},
		"half of it, alone":      {app.Config{Data: t.TempDir(), Services: []string{"gateway"}}, "NATS"},
		"no network":             {app.Config{Data: t.TempDir(), AllowDial: []string{"everything"}}, "everything"},
		"a short token":          {app.Config{Data: t.TempDir(), Identity: identity.Config{AdminToken: "x"}}, "token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.c.Listen == "" {
				tc.c.Listen = "127.0.0.1:0"
			}
			err := app.Run(t.Context(), tc.c)
			if err == nil || errs.KindOf(err) == errs.Internal || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Run = %v of kind %q; want an error about %q", err, errs.KindOf(err), tc.want)
			}
		})
	}
}
