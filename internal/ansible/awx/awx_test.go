package awx_test

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tutti/errs"
	"tutti/internal/ansible"
	"tutti/internal/ansible/ansibletest"
	"tutti/internal/ansible/awx"
	"tutti/internal/ansible/awxtest"
	"tutti/internal/netguard"
)

func config() awx.Config {
	return awx.Config{Dial: new(net.Dialer).DialContext, Poll: 50 * time.Millisecond}
}

func open(t *testing.T, s *awxtest.Server) ansible.Driver {
	t.Helper()
	d, err := awx.New(config())("default", ansible.Connection{Driver: "awx", URL: s.URL, Token: s.Token})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// prepare makes the template that a job of the suite is of.
func prepare(s *awxtest.Server) func(ansible.Job) ansible.Job {
	return func(j ansible.Job) ansible.Job {
		name := fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, j.Project, j.Inventory))) // the same for the same
		s.Add(awxtest.Template{Name: name, Files: j.Project, Playbook: j.Playbook, Inventory: j.Inventory})
		j.Template, j.Project, j.Playbook, j.Inventory = name, nil, "", ansible.Inventory{}
		return j
	}
}

func TestDriver(t *testing.T) {
	t.Parallel()
	ansibletest.Run(t, func(t *testing.T) ansibletest.Place {
		s := awxtest.New(t)
		return ansibletest.Place{Driver: open(t, s), Prepare: prepare(s), Again: func() ansible.Driver { return open(t, s) }}
	})
}

func job() ansible.Job {
	return ansible.Job{Key: "k", Since: time.Now(), Template: "t", Trace: "trc_1"}
}

// server has a template that does nothing.
func server(t *testing.T, change func(*awxtest.Template)) *awxtest.Server {
	t.Helper()
	s := awxtest.New(t)
	tpl := awxtest.Template{Name: "t", Files: map[string][]byte{"site.yml": []byte("- hosts: all\n  gather_facts: false\n  tasks: []\n")}, Playbook: "site.yml", Inventory: ansibletest.Local("web-01")}
	if change != nil {
		change(&tpl)
	}
	s.Add(tpl)
	return s
}

// Each bad day has its failure, and says whether another attempt may help.
func TestBadDays(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		typ    string
		retry  bool
	}{
		"no token": {401, ansible.FailDenied, false}, "no right": {403, ansible.FailDenied, false}, "gone": {404, ansible.FailMissing, false}, "bad": {400, ansible.FailConfig, false},
		"conflict": {409, ansible.FailConflict, false}, "limited": {429, ansible.FailLimited, true}, "broken": {500, ansible.FailServer, true}, "down": {503, ansible.FailServer, true},
		"moved": {302, ansible.FailConfig, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server(t, nil)
			s.Fault = func(*http.Request) int { return tc.status }
			_, err := open(t, s).Launch(t.Context(), job())
			ansibletest.Fails(t, err, tc.typ, tc.retry)
			if n := s.Launched(); n != 0 {
				t.Errorf("%d jobs were launched", n)
			}
		})
	}
	t.Run("unreachable", func(t *testing.T) {
		t.Parallel()
		s := server(t, nil)
		s.Close()
		_, err := open(t, s).Launch(t.Context(), job())
		ansibletest.Fails(t, err, ansible.FailUnreachable, true)
	})
	t.Run("forbidden address", func(t *testing.T) {
		t.Parallel()
		s := server(t, nil)
		d, err := awx.New(awx.Config{Dial: new(netguard.Guard).DialContext})("default", ansible.Connection{URL: s.URL, Token: s.Token})
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Launch(t.Context(), job())
		ansibletest.Fails(t, err, ansible.FailDenied, false)
	})
	t.Run("while it is followed", func(t *testing.T) { // it goes on meanwhile
		t.Parallel()
		s := server(t, nil)
		var n atomic.Int32
		s.Fault = func(r *http.Request) int {
			if strings.HasSuffix(r.URL.Path, "/job_events/") && n.Add(1) <= 3 {
				return 502
			}
			return 0
		}
		d := open(t, s)
		h, err := d.Launch(t.Context(), job())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Follow(t.Context(), h, func(ansible.Event) {}); err != nil || n.Load() < 4 {
			t.Errorf("Follow = %v after %d faults; want success", err, n.Load())
		}
	})
}

