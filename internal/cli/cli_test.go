package cli

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for kind, want := range map[errs.Kind]int{
		errs.Internal: 1, errs.Invalid: 3, errs.Unauthenticated: 4, errs.Denied: 4, errs.NotFound: 3, errs.Conflict: 3, errs.TooLarge: 3, errs.Limited: 1,
	} {
		s := newStandIn(t)
		s.on("GET "+ns+"/runs", errs.New(kind, "it is so"))
		if r := s.cli("run", "list"); r.code != want || r.out != "" || !strings.HasPrefix(r.errOut, "error: it is so\n") {
			t.Errorf("kind %q: exit code %d, stdout %q, stderr %q; want %d, nothing, the error", kind, r.code, r.out, r.errOut, want)
		}
	}
	s := newStandIn(t)
	for _, args := range [][]string{
		{"rnu"}, {"run", "lst"}, {"run", "list", "--nosuch"}, {"run", "show"}, {"run", "show", "a", "b"}, {"run", "list", "-o", "xml"}, {"run", "list", "--jq", "["},
		{"run", "list", "--color", "red"}, {"run", "start"}, {"run", "list", "--limit", "-1"}, {"wait", runA, "--for", "done"}, {"wait", runA, "--timeout", "soon"},
		{"apply"}, {"workflow", "new", "A B"}, {"secret", "set", "x"}, {"completion", "tcsh"}, {"schema", "Nosuch"}, {"token", "create", "x", "--role", "king"},
	} {
		if r := s.cli(args...); r.code != 2 || r.out != "" || !strings.HasPrefix(r.errOut, "error: ") {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q; want 2 and an error", args, r.code, r.out, r.errOut)
		}
	}
	if n := s.called(""); n != 0 {
		t.Errorf("mistakes in the command line made %d calls; want none", n)
	}
	s.Close()
	if r := s.cli("whoami"); r.code != 1 || !strings.Contains(r.errOut, "cannot reach") {
		t.Errorf("server gone: exit code %d, stderr %q; want 1", r.code, r.errOut)
	}
}

func TestErrorsSayWhatHelps(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.on("POST "+ns+"/definitions", errs.New(errs.Invalid, "2 problems in vm.yaml").WithProblems(
		errs.Problem{Location: "vm.yaml:12:9", Message: "no task \"bild\"", Hint: "did you mean build?"}, errs.Problem{Location: "vm.yaml:3:1", Message: "unknown key\x1b[2J"}))
	s.on("GET "+ns+"/runs", errs.New(errs.Unauthenticated, "the token is not valid"))
	dir := t.TempDir()
	write(t, dir, "vm.yaml", "kind: Workflow\n")
	r := s.cli("apply", "-f", filepath.Join(dir, "vm.yaml"))
	want := "error: 2 problems in vm.yaml\n  vm.yaml:12:9: no task \"bild\"\n    did you mean build?\n  vm.yaml:3:1: unknown key�[2J\n"
	if diff := cmp.Diff(want, r.errOut); diff != "" || r.code != 3 {
		t.Errorf("apply: exit code %d (-want +got):\n%s", r.code, diff)
	}
	for _, c := range []struct{ args, want string }{
		{"run list", "error: the token is not valid\n  log in: tutti login\n"},
		{"rnu", "error: no command \"tutti rnu\"\n  did you mean this?  tutti run\n"},
		{"request lst", "error: no command \"tutti request lst\"\n  did you mean this?  tutti request list\n"},
		{"run list --limt 3", "error: unknown flag: --limt\n  did you mean --limit?\n  see: tutti run list --help\n"},
		{"run cancel", "error: tutti run cancel needs ID\n  write: tutti run cancel ID\n  see: tutti run cancel --help\n"},
		{"run show", "error: which run?\n  give its ID, or a file with --file; see: tutti run list\n"},
		{"token create x --role default=oprator", "error: no role \"oprator\"\n  did you mean default=operator?\n"},
		{"user delete anna", "error: delete user anna with its sessions and tokens: nobody is here to confirm it\n  give --yes\n"},
	} {
		if diff := cmp.Diff(c.want, s.cli(strings.Fields(c.args)...).errOut); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.args, diff)
		}
	}
}

