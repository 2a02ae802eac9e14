package cli

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/errs"
	"tutti/sdk"
)

const vmSchema = `{"type":"object","required":["name","network"],"additionalProperties":false,"properties":{
  "name":{"type":"string"},"network":{"enum":["INTRANET_DEV","INTRANET_PROD","DMZ"]},"cpu":{"type":"integer","default":2},"backup":{"type":"boolean"}}}`

// catalogue makes the stand-in offer a vm and take requests for it.
func (s *standIn) catalogue() {
	s.on("GET "+ns+"/catalogue", api.Page[api.Entry]{Items: []api.Entry{{Name: "vm", Type: "vm", Title: "A virtual machine"}}})
	s.on("GET "+ns+"/catalogue/vm", api.Entry{Name: "vm", Type: "vm", Title: "A virtual machine", Schema: json.RawMessage(vmSchema), Locked: map[string]any{"zone": "a"}})
	s.on("POST "+ns+"/requests", api.Request{ID: reqA, Entry: "vm", Type: "vm", Name: "web-dev-07", Trace: "t1", State: api.Pending, Created: day})
}

func TestRequestCreate(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.catalogue()
	dir := t.TempDir()
	write(t, dir, "p.yaml", "name: from-file\ncpu: 8\n")
	for _, c := range []struct {
		args  []string
		stdin string
		want  string
	}{
		{[]string{"-p", "name=123", "-p", "network=DMZ", "-p", "cpu=4", "-p", "backup=true", "--title", "T", "--notify", "a@b.c"}, "",
			`{"entry":"vm","params":{"backup":true,"cpu":4,"name":"123","network":"DMZ"},"title":"T","notify":["a@b.c"]}`},
		{[]string{"--params", filepath.Join(dir, "p.yaml"), "-p", "name=web"}, "", `{"entry":"vm","params":{"cpu":8,"name":"web"}}`},
		{[]string{"--params", "-"}, `{"name":"x"}`, `{"entry":"vm","params":{"name":"x"}}`},
	} {
		r := s.with(Config{Args: append([]string{"request", "create", "vm", "-o", "name"}, c.args...), Stdin: strings.NewReader(c.stdin)})
		if got := s.body("POST " + ns + "/requests"); got != c.want || r.code != 0 || r.out != reqA+"\n" {
			t.Errorf("request create %q sent %s, want %s; %+v", c.args, got, c.want, r)
		}
		if !strings.Contains(r.errOut, reqA+"  vm web-dev-07   trace t1   "+s.URL+"/requests/"+reqA) || !strings.Contains(r.errOut, "Follow it: tutti watch "+reqA) {
			t.Errorf("request create: stderr %q; want trace, address and how to follow", r.errOut)
		}
	}
}

func TestRequestCreateRefuses(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.catalogue()
	dir := t.TempDir()
	write(t, dir, "p.yaml", "nmae: x\n")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"vm -p netwrok=INTRANET_DEV", 3, "error: vm has no parameter \"netwrok\"\n  did you mean network? It must be one of INTRANET_DEV, INTRANET_PROD, DMZ.\n  it takes backup, cpu, name, network\n  see: tutti catalogue vm\n"},
		{"vm -p cpu=two", 3, "error: cpu: \"two\" is not a whole number\n  see: tutti catalogue vm\n"},
		{"vm --params " + filepath.Join(dir, "p.yaml"), 3, "error: vm has no parameter \"nmae\"\n  did you mean name?\n  it takes backup, cpu, name, network\n  see: tutti catalogue vm\n"},
		{"vm --params " + filepath.Join(dir, "none"), 3, "error: read " + filepath.Join(dir, "none") + ": no such file or directory\n"},
		{"wm -p name=x", 3, "error: no entry \"wm\" in the catalogue\n  did you mean vm?\n  see: tutti catalogue\n"},
		{"vm --interactive", 2, "error: --interactive needs a terminal\n  give the parameters with -p or --params\n"},
	} {
		r := s.cli(append([]string{"request", "create"}, strings.Fields(c.args)...)...)
		if diff := cmp.Diff(c.want, r.errOut); diff != "" || r.code != c.code {
			t.Errorf("request create %s: exit code %d, want %d (-want +got):\n%s", c.args, r.code, c.code, diff)
		}
	}
	if n := s.called("POST"); n != 0 {
		t.Errorf("refused requests made %d POSTs; want none", n)
	}
}

