package rollouts

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/netguard"
	"tutti/internal/service/servicetest"
	"tutti/rollout"
)

// hookServer is a server that hooks call, and the guard that lets them.
func hookServer(t *testing.T, h http.HandlerFunc) (string, *netguard.Guard) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	g, err := netguard.Parse([]string{u.Host})
	if err != nil {
		t.Fatal(err)
	}
	return s.URL, g
}

// hooked starts the service with a policy and hooks, v1 good and v2 wanted.
func hooked(t *testing.T, e *servicetest.Env, g *netguard.Guard, p api.RolloutPolicy, h api.RolloutHooks) context.Context {
	t.Helper()
	e.Start(t, New(g), api.SetRolloutBudgets)
	ada := servicetest.As(t, "user:ada", "default", api.Author)
	if _, err := api.SetRolloutPolicy.Call(ada, e.Deps.Bus, api.SetRolloutPolicyIn{RolloutIn: app, Body: p}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.SetRolloutHooks.Call(ada, e.Deps.Bus, api.SetRolloutHooksIn{RolloutIn: app, Body: h}); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{{"mark-good", "v1"}, {"set-version", "v2"}} {
		if _, err := command(ada, e, c[0], c[1]); err != nil {
			t.Fatal(err)
		}
	}
	return ada
}

// converge reports the fleet, which does what it is asked, until the state is one of those named.
func converge(t *testing.T, ctx context.Context, e *servicetest.Env, all []api.RolloutReport, until ...string) api.RolloutPlan {
	t.Helper()
	for range 50 {
		plan, err := orchestrate(ctx, e, api.OrchestrateBody{Reports: all})
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(until, plan.State) {
			return plan
		}
		for _, w := range plan.Targets {
			if i := slices.IndexFunc(all, func(r api.RolloutReport) bool { return r.Name == w.Name }); i >= 0 && w.Version != "" {
				all[i].Version = w.Version
			}
		}
	}
	t.Fatalf("it never became %v", until)
	return api.RolloutPlan{}
}

// Selection turns the order around, approval leaves one out, monitoring finds one ill.
func TestTargetHooks(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	address, guard := hookServer(t, func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Targets []hookTarget `json:"targets"`
			Target  hookTarget   `json:"target"`
			Count   int          `json:"count"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		switch r.URL.Path {
		case "/selection":
			slices.Reverse(in.Targets)
			_ = json.NewEncoder(w).Encode(map[string]any{"targets": in.Targets})
		case "/approval":
			in.Targets = slices.DeleteFunc(in.Targets, func(t hookTarget) bool { return t.Name == "t5" })
			_ = json.NewEncoder(w).Encode(map[string]any{"targets": in.Targets})
		case "/monitoring":
			asked.Add(1)
			status := "OK"
			if in.Target.Name == "t4" {
				status = "sick"
			}
			fmt.Fprintf(w, `{"status": %q, "message": "seen"}`, status)
		}
	})
	e := servicetest.SQLite(t, "rollouts", Migrations)
	h := func(path string) *api.RolloutCall { return &api.RolloutCall{URL: address + path} }
	ctx := hooked(t, e, guard, api.RolloutPolicy{Batch: "2"}, api.RolloutHooks{Selection: h("/selection"), Approval: h("/approval"), Monitoring: h("/monitoring")})
	all := fleet(6, "v1")
	plan, err := orchestrate(ctx, e, api.OrchestrateBody{Reports: all})
	if err != nil || plan.Targets[5].Version != "" || plan.Targets[4].Version != "v2" {
		t.Fatalf("Orchestrate = %+v, %v; want t4 alone of the two, since t5 is not approved", plan, err)
	}
	all[4].Version = "v2"
	if plan, err = orchestrate(ctx, e, api.OrchestrateBody{Reports: all}); err != nil || plan.State != "rolling back" || asked.Load() != 1 {
		t.Fatalf("Orchestrate = %+v, %v after %d questions; want the way back, since t4 is sick", plan, err, asked.Load())
	}
	target := converge(t, ctx, e, all, "reverted").Targets[4]
	if target.Version != "v1" {
		t.Errorf("t4 is to run %q; want v1", target.Version)
	}
}

// A monitor that fails goes back, at once when it says so and after its deadline when it says nothing; it
// never holds a rollout for ever.
func TestExternalMonitor(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, answer string
		status       int
		onBreach     string
		state        string
		failure      string
	}{
		{"passes", `{"status": "ok"}`, 200, "", "good", ""},
		{"fails", `{"status": "degraded", "message": "p99"}`, 200, "", "reverted", ""},
		{"fails and pauses", `{"status": "degraded"}`, 200, "pause", "paused", ""},
		{"is broken", `oops`, 500, "", "reverted", "status"},
		{"talks nonsense", `[1]`, 200, "", "reverted", "answer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			address, guard := hookServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
				fmt.Fprint(w, tc.answer)
			})
			e := servicetest.SQLite(t, "rollouts", Migrations)
			monitor := api.RolloutExternal{Deadline: api.Duration(time.Minute)}
			if tc.failure != "" {
				monitor.Deadline = api.Duration(time.Millisecond)
			}
			monitor.HTTP, monitor.Every = &api.RolloutCall{URL: address}, api.Duration(time.Millisecond)
			ctx := hooked(t, e, guard, api.RolloutPolicy{Batch: "50%", OnBreach: tc.onBreach}, api.RolloutHooks{External: &monitor})
			all := fleet(4, "v1")
			for range 200 {
				plan, err := orchestrate(ctx, e, api.OrchestrateBody{Reports: all})
				if err != nil {
					t.Fatal(err)
				}
				r, err := api.GetRollout.Call(ctx, e.Deps.Bus, app)
				if err != nil || r.Hooks == nil || len(r.Policy.Gates) != 0 {
					t.Fatalf("GetRollout = %+v, %v; want hooks, and no gate of theirs in the policy", r, err)
				}
				if tc.failure != "" && r.State == "rolling" && (len(plan.Failures) == 0 || plan.Failures[0].Type != tc.failure || plan.Failures[0].Hook != "gate external") {
					t.Fatalf("failures are %+v; want %s", plan.Failures, tc.failure)
				}
				if r.State == tc.state || tc.state == "paused" && r.Paused {
					return
				}
				for _, w := range plan.Targets {
					for i := range all {
						if all[i].Name == w.Name && w.Version != "" {
							all[i].Version = w.Version
						}
					}
				}
			}
			t.Errorf("it never became %s", tc.state)
		})
	}
}

// A query is answered pass, fail or unknown, and its credential goes to its host alone.
func TestPrometheusGate(t *testing.T) {
	t.Parallel()
	var value atomic.Value
	value.Store(`{"status": "success", "data": {"resultType": "vector", "result": []}}`)
	address, guard := hookServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/query" || r.URL.Query().Get("query") != `errors{version="v2"}` {
			t.Errorf("asked %s", r.URL)
		}
		fmt.Fprint(w, value.Load())
	})
	e := servicetest.SQLite(t, "rollouts", Migrations)
	e.Start(t, New(guard), api.SetRolloutBudgets)
	ada := servicetest.As(t, "user:ada", "default", api.Author)
	hooks := api.RolloutHooks{Gates: map[string]api.RolloutMonitor{"errors": {
		Every:      api.Duration(time.Millisecond),
		Prometheus: &api.RolloutQuery{URL: address, Query: `errors{version="{version}"}`, Pass: "< 0.01", Fail: "> 0.1"},
	}}}
	if _, err := api.SetRolloutHooks.Call(ada, e.Deps.Bus, api.SetRolloutHooksIn{RolloutIn: app, Body: hooks}); !errs.Is(err, errs.Invalid) {
		t.Errorf("SetRolloutHooks without the gate = %v; want invalid", err)
	}
	if _, err := api.SetRolloutPolicy.Call(ada, e.Deps.Bus, api.SetRolloutPolicyIn{RolloutIn: app, Body: api.RolloutPolicy{Batch: "100%", Gates: []api.RolloutGate{{Name: "errors"}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.SetRolloutHooks.Call(ada, e.Deps.Bus, api.SetRolloutHooksIn{RolloutIn: app, Body: hooks}); err != nil {
		t.Fatal(err)
	}
	olga := servicetest.As(t, "user:olga", "default", api.Operator)
	if _, err := api.SetRolloutHooks.Call(olga, e.Deps.Bus, api.SetRolloutHooksIn{RolloutIn: app}); !errs.Is(err, errs.Denied) {
		t.Errorf("SetRolloutHooks of an operator = %v; want denied", err)
	}
	for _, c := range [][2]string{{"mark-good", "v1"}, {"set-version", "v2"}} {
		if _, err := command(ada, e, c[0], c[1]); err != nil {
			t.Fatal(err)
		}
	}
	all := fleet(2, "v1")
	if _, err := orchestrate(ada, e, api.OrchestrateBody{Reports: all}); err != nil {
		t.Fatal(err)
	}
	all[0].Version, all[1].Version = "v2", "v2"
	plan, err := orchestrate(ada, e, api.OrchestrateBody{Reports: all})
	if err != nil || plan.State != "rolling" || len(plan.Failures) != 1 || !strings.Contains(strings.Join(plan.Waiting, " "), "0 series") {
		t.Fatalf("Orchestrate = %+v, %v; want to wait, since there is no series", plan, err)
	}
	for _, tc := range []struct{ value, state, said string }{{"0.05", "rolling", "neither"}, {"NaN", "rolling", "no number"}, {"0.001", "good", ""}} {
		value.Store(`{"status": "success", "data": {"resultType": "vector", "result": [{"value": [0, "` + tc.value + `"]}]}}`)
		for began := time.Now(); ; { // until it is asked again
			if plan, err = orchestrate(ada, e, api.OrchestrateBody{Reports: all}); err != nil {
				t.Fatal(err)
			}
			if plan.State == tc.state && strings.Contains(strings.Join(plan.Waiting, " "), tc.said) {
				break
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("with %s Orchestrate = %+v; want %s", tc.value, plan, tc.state)
			}
		}
	}
}

func TestCheckHooks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		hooks api.RolloutHooks
		want  string
	}{
		{api.RolloutHooks{Selection: &api.RolloutCall{URL: "ftp://x/"}}, "selection: url is not of the form"},
		{api.RolloutHooks{Approval: &api.RolloutCall{URL: "https://a:b@x/"}}, "approval: url contains a user"},
		{api.RolloutHooks{Removal: &api.RolloutCall{URL: "http://example.com/", Secret: "token"}}, "removal: a secret is sent over https only"},
		{api.RolloutHooks{Monitoring: &api.RolloutCall{URL: "https://x/", Timeout: api.Duration(time.Hour)}}, "monitoring: timeout: at most 30s"},
		{api.RolloutHooks{External: &api.RolloutExternal{}}, "external: give one of http and prometheus"},
		{api.RolloutHooks{Gates: map[string]api.RolloutMonitor{"g": {Prometheus: &api.RolloutQuery{URL: "https://x/", Query: "up", Pass: "up"}}}}, "gates.g.prometheus:"},
	} {
		if err := checkHooks(&tc.hooks); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("checkHooks(%+v) = %v; want %q", tc.hooks, err, tc.want)
		}
	}
}

// What a call may not reach it does not, and every failure has its type.
func TestCallFailures(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	address, guard := hookServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/away":
			http.Redirect(w, r, "https://example.com/", http.StatusTemporaryRedirect)
		default:
			fmt.Fprint(w, "{")
		}
	})
	defer close(release)
	e := servicetest.SQLite(t, "rollouts", Migrations)
	for _, tc := range []struct {
		guard     *netguard.Guard
		url, want string
		secret    string
	}{
		{guard, address + "/slow", failTimeout, ""},
		{guard, address + "/away", failStatus, ""},
		{guard, address + "/half", failAnswer, ""},
		{nil, address, failDenied, ""},
		{guard, "http://127.0.0.1:1/", failDenied, ""},
		{guard, address, failSecret, "token"}, // nobody keeps secrets here
	} {
		c := newCaller(tc.guard, e.Deps.Bus)
		var v verdictOf
		err := c.post(t.Context(), "default", api.RolloutCall{URL: tc.url, Timeout: api.Duration(50 * time.Millisecond), Secret: tc.secret}, map[string]any{}, &v)
		var f *failure
		if f, _ = err.(*failure); f == nil || f.kind != tc.want {
			t.Errorf("post to %s = %v; want %s", tc.url, err, tc.want)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pass, fail string
		v          float64
		want       rollout.Result
	}{
		{"< 0.01", "", 0.001, rollout.Pass}, {"< 0.01", "", 0.01, rollout.Fail}, {"<0.01", "> 0.1", 0.05, rollout.Undecided},
		{"<= 1e-3", "> 0.1", 0.2, rollout.Fail}, {"== 0", "", 0, rollout.Pass}, {"!= 0", "", 0, rollout.Fail}, {">= -1", "", -1, rollout.Pass},
	} {
		if got, detail := judge(api.RolloutQuery{Pass: tc.pass, Fail: tc.fail}, tc.v); got != tc.want {
			t.Errorf("judge(%s, %s, %v) = %s, %s; want %s", tc.pass, tc.fail, tc.v, got, detail, tc.want)
		}
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	in := api.RolloutFreeze{Every: []string{"fri", "sat"}, Start: "22:00", End: "06:30", Offset: "-05:30", Why: "weekend"}
	w, err := windowFrom(in)
	if err != nil || w.Every[0] != time.Friday || w.Start != 22*time.Hour || w.End != 6*time.Hour+30*time.Minute || w.Offset != -(5*time.Hour+30*time.Minute) {
		t.Errorf("windowFrom(%+v) = %+v, %v", in, w, err)
	}
	if out := freezeOf(w); fmt.Sprint(out) != fmt.Sprint(in) {
		t.Errorf("freezeOf = %+v; want %+v", out, in)
	}
	for _, bad := range []api.RolloutFreeze{
		{Every: []string{"weekend"}}, {Start: "22:00"}, {Every: []string{"mon"}, From: time.Unix(1, 0)}, {Every: []string{"mon"}, End: "24:00"}, {Every: []string{"mon"}, Offset: "x2:00"},
	} {
		if _, err := windowFrom(bad); err == nil {
			t.Errorf("windowFrom(%+v) succeeded", bad)
		}
	}
}

// One key is one command, whatever happens to the answer.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	servicetest.Both(t, "rollouts", Migrations, func(t *testing.T, e *servicetest.Env) {
		e.Start(t, New(nil), api.SetRolloutBudgets)
		olga := servicetest.As(t, "user:olga", "default", api.Operator)
		in := api.CommandRolloutIn{RolloutIn: app, Verb: "operate", Key: "k1", Body: api.RolloutCommand{Version: "restart"}}
		for range 3 {
			if r, err := api.CommandRollout.Call(olga, e.Deps.Bus, in); err != nil || r.Wanted != "restart@1" {
				t.Fatalf("operate = %+v, %v; want restart@1 each time", r, err)
			}
		}
		in.Body.Version = "reboot"
		if _, err := api.CommandRollout.Call(olga, e.Deps.Bus, in); !errs.Is(err, errs.Conflict) {
			t.Errorf("another command with the key = %v; want a conflict", err)
		}
		if acts := e.Acts(t); len(acts) != 1 {
			t.Errorf("acts are %q; want one", acts)
		}
	})
}