var someRuns = api.Page[api.Run]{Items: []api.Run{
	{ID: runA, Workflow: "vm.build", Title: "web-dev-07", State: api.Succeeded, Requester: "user:anna", Created: day, Ended: day.Add(112 * time.Second), Trace: "t1", Outputs: json.RawMessage(`{"a":1}`)},
	{ID: runB, Workflow: "mail", State: api.Failed, Requester: "token:ci", Created: day.Add(time.Hour), Ended: day.Add(time.Hour + time.Second), Trace: "t2"},
}, Cursor: "next"}

func TestRunList(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.on("GET "+ns+"/runs", someRuns)
	r := s.cli("run", "list", "--limit", "2", "--workflow", "vm.build")
	want := "ID\tSTATE\tWORKFLOW\tTITLE\tBY\tSTARTED\tTOOK\n" +
		runA + "\tsucceeded\tvm.build\tweb-dev-07\tuser:anna\t2026-11-21T09:00:00.000Z\t1m52s\n" +
		runB + "\tfailed\tmail\t\ttoken:ci\t2026-11-21T10:00:00.000Z\t1s\n"
	if diff := cmp.Diff(want, r.out); diff != "" || r.code != 0 {
		t.Errorf("run list: exit code %d, stderr %q (-want +got):\n%s", r.code, r.errOut, diff)
	}
	if n := s.called("GET " + ns + "/runs?limit=2&workflow=vm.build"); n != 1 {
		t.Errorf("calls = %q; want the filters in the query", s.calls)
	}
	r = s.with(Config{Args: []string{"run", "list", "--limit", "2", "--time", "unix"}, Terminal: Terminal{Out: true, Size: func() (int, int) { return 100, 30 }}})
	want = "\x1b[1mID\x1b[0m                    \x1b[1mSTATE\x1b[0m        \x1b[1mWORKFLOW\x1b[0m  \x1b[1mTITLE\x1b[0m       \x1b[1mBY\x1b[0m         \x1b[1mSTARTED\x1b[0m      \x1b[1mTOOK\x1b[0m\n" +
		runA + "  \x1b[32m✓ succeeded\x1b[0m  vm.build  web-dev-07  user:anna  1795251600  1m52s\n" +
		runB + "  \x1b[31m✕ failed\x1b[0m     mail                  token:ci   1795255200     1s\n"
	if diff := cmp.Diff(want, r.out); diff != "" {
		t.Errorf("run list on a terminal (-want +got):\n%s", diff)
	}
	r = s.cli("run", "list", "--limit", "2", "-o", "json")
	var got api.Page[api.Run]
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(someRuns, got, cmp.Transformer("compact", func(m json.RawMessage) string { return strings.Join(strings.Fields(string(m)), "") })); diff != "" {
		t.Errorf("run list -o json (-want +got):\n%s", diff)
	}
	for args, want := range map[string]string{
		"run list --limit 2 -o name":                   runA + "\n" + runB + "\n",
		"run list --limit 2 --jq .items[].workflow":    "vm.build\nmail\n",
		"run list --limit 2 --no-headers --fields by":  "user:anna\ntoken:ci\n",
		"run list --limit 2 --fields id,trace -o yaml": "cursor: next\nitems:\n  - id: " + runA + "\n    trace: t1\n  - id: " + runB + "\n    trace: t2\n",
	} {
		if r := s.cli(strings.Fields(args)...); r.out != want || r.code != 0 {
			t.Errorf("%s = %q, %q, exit code %d; want %q", args, r.out, r.errOut, r.code, want)
		}
	}
}