func TestRequestInteractive(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.catalogue()
	r := s.with(Config{Args: []string{"request", "create", "vm", "--interactive", "-p", "backup=no"}, Stdin: strings.NewReader("web\nLAN\nDMZ\n\n"), Terminal: Terminal{In: true}})
	if got, want := s.body("POST "+ns+"/requests"), `{"entry":"vm","params":{"backup":false,"name":"web","network":"DMZ"}}`; got != want || r.code != 0 {
		t.Errorf("request create --interactive sent %s, want %s; %+v", got, want, r)
	}
	if !strings.Contains(r.errOut, "network  (one of INTRANET_DEV, INTRANET_PROD, DMZ): error: network cannot be \"LAN\"\n") || !strings.Contains(r.errOut, "cpu  (integer)  [2]: ") {
		t.Errorf("questions = %q", r.errOut)
	}
	// Who stops answering has asked for nothing.
	r = s.with(Config{Args: []string{"request", "create", "vm", "--interactive"}, Stdin: strings.NewReader("web\n"), Terminal: Terminal{In: true}})
	if r.code != 2 || s.called("POST") != 1 {
		t.Errorf("half an answer = %+v; want exit code 2 and no request", r)
	}
}

func TestRequestWait(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.catalogue()
	s.plays(playing(api.Succeeded)...)
	s.requested(api.Succeeded)
	r := s.cli("request", "create", "vm", "-p", "name=x", "--wait", "--jq", ".outputs.ip")
	if r.code != 0 || r.out != "10.0.0.1\n" || !strings.Contains(r.errOut, "✓ succeeded  vm.build  1m10s\n") {
		t.Errorf("request create --wait = %+v; want the result on stdout and the progress on stderr", r)
	}
}

