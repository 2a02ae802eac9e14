package ansible_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tutti/internal/ansible"
	"tutti/internal/ansible/ansibletest"
	"tutti/sdk"
)

// load reads a file as Ansible does, and prints it as JSON, with what would be evaluated marked.
const load = `
import json, sys
from ansible.parsing.dataloader import DataLoader
from ansible.utils.unsafe_proxy import AnsibleUnsafe
def plain(v):
    if isinstance(v, dict): return {str(k): plain(e) for k, e in v.items()}
    if isinstance(v, list): return [plain(e) for e in v]
    if isinstance(v, str) and not isinstance(v, AnsibleUnsafe): return "EVALUATED: " + v
    return v
print(json.dumps(plain(DataLoader().load_from_file(sys.argv[1]))))
`

// python returns the Python that Ansible is for.
func python(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(ansibletest.Program(t))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	p, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "#!")
	words := strings.Fields(p) // it may say options, such as -I
	if !ok || len(words) == 0 || filepath.Base(words[0]) == "env" {
		ansibletest.Missing(t, "ansible-playbook does not say which Python it is for")
	}
	return words[0]
}

func loaded(t testing.TB, python string, text []byte) (v any) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "vars.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "-c", load, file).Output()
	if err != nil {
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("%v\n%s\n%s", err, e.Stderr, text)
		}
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return v
}

// Whatever data is, Ansible reads the same and evaluates none of it.
func TestValuesAreData(t *testing.T) {
	t.Parallel()
	py := python(t)
	// One program for many values: to start it takes long.
	many := rapid.MapOfN(rapid.StringMatching(`[a-z]{1,12}`), value(3), 60, 80)
	for seed := range 3 {
		vars, want := ansible.Vars{}, map[string]any{}
		for name, v := range many.Example(seed) {
			name = "v_" + name
			raw, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			vars[name] = raw
			var back any
			if err := json.Unmarshal(raw, &back); err != nil {
				t.Fatal(err)
			}
			want[name] = back
		}
		text, err := ansible.Job{Vars: vars}.ExtraVars()
		if err != nil {
			t.Fatal(err)
		}
		got, _ := loaded(t, py, text).(map[string]any)
		for name := range got {
			if strings.HasPrefix(name, "tutti_") {
				delete(got, name)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("seed %d: Ansible reads something else: %s", seed, d)
		}
	}
}

// value draws a value of JSON.
func value(depth int) *rapid.Generator[any] {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"{{ lookup('pipe', 'id') }}", "{% raw %}", "yes", "no", "null", "~", "2024-01-02", "1e3", "0x1f", "!vault x", "@file", "*a", "&a", "# x",
		"a: b", "- a", "\x7f\u0085\u2028\ufeff", "two\nlines\r\n", " leading", "", "\U0001f600", "\\", "\"", "'", "<<", "=", "1:30"}))
	leaves := []*rapid.Generator[any]{
		rapid.Map(text, func(s string) any { return strings.ToValidUTF8(s, "?") }), rapid.Map(rapid.Bool(), func(b bool) any { return b }), rapid.Just[any](nil),
		rapid.Map(rapid.Int32(), func(n int32) any { return n }),
		rapid.Map(rapid.Float64Range(-math.MaxFloat32, math.MaxFloat32), func(f float64) any { return f }),
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	inner := rapid.Deferred(func() *rapid.Generator[any] { return value(depth - 1) })
	return rapid.OneOf(append(leaves,
		rapid.Map(rapid.SliceOfN(inner, 0, 4), func(l []any) any { return l }),
		rapid.Map(rapid.MapOfN(rapid.Map(text, func(s string) string { return strings.ToValidUTF8(s, "?") }), inner, 0, 4), func(m map[string]any) any { return m }))...)
}