func TestEmptyListsSayWhatFillsThem(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.on("GET "+ns+"/runs", api.Page[api.Run]{})
	if r := s.cli("run", "list"); r.code != 0 || !strings.Contains(r.errOut, "tutti run start") {
		t.Errorf("run list = %+v; want a hint", r)
	}
	if r := s.cli("run", "list", "-o", "json"); r.out != "{\n  \"items\": []\n}\n" || r.errOut != "" {
		t.Errorf("run list -o json = %+v; want an empty list and no hint", r)
	}
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.mux.HandleFunc("GET "+ns+"/search", func(w http.ResponseWriter, r *http.Request) {
		page := api.Page[api.Found]{}
		for _, f := range []api.Found{{Kind: "run", ID: runA, Title: "web"}, {Kind: "run", ID: runB, State: api.Failed}, {Kind: "request", ID: reqA}} {
			if strings.HasPrefix(f.ID, r.URL.Query().Get("id")) {
				page.Items = append(page.Items, f)
			}
		}
		answer(w, page)
	})
	s.on("GET "+ns+"/runs/"+runA, someRuns.Items[0])
	for _, c := range []struct {
		id   string
		code int
		want string
	}{
		{runA, 0, runA}, {"run_7k2m4", 0, runA}, {"7k2m4", 0, runA},
		{"7k2m", 3, "\"7k2m\" is the beginning of 2 IDs\n  " + runA + ": web\n  " + runB + ": failed\n  give more of it"},
		{"7zzz", 3, `no run or request "7zzz"`}, {"7k2", 3, "too short"}, {"run_7k2", 3, "too short"}, {"file_7k2m", 3, "not the ID of a run or a request"},
	} {
		r := s.cli("run", "show", c.id, "-o", "name")
		if r.code != c.code || !strings.Contains(r.out+r.errOut, c.want) {
			t.Errorf("run show %s = %+v; want exit code %d and %q", c.id, r, c.code, c.want)
		}
	}
}

func TestCommandTree(t *testing.T) {
	t.Parallel()
	l := &line{Config: Config{Env: func(string) string { return "" }, Schemas: map[string]json.RawMessage{"Workflow": nil}}}
	var got []string
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s has no description", c.CommandPath())
		}
		_ = c.InheritedFlags() // panics where a shorthand is given twice
		if !c.HasSubCommands() && !c.Hidden {
			got = append(got, strings.TrimPrefix(c.CommandPath(), "tutti "))
		}
		for _, s := range c.Commands() {
			walk(s)
		}
	}
	walk(l.root())
	want := strings.Fields(`api apply approval/approve approval/list approval/reject audit/export audit/list catalogue completion
		context/add context/list context/remove context/show context/use doctor event/list event/search event/tail file/get file/list file/put fsck login logout logs
		namespace/create namespace/list open plan
		request/approve request/cancel request/create request/diff request/files request/list request/plan request/reject request/resubmit request/retry request/show request/trace request/vars
		resource/catalogue resource/delete resource/history resource/list resource/modify resource/observe resource/rollback resource/show resource/types
		rollout/abort rollout/force rollout/history rollout/list rollout/mark-bad rollout/mark-good rollout/operate rollout/pause rollout/promote rollout/resume
		rollout/retry rollout/show rollout/skip rollout/start rollout/targets rollout/watch
		run/cancel run/events run/export run/fork run/graph run/list run/output run/pause run/resume run/retry run/show run/signal run/start run/task run/tasks run/tree run/undo run/why
		schema secret/delete secret/list secret/set serve service/list status task/import task/list task/show token/create token/list token/revoke trigger/list trigger/show
		user/create user/delete user/list user/update version view/deny view/list view/matrix view/options view/permit view/refresh view/show wait watch whoami worker
		workflow/delete workflow/diff workflow/list workflow/new workflow/schema workflow/show workflow/simulate workflow/test workflow/users workflow/validate workflow/versions`)
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], " ", "/")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

func TestVerboseShowsCallsWithoutCredentials(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.on("GET /v1/whoami", api.Me{Subject: "user:anna"})
	r := s.cli("whoami", "-v")
	if !strings.Contains(r.errOut, "> GET "+s.URL+"/v1/whoami: 200 OK") || strings.Contains(r.errOut, "tutti_secret") {
		t.Errorf("whoami -v: stderr %q; want the call, without the token", r.errOut)
	}
	if s.tokens[0] != "Bearer tutti_secret" {
		t.Errorf("Authorization = %q; want the token of the environment", s.tokens[0])
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.on("GET "+ns+"/catalogue", api.Page[api.Entry]{Items: []api.Entry{{Name: "vm", Title: "A virtual\tmachine"}}})
	s.on("GET "+ns+"/catalogue/vm", api.Entry{Name: "vm", Schema: json.RawMessage(`{"properties":{"network":{"enum":["DEV","DMZ"]},"cpu":{"type":"integer"}}}`)})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"__complete", "request", "create", ""}, "vm\tA virtual machine\n:36\n"},
		{[]string{"__complete", "request", "create", "vm", "-p", ""}, "cpu=\nnetwork=\n:6\n"},
		{[]string{"__complete", "request", "create", "vm", "-p", "network="}, "network=DEV\nnetwork=DMZ\n:6\n"},
		{[]string{"__complete", "run", "list", "-o", "j"}, "table\nwide\njson\nyaml\njsonl\nname\n:4\n"},
		{[]string{"__complete", "run", "show", ""}, ":36\n"}, // the stand-in has no list: silent
	} {
		if r := s.cli(c.args...); r.out != c.want {
			t.Errorf("%q = %q; want %q", c.args, r.out, c.want)
		}
	}
	if r := s.cli("completion", "bash"); r.code != 0 || !strings.Contains(r.out, "complete -o default") {
		t.Errorf("completion bash = exit code %d, %.60q…; want a script", r.code, r.out)
	}
}