func TestRequestResubmitAndTrace(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.catalogue()
	first := api.Request{ID: reqA, Entry: "vm", Trace: "t1", State: api.Failed, Params: json.RawMessage(`{"name":"a","cpu":2}`), Created: day}
	s.on("GET "+ns+"/requests/"+reqA, first)
	s.on("POST "+ns+"/requests/"+reqA+"/resubmit", api.Request{ID: "req_2222222222222222", Of: reqA, Entry: "vm", Trace: "t1"})
	if r := s.cli("request", "resubmit", reqA, "-p", "cpu=4", "-o", "name"); r.out != "req_2222222222222222\n" {
		t.Errorf("resubmit = %+v", r)
	}
	if got := s.body("POST " + ns + "/requests/" + reqA + "/resubmit"); got != `{"params":{"cpu":4,"name":"a"}}` {
		t.Errorf("resubmit sent %s; want the earlier parameters with the change", got)
	}
	s.cli("request", "resubmit", reqA)
	if got := s.body("POST " + ns + "/requests/" + reqA + "/resubmit"); got != `{}` {
		t.Errorf("resubmit without changes sent %s", got)
	}
	s.on("GET "+ns+"/traces/"+reqA, api.TraceView{Trace: "t1", Rows: []api.TraceRow{
		{ID: reqA, Kind: "request", Title: "vm a", State: api.Failed}, {ID: runA, Depth: 1, Kind: "run", Use: "workflow:vm.build", Title: "vm.build", State: api.Failed, Failure: "no address"},
		{ID: runA + "/…", Depth: 2, Kind: "more", Title: "more", More: 7}}})
	r := s.cli("request", "trace", reqA, "--no-headers", "--fields", "what,state,kind,note")
	if want := "vm a\tfailed\trequest\t\n  vm.build\tfailed\tworkflow:vm.build\tno address\n    more\t\tmore\t7 more: --limit\n"; r.out != want {
		t.Errorf("trace = %+v; want %q", r, want)
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	out := api.ApplyOut{Changes: []api.Change{{Kind: "Workflow", Name: "a", Action: "create", Version: 1}, {Kind: "Workflow", Name: "b", Action: "unchanged", Version: 3}}}
	s.on("POST "+ns+"/definitions", out)
	validated := out
	s.mux.HandleFunc("POST "+ns+"/definitions/validate", func(w http.ResponseWriter, _ *http.Request) { answer(w, validated) })
	dir := t.TempDir()
	for name, text := range map[string]string{"b.yaml": "B", "a/z.yml": "Z", "a/a.json": "A", ".git/x.yaml": "no", "a/.hidden.yaml": "no", "readme.md": "no"} {
		write(t, dir, name, text)
	}
	r := s.cli("apply", "-f", dir)
	if want := "ACTION\tKIND\tNAME\tVERSION\ncreate\tWorkflow\ta\t1\nunchanged\tWorkflow\tb\t3\n"; r.out != want || r.code != 0 || r.errOut != "1 created, 0 updated, 1 unchanged.\n" {
		t.Errorf("apply = %+v", r)
	}
	var sent api.ApplyBody
	if err := json.Unmarshal([]byte(s.body("POST "+ns+"/definitions")), &sent); err != nil {
		t.Fatal(err)
	}
	want := []api.SourceFile{{Name: dir + "/a/a.json", Text: "A"}, {Name: dir + "/a/z.yml", Text: "Z"}, {Name: dir + "/b.yaml", Text: "B"}}
	if diff := cmp.Diff(want, sent.Files); diff != "" {
		t.Errorf("files sent (-want +got):\n%s", diff)
	}
	r = s.with(Config{Args: []string{"apply", "-f", "-"}, Stdin: strings.NewReader("kind: X")})
	if got := s.body("POST " + ns + "/definitions"); r.code != 0 || !strings.Contains(got, `"files":[{"name":"stdin","text":"kind: X"}]`) {
		t.Errorf("apply -f - sent %s: %+v", got, r)
	}
	if r = s.cli("plan", "-f", dir, "--detailed-exitcode"); r.code != 8 || !strings.Contains(r.errOut, "Nothing was done.\nApply it: tutti apply -f "+dir) {
		t.Errorf("plan --detailed-exitcode = %+v; want exit code 8", r)
	}
	if r = s.cli("plan", "-f", dir); r.code != 0 {
		t.Errorf("plan = %+v; want exit code 0", r)
	}
	validated = api.ApplyOut{Changes: out.Changes[1:]}
	if r = s.cli("plan", "-f", dir, "--detailed-exitcode"); r.code != 0 {
		t.Errorf("plan without changes = %+v; want exit code 0", r)
	}
	for _, args := range [][]string{{"apply", "-f", filepath.Join(dir, "none")}, {"apply", "-f", filepath.Join(dir, ".git")}} {
		if r = s.cli(args...); (r.code != 3) != (args[2] == filepath.Join(dir, ".git")) {
			t.Errorf("%q = %+v", args, r)
		}
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.on("POST /v1/login", api.Session{Subject: "user:anna", Secret: "s3ss10n", Expires: time.Now().Add(12 * time.Hour)})
	s.on("POST /v1/bootstrap", api.Session{Subject: "user:admin", Secret: "b00t", Expires: time.Now().Add(time.Hour)})
	s.on("POST /v1/logout", api.Nothing{})
	s.on("GET /v1/whoami", api.Me{Subject: "token:ci"})
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "config.yaml")
	env := []string{"TUTTI_CONFIG", path, "TUTTI_TOKEN", ""}
	run := func(stdin string, args ...string) result {
		return s.in(t.Context(), Config{Args: args, Stdin: strings.NewReader(stdin)}, env...)
	}
	r := run("hunter2\n", "login", "--user", "anna")
	if r.code != 0 || s.body("POST /v1/login") != `{"user":"anna","password":"hunter2"}` || !strings.Contains(r.errOut, "as user:anna") {
		t.Fatalf("login = %+v, sent %s", r, s.body("POST /v1/login"))
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode of the contexts = %v, %v; want 0600", st, err)
	}
	run("", "whoami")
	if got := s.tokens[len(s.tokens)-1]; got != "Bearer s3ss10n" {
		t.Errorf("Authorization after login = %q", got)
	}
	if r := run("", "context", "list", "-o", "json"); strings.Contains(r.out+r.errOut, "s3ss10n") || !strings.Contains(r.out, `"loggedIn": true`) {
		t.Errorf("context list = %+v; want no credential", r)
	}
	write(t, dir, "token", "one-time\n")
	r = run("correct horse battery\n", "login", "--context", "prod", "--bootstrap", filepath.Join(dir, "token"), "--user", "root")
	if got := s.body("POST /v1/bootstrap"); r.code != 0 || got != `{"token":"one-time","user":"root","password":"correct horse battery"}` {
		t.Errorf("login --bootstrap = %+v, sent %s", r, got)
	}
	if r = run("tutti_abc\n", "login", "--context", "ci", "--with-token"); r.code != 0 || s.tokens[len(s.tokens)-1] != "Bearer tutti_abc" {
		t.Errorf("login --with-token = %+v", r)
	}
	if r = run("", "logout", "--context", "ci"); r.code != 0 || s.called("POST /v1/logout") != 0 {
		t.Errorf("logout of an API token = %+v; want it forgotten here only", r)
	}
	if r = run("", "logout", "--context", "prod"); r.code != 0 || s.called("POST /v1/logout") != 1 || s.tokens[len(s.tokens)-1] != "Bearer b00t" {
		t.Errorf("logout = %+v", r)
	}
	if r = run("", "logout", "--context", "prod"); r.code != 4 {
		t.Errorf("logout again = %+v; want exit code 4", r)
	}
	if r = run("", "login"); r.code != 2 {
		t.Errorf("login without a name = %+v; want exit code 2", r)
	}
	r = s.in(t.Context(), Config{Args: []string{"login"}, Stdin: strings.NewReader("anna\n"), Terminal: Terminal{In: true, Secret: func(context.Context) (string, error) { return "typed", nil }}}, env...)
	if r.code != 0 || s.body("POST /v1/login") != `{"user":"anna","password":"typed"}` {
		t.Errorf("login at a terminal = %+v, sent %s", r, s.body("POST /v1/login"))
	}
}

func TestContexts(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.on("DELETE /v1/users/anna", api.Nothing{})
	env := []string{"TUTTI_CONFIG", filepath.Join(t.TempDir(), "c.yaml"), "TUTTI_SERVER", "", "TUTTI_TOKEN", ""}
	run := func(args ...string) result { return s.in(t.Context(), Config{Args: args}, env...) }
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"context list", 0, "No context."},
		{"context add prod --server " + s.URL + " -n team --protected", 0, "protected\tyes"},
		{"context add dev --server " + s.URL, 0, "name\tdev"},
		{"context use dev", 0, "Using context dev"},
		{"context use nosuch", 3, "there are dev, prod"},
		{"context show --no-headers --fields name,namespace", 0, "dev\tdefault"},
		{"context show --context prod --no-headers --fields name,namespace", 0, "prod\tteam"},
		{"context show --namespace x --no-headers --fields namespace", 0, "x"},
		{"user delete anna --yes", 0, "Deleted user anna."},
		{"context use prod", 0, ""},
		{"user delete anna --yes", 2, "name it: --context prod --yes"},
		{"user delete anna --yes --context prod", 0, "Deleted user anna."},
		{"context remove dev", 0, "Removed"},
		{"context list -o name", 0, "prod\n"},
		{"context add x --server ftp://a", 3, "not the address of a server"},
	} {
		if r := run(strings.Fields(c.args)...); r.code != c.code || !strings.Contains(r.out+r.errOut, c.want) {
			t.Errorf("%s = %+v; want exit code %d and %q", c.args, r, c.code, c.want)
		}
	}
	r := s.in(t.Context(), Config{Args: []string{"user", "delete", "anna"}, Stdin: strings.NewReader("n\n"), Terminal: Terminal{In: true}}, env...)
	if r.code != 1 || !strings.Contains(r.errOut, "prod ("+s.URL+"), namespace team: delete user anna with its sessions and tokens? [y/N] ") || s.called("DELETE") != 2 {
		t.Errorf("user delete, answered no = %+v", r)
	}
}

