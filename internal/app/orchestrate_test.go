package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tutti/api"
	"tutti/internal/app"
	"tutti/sdk"
)

// old is a controller that was written for the orchestrator whose HTTP API is imitated.
type old struct {
	t      *testing.T
	server string
	token  string
}

// call makes a call as such a controller does, the token as the whole header, and returns status and body.
func (o old) call(method, path, body string) (int, string) {
	o.t.Helper()
	r, err := http.NewRequestWithContext(o.t.Context(), method, o.server+"/v1/orchestrate/"+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	r.Header.Set("Authorization", o.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// want makes a call and compares all of its answer.
func (o old) want(method, path, body string, status int, answer string) {
	o.t.Helper()
	if code, got := o.call(method, path, body); code != status || got != answer {
		o.t.Errorf("%s %s %s = %d %s; want %d %s", method, path, body, code, got, status, answer)
	}
}

const okay = `{"status":"success","message":"ok"}`

// state is a target in that API.
type state struct {
	Name    string   `json:"name,omitempty"`
	Group   string   `json:"group,omitempty"`
	Tags    []string `json:"tags,omitempty"`
	Version string   `json:"version,omitempty"`
	Message string   `json:"message,omitempty"`
	IsError bool     `json:"isError,omitempty"`
}

// report sends all targets and has them do what they are asked; bad fails on the targets named.
func (o old) report(path string, fleet []state, bad map[string]string) []state {
	o.t.Helper()
	body, err := json.Marshal(fleet)
	if err != nil {
		o.t.Fatal(err)
	}
	code, answer := o.call("POST", path, string(body))
	var all []state
	if err := json.Unmarshal([]byte(answer), &all); code != 200 || err != nil {
		o.t.Fatalf("orchestrate = %d %s", code, answer)
	}
	changed := 0
	for _, want := range all {
		i := slices.IndexFunc(fleet, func(s state) bool { return s.Name == want.Name && s.Group == want.Group })
		if i < 0 || want.Tags != nil || want.Message == "" {
			o.t.Errorf("orchestrate answered %+v; want one that was reported, without tags, with a message", want)
			continue
		}
		if fleet[i].Version != want.Version {
			changed++
		}
		fleet[i].Version, fleet[i].IsError = want.Version, bad[want.Name] == want.Version
	}
	if changed > 2 {
		o.t.Errorf("%d targets were asked at once; the batch is 20%% of 10", changed)
	}
	return all
}

// Every route of the other system's API, with its JSON: a version goes out in batches, the next fails and goes
// back, and its hooks are asked.
func TestControllersOfBefore(t *testing.T) {
	t.Parallel()
	var asked sync.Map // the paths of hooks
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked.Store(r.URL.Path, true)
		if r.URL.Path == "/monitoring" || r.URL.Path == "/external" {
			fmt.Fprint(w, `{"status": "ok", "message": ""}`)
			return
		}
		w.Write(b) // {targets, count}: it takes all
	}))
	t.Cleanup(hook.Close)
	u, err := url.Parse(hook.URL)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, app.Config{Data: t.TempDir(), AllowDial: []string{u.Host}})
	bootstrap, err := os.ReadFile(s.BootstrapToken)
	if err != nil {
		t.Fatal(err)
	}
	session, err := sdk.Call(t.Context(), client(t, s.Address, ""), api.Bootstrap,
		api.BootstrapIn{Body: api.BootstrapBody{Token: strings.TrimSpace(string(bootstrap)), User: "anna", Password: "correct horse battery"}})
	if err != nil {
		t.Fatal(err)
	}
	o := old{t, s.Address, session.Secret}
	if code, _ := (old{t, s.Address, "wrong"}).call("GET", "namespaces", ""); code != 401 {
		t.Errorf("a call of a stranger = %d; want 401", code)
	}

	app := "default/my.app"
	o.want("POST", app, `[{"name": "t0"}]`, 400, `{"status":"error","message":"empty target version, please set target version before calling orchestrate"}`)
	o.want("POST", app+"/version", `{}`, 400, `{"status":"error","message":"invalid Target Version"}`)
	o.want("POST", app+"/options", `{"batchpercent": -50}`, 400, `{"status":"error","message":"percentages are from 0 to 100, seconds from 0 to a year"}`)
	o.want("POST", app+"/version", `{"version": "v1"}`, 200, okay)
	o.want("POST", app+"/options", `null`, 200, okay)
	o.want("POST", app+"/options", `{"batchpercent": 20, "successpercent": 100, "successtimeoutsecs": 0, "durationtimeoutsecs": 60}`, 200, okay)
	o.want("POST", app, `[]`, 200, `null`)
	o.want("POST", app, `[null]`, 400, `{"status":"error","message":"target 0 is null"}`)
	if code, answer := o.call("POST", app, `{"name"`); code != 400 || !strings.HasPrefix(answer, `{"status":"error"`) {
		t.Errorf("broken JSON = %d %s; want 400 with a status", code, answer)
	}
	if code, _ := o.call("DELETE", app+"/version", ""); code != 405 {
		t.Errorf("a wrong method = %d; want 405", code)
	}

	var fleet []state
	for i := range 10 {
		fleet = append(fleet, state{Name: fmt.Sprint("t", i), Group: fmt.Sprint("Group", 1+9*(i%2)), Tags: []string{"zone=a"}, Version: "v0"})
	}
	until(t, "v1 is good", func() bool {
		o.report(app, fleet, nil)
		_, r := o.call("GET", app+"/rollout", "")
		return r == `{"lastknownbadversion":"","lastknowngoodversion":"v1","options":{"batchpercent":20,"successpercent":100,"successtimeoutsecs":0,"durationtimeoutsecs":60},"rollingversion":"v1","targetversion":"v1"}`
	})

	h := func(path string) string { return `"` + hook.URL + path + `"` }
	o.want("POST", app+"/target/controller", `{"selection": `+h("/selection")+`, "approval": `+h("/approval")+`, "removal": `+h("/removal")+`, "monitoring": `+h("/monitoring")+`}`, 200, okay)
	o.want("POST", app+"/monitoring/controller", `{"externalmonitoring": `+h("/external")+`}`, 200, okay)
	o.want("POST", app+"/options", `{"batchpercent": 20, "successpercent": 100, "successtimeoutsecs": 0, "durationtimeoutsecs": 1}`, 200, okay)
	o.want("POST", app+"/version", `{"version": "v2"}`, 200, okay)
	until(t, "v2 is bad, and all are back", func() bool {
		all := o.report(app, fleet, map[string]string{"t9": "v2"})
		_, r := o.call("GET", app+"/rollout", "")
		return strings.Contains(r, `"lastknownbadversion":"v2"`) && strings.Contains(r, `"lastknowngoodversion":"v1"`) &&
			!slices.ContainsFunc(all, func(s state) bool { return s.Version != "v1" })
	})
	for _, path := range []string{"/selection", "/approval", "/monitoring", "/external"} { // nothing is replaced, so nothing is removed
		if _, ok := asked.Load(path); !ok {
			t.Errorf("%s was never asked", path)
		}
	}
	if code, answer := o.call("POST", app+"/version", `{"version": "v2"}`); code != 200 || !strings.Contains(answer, "known to be bad") {
		t.Errorf("setting a bad version = %d %s; want no error, and why nothing follows", code, answer)
	}

	body, err := json.Marshal(fleet[:1])
	if err != nil {
		t.Fatal(err)
	}
	o.want("POST", app+"/status", string(body), 200, okay)
	for path, n := range map[string]int{"/targets": 10, "/status": 10, "/Group1/status": 5, "/Group10/status": 5} {
		_, answer := o.call("GET", app+path, "")
		var all []state
		if err := json.Unmarshal([]byte(answer), &all); err != nil || len(all) != n {
			t.Errorf("GET %s = %s; want %d targets", path, answer, n)
		}
	}
	o.want("GET", "namespaces", "", 200, `["default"]`)
	o.want("GET", "default/entities", "", 200, `["my.app"]`)
	o.want("GET", "default/other/rollout", "", 400, `{"status":"error","message":"no rollout \"other\""}`)
}

// until repeats f, which makes progress each time, until it is true.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for began := time.Now(); time.Since(began) < 2*time.Minute; {
		if f() {
			return
		}
	}
	t.Fatalf("it never came to %s", what)
}
