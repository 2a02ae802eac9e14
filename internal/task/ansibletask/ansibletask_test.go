package ansibletask_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/ansible"
	"tutti/internal/task"
	"tutti/internal/task/ansibletask"
	"tutti/internal/task/tasktest"
	"tutti/sdk"
)

// place is a driver whose jobs end as the test says. It keeps jobs by key, as a driver does.
type place struct {
	mu        sync.Mutex
	jobs      map[string]ansible.Job // by handle
	launched  []ansible.Job
	cancelled []string
	// digest is that of checks; fails is how playbooks end; waits, where set, is closed by nobody.
	digest string
	fails  error
	waits  chan struct{}
}

func (p *place) Launch(_ context.Context, j ansible.Job) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.jobs == nil {
		p.jobs = map[string]ansible.Job{}
	}
	if _, had := p.jobs[j.KeyTag()]; !had {
		p.jobs[j.KeyTag()], p.launched = j, append(p.launched, j)
	}
	return j.KeyTag(), nil
}

func (p *place) Follow(ctx context.Context, handle string, see func(ansible.Event)) (ansible.Result, error) {
	p.mu.Lock()
	j, waits, fails := p.jobs[handle], p.waits, p.fails
	p.mu.Unlock()
	see(ansible.Event{Kind: ansible.KindResult, Host: "web-01", Status: ansible.Changed, Task: "Install"})
	if waits != nil {
		<-ctx.Done()
		return ansible.Result{}, ctx.Err()
	}
	r := ansible.Result{Hosts: []ansible.Host{{Host: "web-01", State: ansible.Changed}}, Changes: []ansible.Change{}, Changed: true, Digest: p.digest}
	if j.Check {
		return r, nil
	}
	return r, fails
}

func (p *place) Output(context.Context, string) ([]byte, error) { return nil, nil }

func (p *place) Cancel(_ context.Context, handle string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancelled = append(p.cancelled, handle)
	return nil
}

// checks returns whether each job that was launched is a check.
func (p *place) checks() (out []bool) {
	for _, j := range p.launched {
		out = append(out, j.Check)
	}
	return out
}

// files is a Source.
type files map[string][]byte

func (f files) Read(_ context.Context, _ *sdk.Task, _ task.Repository, path string) (map[string][]byte, error) {
	if b, ok := f[path]; ok {
		return map[string][]byte{"": b}, nil
	}
	out := map[string][]byte{}
	for name, b := range f {
		if rest, ok := strings.CutPrefix(name, path+"/"); ok || path == "" {
			out[rest] = b
		}
	}
	if len(out) == 0 {
		return nil, errs.New(errs.NotFound, "there is no %s", path)
	}
	return out, nil
}

func types(p *place) map[string]sdk.TaskType {
	out := map[string]sdk.TaskType{}
	open := func(string, ansible.Connection) (ansible.Driver, error) { return p, nil }
	for _, typ := range ansibletask.New(ansibletask.Deps{
		Drivers: ansible.Drivers{ansible.Local: open, ansible.AWX: open},
		Source:  files{"machines/a.json": []byte(`{"name": "web-01", "net": {"ip": "10.0.0.1"}, "cpu": 2}`), "machines/b.json": []byte(`{"name": "web-02", "net": {"ip": "10.0.0.2"}}`), "bad.json": []byte(`[]`)},
	}) {
		out[typ.Spec().Name] = typ
	}
	return out
}

const commit = "0123456789abcdef0123456789abcdef01234567"

var project = map[string]any{"files": map[string]any{"site.yml": "- hosts: all\n"}}