func TestSecretsAndUsers(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.on("PUT "+ns+"/secrets/db", api.SecretInfo{Name: "db", Version: 2, By: "user:anna", Updated: day})
	s.on("GET /v1/users", api.Page[api.User]{Items: []api.User{{Name: "anna", Grants: []api.GrantView{{Namespace: "default", Role: "viewer"}, {Namespace: "lab", Role: "admin"}}}}})
	s.on("PATCH /v1/users/anna", api.User{Name: "anna"})
	s.on("POST /v1/tokens", api.Token{ID: "tok_1", Name: "ci", User: "anna", Secret: "tutti_xyz", Expires: day})
	r := s.with(Config{Args: []string{"secret", "set", "db", "-o", "name"}, Stdin: strings.NewReader("p4ss\n\n")})
	if got := s.body("PUT " + ns + "/secrets/db"); r.code != 0 || got != `{"value":"p4ss\n"}` || strings.Contains(r.out+r.errOut, "p4ss") {
		t.Errorf("secret set = %+v, sent %s; want the value without its last line break", r, got)
	}
	if r = s.cli("secret", "set", "db", "p4ss"); r.code != 2 {
		t.Errorf("secret set with the value as an argument = %+v; want exit code 2", r)
	}
	s.cli("user", "update", "anna", "--role", "operator", "--drop-role", "lab=admin")
	if got := s.body("PATCH /v1/users/anna"); got != `{"grants":[{"namespace":"default","role":"viewer"},{"namespace":"default","role":"operator"}]}` {
		t.Errorf("user update sent %s", got)
	}
	s.cli("user", "update", "anna", "--off", "--mail", "")
	if got := s.body("PATCH /v1/users/anna"); got != `{"mail":"","off":true}` {
		t.Errorf("user update --off sent %s", got)
	}
	if r = s.cli("user", "update", "ana", "--role", "operator"); r.code != 3 || !strings.Contains(r.errOut, "did you mean anna?") {
		t.Errorf("user update ana = %+v", r)
	}
	if r = s.cli("user", "update", "anna"); r.code != 2 {
		t.Errorf("user update without a change = %+v; want exit code 2", r)
	}
	r = s.with(Config{Args: []string{"user", "create", "ben"}, Stdin: strings.NewReader("a long password\nand another\n")})
	if r.code != 2 || !strings.Contains(r.errOut, "more than one line") {
		t.Errorf("user create with two lines = %+v; want them refused", r)
	}
	r = s.cli("token", "create", "ci", "--expires", "99999d")
	if r.code != 2 || !strings.Contains(r.errOut, "longer than a hundred years") {
		t.Errorf("token create --expires 99999d = %+v; want it called too long", r)
	}
	r = s.cli("token", "create", "ci", "--role", "lab=worker", "--expires", "30d")
	if got := s.body("POST /v1/tokens"); r.out != "tutti_xyz\n" || got != `{"name":"ci","grants":[{"namespace":"lab","role":"worker"}],"expires":"30d"}` {
		t.Errorf("token create = %+v, sent %s; want the token alone on stdout", r, got)
	}
}