func TestInventory(t *testing.T) {
	t.Parallel()
	inventory := ansible.Inventory{
		Hosts:  map[string]ansible.Vars{"web-01": {"ansible_host": ansibletest.Text("10.0.0.1"), "n": json.RawMessage("3")}},
		Groups: map[string]ansible.Group{"web": {Hosts: []string{"web-01", "web-02"}, Vars: ansible.Vars{"port": json.RawMessage("80")}}, "all_web": {Children: []string{"web"}}},
		Vars:   ansible.Vars{"zone": ansibletest.Text("{{ x }}")},
	}
	inventory, err := inventory.With(map[string][]byte{
		"a.json": []byte(`{"name": "db-01", "net": {"ip": "10.0.0.9"}, "cpu": 2}`), "readme.md": []byte("no resource"),
	}, ansible.FromResources{Group: "db", Address: "net.ip", From: map[string]string{"cores": "cpu"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := inventory.Names(); !cmp.Equal(got, []string{"db-01", "web-01", "web-02"}) {
		t.Errorf("Names = %v", got)
	}
	text, err := inventory.YAML()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "inventory.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	program := strings.Replace(ansibletest.Program(t), "ansible-playbook", "ansible-inventory", 1)
	cmd := exec.Command(program, "-i", file, "--list")
	cmd.Env = append(os.Environ(), "ANSIBLE_INVENTORY_ENABLED=yaml")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var got struct {
		Meta struct {
			Hostvars map[string]map[string]any
		} `json:"_meta"`
		Web, Db struct{ Hosts []string }
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	db := got.Meta.Hostvars["db-01"]
	if len(got.Web.Hosts) != 2 || len(got.Db.Hosts) != 1 || len(got.Meta.Hostvars) != 3 || db["cores"] != 2.0 {
		t.Errorf("Ansible reads %s of\n%s", out, text)
	}
	if again, _ := inventory.YAML(); !bytes.Equal(again, text) {
		t.Error("the same inventory gives other bytes")
	}
}

func TestInventoryRefuses(t *testing.T) {
	t.Parallel()
	host := func(name string, v ansible.Vars) ansible.Inventory {
		return ansible.Inventory{Hosts: map[string]ansible.Vars{name: v}}
	}
	for name, v := range map[string]ansible.Inventory{
		"range": host("web[1:9]", nil), "port": host("web:22", nil), "option": host("-x", nil), "line": host("a\nb", nil),
		"steering": host("a", ansible.Vars{"ansible_ssh_common_args": ansibletest.Text("-o ProxyCommand=id")}), "variable": host("a", ansible.Vars{"a b": nil}),
		"group": {Groups: map[string]ansible.Group{"a-b": {}}}, "all": {Groups: map[string]ansible.Group{"all": {}}}, "child": {Groups: map[string]ansible.Group{"a": {Children: []string{"b"}}}},
		"value": host("a", ansible.Vars{"x": json.RawMessage("{")}),
	} {
		_, err := v.YAML()
		if err == nil {
			t.Errorf("%s: YAML succeeded; want it refused", name)
			continue
		}
		ansibletest.Fails(t, err, ansible.FailConfig, false)
	}
	for name, text := range map[string]string{"no object": `[]`, "no name": `{}`, "bad name": `{"name": "a b"}`, "no address": `{"name": "a"}`} {
		_, err := ansible.Inventory{}.With(map[string][]byte{"a.json": []byte(text)}, ansible.FromResources{Address: "ip"})
		if err == nil {
			t.Errorf("%s: With succeeded; want it refused", name)
		}
	}
	if _, err := (ansible.Inventory{}).With(map[string][]byte{"": []byte(`{"name": "a"}`)}, ansible.FromResources{From: map[string]string{"ansible_connection": "name"}}); err == nil {
		t.Error("a resource says how its host is reached; want it refused")
	}
}

func TestTally(t *testing.T) {
	t.Parallel()
	item := "a"
	var sum ansible.Tally
	for _, e := range []ansible.Event{
		{Kind: ansible.KindResult, Host: "b", Task: "t", Status: ansible.Changed, Item: &item, Mark: "m"},
		{Kind: ansible.KindResult, Host: "b", Task: "t", Status: ansible.Changed, Loop: true},
		{Kind: ansible.KindResult, Host: "b", Task: "rescued", Status: ansible.Failed, Message: "no"},
		{Kind: ansible.KindResult, Host: "a", Task: "t", Status: ansible.Failed, Ignored: true, Message: "never mind"},
		{Kind: ansible.KindResult, Host: "c", Task: "t", Status: ansible.Unreachable, Message: "away"},
		{Kind: ansible.KindStats, Counts: map[string]ansible.Counts{"b": {OK: 2, Changed: 1, Rescued: 1}, "idle": {}}},
	} {
		sum.Add(e)
	}
	r := sum.Result([]byte("key"), "inputs")
	want := []ansible.Host{
		{Host: "a", State: ansible.OK, Counts: ansible.Counts{OK: 1, Ignored: 1}},
		{Host: "b", State: ansible.Changed, Counts: ansible.Counts{OK: 2, Changed: 1, Rescued: 1}},
		{Host: "c", State: ansible.Unreachable, Counts: ansible.Counts{Unreachable: 1}, Task: "t", Message: "away"},
		{Host: "idle", State: ansible.OK},
	}
	if d := cmp.Diff(want, r.Hosts); d != "" {
		t.Errorf("hosts: %s", d)
	}
	if len(r.Changes) != 1 || r.Changes[0].Item != "a" || !r.Changed {
		t.Errorf("changes = %+v", r.Changes)
	}
	if other := sum.Result([]byte("key"), "other"); other.Digest == r.Digest {
		t.Error("other inputs have the same digest")
	}
	if other := sum.Result([]byte("other"), "inputs"); other.Digest == r.Digest {
		t.Error("another key gives the same digest")
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	host := func(state, message string) ansible.Host {
		h := ansible.Host{Host: "h", State: state, Message: message}
		switch state {
		case ansible.Failed:
			h.Failed = 1
		case ansible.Unreachable:
			h.Unreachable = 1
		}
		return h
	}
	ok, failed, away := host(ansible.OK, ""), host(ansible.Failed, "x"), host(ansible.Unreachable, "timed out")
	strange := host(ansible.Unreachable, "Failed to connect to the host via ssh: Host key verification failed.")
	for name, tc := range map[string]struct {
		code  int
		hosts []ansible.Host
		typ   string
		retry bool
	}{
		"well": {0, []ansible.Host{ok}, "", false}, "no host": {0, nil, "", false}, "failed": {2, []ansible.Host{ok, failed}, ansible.FailHosts, false},
		"failed and away": {2, []ansible.Host{failed, away}, ansible.FailHosts, false}, "away": {4, []ansible.Host{ok, away}, ansible.FailOffline, true},
		"strange": {4, []ansible.Host{away, strange}, ansible.FailHostKey, false}, "broken": {1, nil, ansible.FailConfig, false},
	} {
		err := ansible.Judge(ansible.Ended{Code: tc.code, Output: "ERROR! no such thing\n"}, ansible.Result{Hosts: tc.hosts})
		if tc.typ == "" {
			if err != nil {
				t.Errorf("%s: Judge = %v; want nil", name, err)
			}
			continue
		}
		ansibletest.Fails(t, err, tc.typ, tc.retry)
		if !ansible.Final(err) {
			t.Errorf("%s: Final = false", name)
		}
	}
	if ansible.Final(sdk.Fail(ansible.FailServer, "x").Again()) || ansible.Final(errors.New("x")) {
		t.Error("Final of a call that failed = true; want false: the job goes on")
	}
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	for name, j := range map[string]ansible.Job{
		"limit": {Limit: "@/etc/passwd"}, "option": {Limit: "--help"}, "tag": {Tags: []string{"a b"}}, "secret twice": {Vars: ansible.Vars{"a": json.RawMessage("1")}, Secrets: map[string]string{"a": "b"}},
		"config": {Environment: map[string]string{"ANSIBLE_CONFIG": "x"}}, "host keys": {Environment: map[string]string{"ANSIBLE_HOST_KEY_CHECKING": "False"}},
		"callbacks": {Environment: map[string]string{"ANSIBLE_STDOUT_CALLBACK": "x"}}, "library": {Environment: map[string]string{"LD_PRELOAD": "x"}}, "path": {Environment: map[string]string{"PATH": "x"}},
		"ssh": {Environment: map[string]string{"ANSIBLE_SSH_ARGS": "x"}}, "name": {Environment: map[string]string{"a-b": "x"}},
	} {
		if err := j.Validate(); err == nil {
			t.Errorf("%s: Validate = nil; want it refused", name)
		}
	}
	for name, j := range map[string]ansible.Job{
		"outside": {Playbook: "site.yml", Project: map[string][]byte{"site.yml": nil, "../x": nil}}, "absolute": {Playbook: "/site.yml", Project: map[string][]byte{"/site.yml": nil}},
		"missing": {Playbook: "other.yml", Project: map[string][]byte{"site.yml": nil}}, "option": {Playbook: "--help", Project: map[string][]byte{"--help": nil}},
	} {
		if err := j.ValidateProject(); err == nil {
			t.Errorf("%s: ValidateProject = nil; want it refused", name)
		}
	}
	if err := (ansible.Job{Limit: "web:!web-02,db*", Tags: []string{"config"}, Environment: map[string]string{"ANSIBLE_FORKS": "9", "VAULT_ADDR": "x"}}).Validate(); err != nil {
		t.Errorf("Validate = %v; want nil", err)
	}
}