func TestSuite(t *testing.T) {
	t.Parallel()
	all := types(&place{digest: "d"})
	play := map[string]any{"playbook": "site.yml", "project": project, "inventory": map[string]any{"hosts": map[string]any{"web-01": map[string]any{}}}}
	bad := []tasktest.Case{
		{Name: "no project", With: map[string]any{"playbook": "site.yml"}},
		{Name: "both", With: map[string]any{"playbook": "site.yml", "project": map[string]any{"path": "x", "files": map[string]any{"a": "b"}}}},
	}
	slow := &place{waits: make(chan struct{})}
	t.Run("playbook", func(t *testing.T) {
		t.Parallel()
		tasktest.Run(t, all["ansible.playbook"], tasktest.Cases{Good: []tasktest.Case{{With: play}}, Bad: bad})
	})
	t.Run("check", func(t *testing.T) {
		t.Parallel()
		tasktest.Run(t, all["ansible.check"], tasktest.Cases{Good: []tasktest.Case{{With: play}}, Bad: bad})
	})
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		tasktest.Run(t, types(slow)["ansible.playbook"], tasktest.Cases{Slow: []tasktest.Case{{With: play}}})
	})
	t.Run("inputs", func(t *testing.T) {
		t.Parallel()
		tasktest.Run(t, all["ansible.inputs"], tasktest.Cases{
			Good: []tasktest.Case{
				{Name: "file", With: map[string]any{"repository": "machines", "commit": commit, "file": "machines/a.json", "from": map[string]any{"cores": "cpu"}, "hosts": map[string]any{"address": "net.ip"}},
					Check: func(t *testing.T, out json.RawMessage) {
						if s := string(out); !strings.Contains(s, `"cores":2`) || !strings.Contains(s, `"ansible_host":"10.0.0.1"`) || !strings.Contains(s, `"hosts":["web-01"]`) {
							t.Errorf("out = %s", s)
						}
					}},
				{Name: "folder", With: map[string]any{"repository": "machines", "commit": commit, "folder": "machines"},
					Check: func(t *testing.T, out json.RawMessage) {
						if s := string(out); !strings.Contains(s, `"hosts":["web-01","web-02"]`) {
							t.Errorf("out = %s", s)
						}
					}},
			},
			Bad: []tasktest.Case{
				{Name: "neither", With: map[string]any{"repository": "machines", "commit": commit}},
				{Name: "folder as file", With: map[string]any{"repository": "machines", "commit": commit, "file": "machines"}},
				{Name: "commit", With: map[string]any{"repository": "machines", "commit": "main", "file": "machines/a.json"}},
			},
		})
	})
}

func with(more map[string]any) map[string]any {
	out := map[string]any{"playbook": "site.yml", "project": project}
	for k, v := range more {
		out[k] = v
	}
	return out
}

// An attempt that is lost is followed by one that finds its job; one that failed by one that begins anew.
func TestAttempts(t *testing.T) {
	t.Parallel()
	p := &place{waits: make(chan struct{})}
	typ := types(p)["ansible.playbook"]
	a := tasktest.NewTry(t, typ, with(nil))
	ctx, stop := context.WithCancelCause(t.Context())
	stop2 := func() { stop(sdk.ErrStopping) }
	go func() {
		for { // until it follows the job
			p.mu.Lock()
			n := len(p.launched)
			p.mu.Unlock()
			if n > 0 {
				stop2()
				return
			}
		}
	}()
	if _, f, _ := a.Do(ctx, typ); f == nil {
		t.Fatal("the attempt of a worker that stops succeeded")
	}
	if len(p.cancelled) != 0 {
		t.Errorf("a worker that stops cancelled %v; want the job to go on", p.cancelled)
	}
	p.waits, p.fails = nil, sdk.Fail(ansible.FailHosts, "it is broken")
	a = a.Again()
	if _, f, _ := a.Do(t.Context(), typ); f == nil || f.Type != ansible.FailHosts || len(p.launched) != 1 {
		t.Errorf("the next attempt = %+v after %d launches; want the failure of the one job", f, len(p.launched))
	}
	if !strings.Contains(a.Logged("out"), "web-01: changed Install") {
		t.Errorf("the log is %q", a.Logged("out"))
	}
	p.fails = nil
	if _, f, _ := a.Again().Do(t.Context(), typ); f != nil || len(p.launched) != 2 {
		t.Errorf("an attempt after a failure = %+v after %d launches; want another job", f, len(p.launched))
	}
}