func TestTokenRevoke(t *testing.T) {
	t.Parallel()
	const a, b = "tok_7k2m4qzt3c5nw6xd", "tok_7k2m000000000000"
	s := newStandIn(t)
	s.on("GET /v1/tokens", api.Page[api.Token]{Items: []api.Token{{ID: a, Name: "ci"}, {ID: b, Name: "rack7"}}})
	s.on("DELETE /v1/tokens/"+a, api.Nothing{})
	for word, want := range map[string]int{a: 0, "tok_7k2m4": 0, "7k2m4": 0, "7k2m": 3, "7k2": 3, "zzzz": 3} {
		if r := s.cli("token", "revoke", word); r.code != want {
			t.Errorf("token revoke %s = %+v; want exit code %d", word, r, want)
		}
	}
	if n := s.called("DELETE"); n != 3 {
		t.Errorf("%d tokens were revoked; want 3 calls for the one", n)
	}
}

func TestRunStart(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.plays(playing(api.Failed)...)
	s.on("POST "+ns+"/runs", api.Run{ID: runA, Workflow: "vm.build", State: api.Running, Created: day})
	s.on("GET "+ns+"/definitions/Workflow/vm.build", api.Definition{Name: "vm.build", Document: json.RawMessage(`{"inputs":` + vmSchema + `}`)})
	s.on("GET "+ns+"/definitions", api.Page[api.Definition]{Items: []api.Definition{{Name: "vm.build"}}})
	r := s.cli("run", "start", "vm.build", "-p", "name=x", "-p", "cpu=4", "--wait", "--jq", ".failure.message")
	if got := s.body("POST " + ns + "/runs"); r.code != 5 || r.out != "no space\n" || got != `{"workflow":"vm.build","inputs":{"cpu":4,"name":"x"}}` {
		t.Errorf("run start --wait = %+v, sent %s; want exit code 5", r, got)
	}
	r = s.with(Config{Args: []string{"run", "start", "-f", "-", "-p", "n=1", "-o", "name"}, Stdin: strings.NewReader("kind: Workflow\nname: x\ninputs: { properties: { n: { type: string } } }\n")})
	if got := s.body("POST " + ns + "/runs"); r.code != 0 || !strings.Contains(got, `"inputs":{"n":"1"}`) || !strings.Contains(got, `"definition":"kind: Workflow\n`) {
		t.Errorf("run start -f - = %+v, sent %s", r, got)
	}
	if r = s.cli("run", "start", "vm.buidl"); r.code != 3 || !strings.Contains(r.errOut, "no workflow \"vm.buidl\"\n  did you mean vm.build?") {
		t.Errorf("run start vm.buidl = %+v", r)
	}
	if r = s.cli("run", "start", "vm.build", "-p", "nam=x"); r.code != 3 || !strings.Contains(r.errOut, "did you mean name?\n") || !strings.Contains(r.errOut, "see: tutti workflow schema vm.build") {
		t.Errorf("run start with an unknown input = %+v", r)
	}
	if r = s.cli("run", "undo", runA); r.code != 2 || s.called("POST "+ns+"/runs/"+runA+"/undo") != 0 {
		t.Errorf("run undo unasked = %+v; want exit code 2", r)
	}
	s.on("POST "+ns+"/runs/"+runA+"/retry", api.Run{ID: runA, State: api.Running})
	if r = s.cli("run", "retry", runA, "--from", "build", "--input", `{"a":1}`); r.code != 0 || s.body("POST "+ns+"/runs/"+runA+"/retry") != `{"task":"build","input":{"a":1}}` {
		t.Errorf("run retry = %+v, sent %s", r, s.body("POST "+ns+"/runs/"+runA+"/retry"))
	}
	if r = s.cli("workflow", "schema", "vm.build", "--jq", ".required[]"); r.out != "name\nnetwork\n" {
		t.Errorf("workflow schema = %+v", r)
	}
}