// Whoever died between launching and noting the ID finds the job again.
func TestLaunchedOnce(t *testing.T) {
	t.Parallel()
	s := server(t, nil)
	j := job()
	first, err := open(t, s).Launch(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	other := j
	other.Key = "other"
	if h, err := open(t, s).Launch(t.Context(), other); err != nil || h == first {
		t.Errorf("Launch under another key = %s, %v; want another job than %s", h, err, first)
	}
	if h, err := open(t, s).Launch(t.Context(), j); err != nil || h != first || s.Launched() != 2 {
		t.Errorf("Launch again = %s, %v, %d jobs; want %s of 2", h, err, s.Launched(), first)
	}
}

// What a template would ignore is refused before anything is launched.
func TestTemplates(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		template func(*awxtest.Template)
		job      func(*ansible.Job)
		typ      string
	}{
		"variables": {func(t *awxtest.Template) { t.Deaf = []string{"ask_variables_on_launch"} }, nil, ansible.FailConfig},
		"limit":     {func(t *awxtest.Template) { t.Deaf = []string{"ask_limit_on_launch"} }, func(j *ansible.Job) { j.Limit = "web-01" }, ansible.FailConfig},
		"check":     {func(t *awxtest.Template) { t.Deaf = []string{"ask_job_type_on_launch"} }, func(j *ansible.Job) { j.Check = true }, ansible.FailConfig},
		"survey":    {func(t *awxtest.Template) { t.Needs = []string{"size"} }, nil, ansible.FailConfig},
		"no name":   {nil, func(j *ansible.Job) { j.Template = "nowhere" }, ansible.FailMissing},
		"no ID":     {nil, func(j *ansible.Job) { j.Template = "99" }, ansible.FailMissing},
		"inventory": {nil, func(j *ansible.Job) { j.InventoryName = "nowhere" }, ansible.FailMissing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server(t, tc.template)
			j := job()
			if tc.job != nil {
				tc.job(&j)
			}
			_, err := open(t, s).Launch(t.Context(), j)
			ansibletest.Fails(t, err, tc.typ, false)
			if n := s.Launched(); n != 0 {
				t.Errorf("%d jobs were launched", n)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]ansible.Connection{
		"nothing": {}, "no token": {URL: "https://awx.example"}, "plain": {URL: "http://awx.example", Token: "x"}, "user": {URL: "https://u:p@awx.example", Token: "x"},
		"path": {URL: "https://awx.example/login", Token: "x"}, "query": {URL: "https://awx.example/?a=b", Token: "x"},
	} {
		if _, err := awx.New(config())("default", c); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: New = %v; want invalid", name, err)
		}
	}
	d, err := awx.New(config())("default", ansible.Connection{URL: "https://awx.example/api/controller/v2/", Token: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*ansible.Job){
		"no template": func(j *ansible.Job) { j.Template = "" }, "playbook": func(j *ansible.Job) { j.Playbook = "site.yml" },
		"secrets": func(j *ansible.Job) { j.Secrets = map[string]string{"a": "b"} }, "login": func(j *ansible.Job) { j.Login.User = "x" },
		"inventory": func(j *ansible.Job) { j.Inventory = ansibletest.Local("a") }, "forks": func(j *ansible.Job) { j.Forks = 3 },
	} {
		j := job()
		change(&j)
		if _, err := d.Launch(t.Context(), j); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: Launch = %v; want invalid", name, err)
		}
	}
}