// What was approved is what is run: the digest is looked at again, just before.
func TestApproved(t *testing.T) {
	t.Parallel()
	ask := map[string]any{"to": []string{"role:approver"}}
	for name, tc := range map[string]struct {
		with    map[string]any
		checks  []bool // of what is launched
		outcome api.Outcome
		failure string
	}{
		"same":         {map[string]any{"digest": "d", "approval": "succeeded", "ask": ask}, []bool{true, false}, api.Done, ""},
		"changed":      {map[string]any{"digest": "other", "approval": "succeeded", "ask": ask}, []bool{true}, api.Expand, ""},
		"nobody asked": {map[string]any{"digest": "other"}, []bool{true}, "", ansible.FailStale},
		"too often":    {map[string]any{"digest": "other", "ask": ask, "round": 5}, []bool{true}, "", ansible.FailStale},
		"rejected":     {map[string]any{"digest": "d", "approval": "failed"}, nil, "", ansible.FailRejected},
		"no digest":    {map[string]any{"approval": "skipped"}, []bool{false}, api.Done, ""},
	} {
		p := &place{digest: "d"}
		typ := types(p)["ansible.playbook"]
		r, f, _ := tasktest.NewTry(t, typ, with(tc.with)).Do(t.Context(), typ)
		failure := ""
		if f != nil {
			failure = f.Type
		}
		if r.Outcome != tc.outcome || failure != tc.failure || !slices.Equal(p.checks(), tc.checks) {
			t.Errorf("%s: outcome %q, failure %q, checks %v; want %q, %q, %v", name, r.Outcome, failure, p.checks(), tc.outcome, tc.failure, tc.checks)
		}
	}
}

// The wrapper carries secrets as references, and begins nothing that is to be undone before a yes.
func TestWrapper(t *testing.T) {
	t.Parallel()
	typ := types(&place{})["ansible"]
	a := tasktest.NewTry(t, typ, map[string]any{
		"repository": "machines", "commit": commit, "file": "machines/a.json", "playbook": "site.yml", "undo": map[string]any{"playbook": "undo.yml"}, "limit": "web-01 ${{ not source }}",
		"login": map[string]any{"key": "the-private-key"}, "approve": map[string]any{"notBy": "user:ann"},
	})
	a.Secrets, a.References = []string{"the-private-key"}, map[string]string{"/login/key": "ssh_key"}
	r, f, _ := a.Do(t.Context(), typ)
	if f != nil || r.Outcome != api.Expand {
		t.Fatalf("Do = %+v, %+v", r, f)
	}
	s := string(r.Tasks)
	for _, want := range []string{`"${{ secrets.ssh_key }}"`, `$${{ not source }}`, `"playbook":"undo.yml"`, `"use":"approval"`, `"digest":"${{ tasks.check.out.digest }}"`, `"repository":{"commit":"` + commit} {
		if !strings.Contains(s, want) {
			t.Errorf("the tasks lack %s: %s", want, s)
		}
	}
	if strings.Contains(s, "the-private-key") {
		t.Errorf("the tasks have a secret: %s", s)
	}
	for name, more := range map[string]map[string]any{"both": {"undo": map[string]any{"playbook": "a.yml", "template": "b"}}, "neither": {"undo": map[string]any{}}, "bad file": {"file": "bad.json"}, "none": {"file": ""}} {
		in := map[string]any{"repository": "machines", "commit": commit, "file": "machines/a.json", "playbook": "site.yml"}
		for k, v := range more {
			in[k] = v
		}
		if _, f, _ := tasktest.NewTry(t, typ, in).Do(t.Context(), typ); f == nil || f.Type != task.Invalid && f.Type != ansible.FailConfig {
			t.Errorf("%s: the failure is %+v; want it refused", name, f)
		}
	}
}