func TestRunGraphAndOutput(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.on("GET "+ns+"/runs/"+runA+"/graph", api.Graph{
		Nodes: []api.GraphNode{{ID: "b", Use: "http", X: 200}, {ID: "a", Title: `A "1"`, Use: "set", State: api.Succeeded}},
		Edges: []api.GraphEdge{{From: "a", To: "b", Soft: true}},
	})
	s.on("GET "+ns+"/runs/"+runA, api.Run{ID: runA, State: api.Succeeded, Outputs: json.RawMessage(`{"ip":"<1>"}`)})
	if r := s.cli("run", "graph", runA); r.out != "STEP\tSTATE\tUSE\tWAITS FOR\na\tsucceeded\tset\t\nb\t\thttp\ta?\n" {
		t.Errorf("run graph = %q", r.out)
	}
	if r := s.cli("run", "graph", runA, "-o", "dot"); !strings.Contains(r.out, "\"a\" [label=\"A \\\"1\\\"\"];\n") || !strings.Contains(r.out, "\"a\" -> \"b\" [style=dashed];\n") {
		t.Errorf("run graph -o dot = %q", r.out)
	}
	if r := s.cli("run", "graph", runA, "-o", "ascii"); r.out != "✓ A \"1\"  set  ╮\n○ b  http     ╯\n" {
		t.Errorf("run graph -o ascii = %q", r.out)
	}
	if r := s.cli("run", "graph", runA, "-o", "svg"); !strings.HasPrefix(r.out, "<svg ") || !strings.Contains(r.out, "A &#34;1&#34;") || xml.Unmarshal([]byte(r.out), new(any)) != nil {
		t.Errorf("run graph -o svg = %q", r.out)
	}
	if r := s.cli("run", "graph", runA, "-o", "png"); r.code != 2 {
		t.Errorf("run graph -o png = %+v; want exit code 2", r)
	}
	if r := s.cli("run", "graph", runA, "-o", "name"); r.out != "a\nb\n" {
		t.Errorf("run graph -o name = %q", r.out)
	}
	if r := s.cli("run", "output", runA); r.out != "{\n  \"ip\": \"<1>\"\n}\n" {
		t.Errorf("run output = %q", r.out)
	}
}

func TestAPI(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.on("GET "+ns+"/runs", someRuns)
	s.on("POST "+ns+"/runs", errs.New(errs.Conflict, "already there"))
	if r := s.cli("api", "get", "/v1/namespaces/{namespace}/runs", "--jq", ".cursor"); r.out != "next\n" || r.code != 0 {
		t.Errorf("api get = %+v", r)
	}
	r := s.cli("api", "POST", "/v1/namespaces/{namespace}/runs", "-d", `{"a":1}`)
	if s.body("POST "+ns+"/runs") != `{"a":1}` || r.code != 3 || !strings.Contains(r.out, `"detail":"already there"`) || r.errOut != "409 Conflict\n" {
		t.Errorf("api POST = %+v; want the problem and exit code 3", r)
	}
	if r := s.cli("api", "GET", "v1/x"); r.code != 3 {
		t.Errorf("api with a bad path = %+v; want exit code 3", r)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	const id = "file_7k2m4qzt3c5nw6xd"
	s := newStandIn(t)
	s.mux.HandleFunc("POST "+ns+"/files", func(w http.ResponseWriter, r *http.Request) {
		answer(w, api.File{ID: id, Name: r.URL.Query().Get("name"), Type: r.Header.Get("Content-Type")})
	})
	s.mux.HandleFunc("GET "+ns+"/files/"+id+"/content", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "bytes\x00") })
	dir := t.TempDir()
	write(t, dir, "a.json", "{}")
	if r := s.cli("file", "put", filepath.Join(dir, "a.json"), "--jq", ".name, .type"); r.out != "a.json\napplication/json\n" || s.body("POST "+ns+"/files") != "{}" {
		t.Errorf("file put = %+v", r)
	}
	if r := s.cli("file", "get", id); r.out != "bytes\x00" {
		t.Errorf("file get = %+v", r)
	}
	to := filepath.Join(dir, "b")
	for _, want := range []int{0, 3} { // what is there is not overwritten
		if r := s.cli("file", "get", id, "--to", to); r.code != want {
			t.Errorf("file get --to = %+v; want exit code %d", r, want)
		}
	}
	if b, err := os.ReadFile(to); err != nil || string(b) != "bytes\x00" {
		t.Errorf("downloaded %q, %v", b, err)
	}
	if r := s.with(Config{Args: []string{"file", "get", id}, Terminal: Terminal{Out: true}}); r.code != 2 {
		t.Errorf("file get to a terminal = %+v; want exit code 2", r)
	}
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.catalogue()
	r := s.cli("catalogue", "vm")
	const want = "PARAMETER\tTYPE\tREQUIRED\tDEFAULT\tABOUT\nname\tstring\tyes\t\t\nnetwork\tINTRANET_DEV|INTRANET_PROD|DMZ\tyes\t\t\nbackup\ttrue|false\t\t\t\ncpu\tinteger\t\t2\t\n"
	if diff := cmp.Diff(want, r.out); diff != "" || !strings.Contains(r.errOut, `zone is always "a"`) {
		t.Errorf("catalogue vm: stderr %q (-want +got):\n%s", r.errOut, diff)
	}
	if r := s.cli("resource", "catalogue", "--no-headers"); r.out != "vm\tvm\tA virtual machine\t\n" {
		t.Errorf("resource catalogue = %+v", r)
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.on("GET /v1/whoami", api.Me{Subject: "user:anna", Grants: []api.GrantView{{Namespace: "default", Role: "viewer"}}})
	s.on("GET /v1/presence", api.Page[api.Presence]{Items: []api.Presence{{State: "up", Version: "v2"}, {State: "down"}}})
	s.on("GET /readyz", map[string]any{"ready": true, "durable": true, "durability": "SQLite: synchronous=FULL"})
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "master.key", "k")
	r := s.cli("doctor", "--data", dir, "--no-headers", "--fields", "result,check,remedy")
	want := "ok\tcontexts\t\nok\tserver\t\nok\tready\t\nok\tdurability\t\nok\tclock\t\nok\tlogin\t\nwarning\tversions\tuse the program of the server's version\n" +
		"warning\tpresence\ttutti service list\nfailed\tdata\tchmod 700 " + dir + "\nfailed\tmaster.key\tchmod 600 " + dir + "/master.key\nok\tdisk\t\n"
	if diff := cmp.Diff(want, r.out); diff != "" || r.code != 1 {
		t.Errorf("doctor: exit code %d (-want +got):\n%s", r.code, diff)
	}
	s.Close()
	if r := s.cli("doctor", "--jq", `.items[] | select(.result == "failed") | .check`); r.out != "server\n" || r.code != 1 {
		t.Errorf("doctor without a server = %+v", r)
	}
}