// A server that does not answer must not hold up a shell.
func TestCompletionGivesUp(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	stop := make(chan struct{})
	s.mux.HandleFunc("GET "+ns+"/catalogue", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-stop:
		}
	})
	t.Cleanup(func() { close(stop) })
	began := time.Now()
	if r := s.cli("__complete", "request", "create", ""); r.out != ":36\n" || time.Since(began) > 30*time.Second {
		t.Errorf("__complete = %q after %v; want nothing, soon", r.out, time.Since(began))
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	var got ServeFlags
	serve := func(_ context.Context, f ServeFlags) error {
		got = f
		f.Ready("http://127.0.0.1:9", "/d/bootstrap-token")
		return nil
	}
	r := s.with(Config{Args: strings.Fields("serve --data /d --listen 127.0.0.1:9 --services gateway,workflow --allow-dial 10.0.0.0/8 --smtp smtp://mail:25 --from a@b --notify c@d,e@f --trusted-pools rack7 --log-format json"), Serve: serve})
	const want = "Tutti is ready at http://127.0.0.1:9   first login: tutti login http://127.0.0.1:9 --bootstrap /d/bootstrap-token --user admin\n"
	if r.code != 0 || r.out != want {
		t.Errorf("serve = %+v; want %q", r, want)
	}
	got.Log, got.Ready = nil, nil
	if diff := cmp.Diff(ServeFlags{Data: "/d", Listen: "127.0.0.1:9", Services: []string{"gateway", "workflow"}, AllowDial: []string{"10.0.0.0/8"}, SMTP: "smtp://mail:25", From: "a@b", Notify: []string{"c@d", "e@f"}, TrustedPools: []string{"rack7"}}, got); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	r = s.in(t.Context(), Config{Args: []string{"serve"}, Serve: serve}, "TUTTI_DB", "postgres://u:p@h/d", "TUTTI_DATA", "/e", "TUTTI_ALLOW_DIAL", "a,b")
	if got.DB != "postgres://u:p@h/d" || got.Data != "/e" || len(got.AllowDial) != 2 {
		t.Errorf("flags from the environment = %+v", got)
	}
	if r = s.in(t.Context(), Config{Args: []string{"serve", "--help"}, Serve: serve}, "TUTTI_DB", "postgres://u:p@h/d"); strings.Contains(r.out, "u:p") {
		t.Errorf("serve --help shows the database's password: %s", r.out)
	}
	broken := func(context.Context, ServeFlags) error { return errs.New(errs.Conflict, "another server uses it") }
	if r := s.with(Config{Args: []string{"serve"}, Serve: broken}); r.code != 3 || !strings.Contains(r.errOut, "another server uses it") {
		t.Errorf("serve = %+v; want exit code 3", r)
	}
	if r := s.with(Config{Args: []string{"serve", "--log-format", "xml"}, Serve: serve}); r.code != 2 {
		t.Errorf("serve --log-format xml = %+v; want exit code 2", r)
	}
}

func TestShim(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	got := ""
	r := s.with(Config{Args: []string{"shim", "/dir"}, Shim: func(dir string) int { got = dir; return 7 }})
	if r.code != 7 || got != "/dir" || r.errOut != "" {
		t.Errorf("shim = %+v of %q; want exit code 7", r, got)
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	s.mux.HandleFunc("GET "+ns+"/runs", func(_ http.ResponseWriter, r *http.Request) {
		cancel(errors.New("interrupt signal received"))
		<-r.Context().Done()
	})
	if r := s.in(ctx, Config{Args: []string{"run", "list"}}); r.code != 130 || r.errOut != "interrupted\n" {
		t.Errorf("interrupted list = %+v; want exit code 130", r)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