// echo is a task type that does nothing.
type echo struct{}

func (echo) Spec() api.TaskType { return api.TaskType{Name: "echo"} }

func (echo) Do(context.Context, *sdk.Task) (sdk.Result, error) { return sdk.Done(nil), nil }

func TestWorker(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.on("GET /v1/whoami", api.Me{Subject: "token:rack7"})
	ctx, cancel := context.WithCancel(t.Context())
	s.mux.HandleFunc("POST "+ns+"/pools/rack7/poll", func(w http.ResponseWriter, r *http.Request) {
		var in api.PollBody
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Max > 3 || len(in.Types) != 1 || in.Types[0] != "echo" {
			t.Errorf("poll %+v, %v; want at most 3 of echo", in, err)
		}
		cancel()
		answer(w, api.PollOut{})
	})
	s.on("POST "+ns+"/pools/rack7/heartbeat", api.HeartbeatOut{})
	var allowed []string
	types := func(allow []string) ([]sdk.TaskType, error) {
		allowed = allow
		return []sdk.TaskType{echo{}}, nil
	}
	r := s.in(ctx, Config{Args: []string{"worker", "--pool", "rack7", "--slots", "3", "--allow-dial", "10.0.0.0/8"}, Types: types})
	if len(allowed) != 1 || allowed[0] != "10.0.0.0/8" {
		t.Errorf("allowed addresses = %q; want those of the flag", allowed)
	}
	if r.code != 0 || !strings.Contains(r.errOut, "pool rack7: echo") {
		t.Errorf("worker = %+v; want exit code 0 when it is stopped", r)
	}
	if r := s.with(Config{Args: []string{"worker", "--types", "nosuch"}, Types: types}); r.code != 2 {
		t.Errorf("worker --types nosuch = %+v; want exit code 2", r)
	}
}

func TestSmallCommands(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.on("GET "+ns+"/runs/"+runA, api.Run{ID: runA})
	for _, c := range []struct{ args, want string }{
		{"version --jq .version", "v9\n"},
		{"open " + reqA, s.URL + "/requests/" + reqA + "\n"},
		{"schema", "Preset\nWorkflow\n"},
		{"schema workflow", "{\n  \"type\": \"object\"\n}\n"},
	} {
		r := s.with(Config{Args: strings.Fields(c.args), Version: "v9", Schemas: map[string]json.RawMessage{"Workflow": json.RawMessage(`{"type":"object"}`), "Preset": nil}})
		if r.out != c.want || r.code != 0 {
			t.Errorf("%s = %+v; want %q", c.args, r, c.want)
		}
	}
	if r := s.cli("workflow", "new", "vm.build"); r.code != 0 || !strings.Contains(r.out, "kind: Workflow\nname: vm.build\n") || !strings.Contains(r.out, "Hello ${{ inputs.name }}") {
		t.Errorf("workflow new = %+v", r)
	}
}

func TestEventTail(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.mux.HandleFunc("GET "+ns+"/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if topic := r.URL.Query().Get("topic"); topic == "events" {
			_, _ = io.WriteString(w, "id: 1\nevent: event\ndata: {\"topic\":\"events\",\"data\":{\"type\":\"tutti.request.request.received\",\"subject\":\"req_1\\u001b[2J\",\"time\":\"2026-11-21T09:00:00Z\"}}\n\n")
		} else {
			_, _ = io.WriteString(w, "id: 1\nevent: run\ndata: {\"topic\":\""+topic+"\",\"data\":{\"seq\":1,\"at\":\"2026-11-21T09:00:00Z\",\"type\":\"run.started\"}}\n\n")
		}
		_, _ = io.WriteString(w, "id: 2\nevent: end\ndata: {\"topic\":\"x\",\"data\":null}\n\n")
	})
	if r := s.cli("event", "tail"); r.out != "09:00:00.000\ttutti.request.request.received\treq_1�[2J\n" || r.code != 0 {
		t.Errorf("event tail = %+v", r)
	}
	if r := s.cli("event", "tail", runA, "--jq", ".type"); r.out != "run.started\n" || r.code != 0 {
		t.Errorf("event tail RUN = %+v", r)
	}
}

func TestTrails(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.on("GET "+ns+"/events", api.FoundEvents{Items: []api.FoundEvent{{ID: "request/3", Type: "tutti.request.request.finished", State: api.Failed, Subject: "req_1", By: "user:anna"}}})
	if r := s.cli("event", "search", "state:failed", "disk", "--fields", "type,state,subject"); r.code != 0 || !strings.HasSuffix(r.out, "request.request.finished\tfailed\treq_1\n") || s.called("GET "+ns+"/events") != 1 {
		t.Errorf("event search = %+v", r)
	}
	if r := s.cli("event", "search"); r.code != 2 {
		t.Errorf("event search for nothing = %+v; want exit code 2", r)
	}
	s.on("GET "+ns+"/audit", api.AuditPage{})
	if r := s.cli("audit", "list", "by:bob"); r.code != 0 || !strings.Contains(r.errOut, "Nothing that matches was done.") {
		t.Errorf("audit list = %+v", r)
	}
	s.on("GET "+ns+"/requests/"+reqA+"/diff", api.RequestDiff{From: &api.Request{ID: "req_0"}, To: api.Request{ID: reqA}, Params: []api.FieldChange{{Path: "cpu", Before: json.RawMessage("2"), After: json.RawMessage("4")}}})
	if r := s.cli("request", "diff", reqA); r.code != 0 || !strings.HasSuffix(r.out, "asked\tcpu\t2\t4\n") {
		t.Errorf("request diff = %+v", r)
	}
}

func TestSteerRuns(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	path := ns + "/runs/" + runA
	s.on("GET "+path, api.Run{ID: runA})
	for _, call := range []string{"pause", "resume", "signal"} {
		s.on("POST "+path+"/"+call, api.Run{ID: runA, State: api.Running})
	}
	for _, c := range []struct {
		args []string
		call string
		want string
	}{
		{[]string{"pause", runA, "--reason", "lunch"}, "pause", `{"reason":"lunch"}`},
		{[]string{"resume", runA}, "resume", `{}`},
		{[]string{"signal", runA, "go"}, "signal", `{"name":"go"}`},
		{[]string{"signal", runA, "go", "--data", `{"rack": 4}`}, "signal", `{"name":"go","data":{"rack":4}}`},
	} {
		if r := s.cli(append([]string{"run"}, c.args...)...); r.code != 0 || s.body("POST "+path+"/"+c.call) != c.want {
			t.Errorf("run %q sent %s, want %s; %+v", c.args, s.body("POST "+path+"/"+c.call), c.want, r)
		}
	}
	if r := s.cli("run", "signal", runA, "go", "--data", "{"); r.code != ExitUsage {
		t.Errorf("signal with broken data = %+v; want exit code %d", r, ExitUsage)
	}
}

func TestApproveWithFormAndDigest(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	a := api.Approval{Run: runA, Task: "ok", Digest: "d1", Form: json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{"hours":{"type":"integer"}}}`)}
	s.on("GET "+ns+"/approvals", api.Page[api.Approval]{Items: []api.Approval{a}})
	s.on("POST "+ns+"/runs/"+runA+"/approve", api.Run{ID: runA})
	if r := s.cli("approval", "approve", runA, "--digest", "d1", "-p", "hours=3"); r.code != 0 || s.body("POST "+ns+"/runs/"+runA+"/approve") != `{"task":"ok","form":{"hours":3},"digest":"d1"}` {
		t.Errorf("approve sent %s; %+v", s.body("POST "+ns+"/runs/"+runA+"/approve"), r)
	}
	for _, c := range []struct {
		args []string
		want string
	}{{nil, "--digest d1"}, {[]string{"--digest", "d1", "-p", "ours=3"}, "did you mean hours?"}} {
		if r := s.cli(append([]string{"approval", "approve", runA}, c.args...)...); r.code == 0 || !strings.Contains(r.errOut, c.want) {
			t.Errorf("approve %q = %+v; want %s", c.args, r, c.want)
		}
	}
}
