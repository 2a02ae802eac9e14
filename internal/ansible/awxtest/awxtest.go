// Package awxtest is a stand-in for AWX, for tests: the part of its API that package awx uses, as its
// documentation has it, over the real ansible-playbook. Jobs wait, run, and end while their events come in
// page by page; what a template does not take at launch is ignored and said to be.
//
// What it cannot show: projects and their updates, surveys, workflow templates, credentials, execution
// environments, instance groups, and how the product itself behaves where its documentation is silent.
package awxtest

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tutti/internal/ansible"
	"tutti/internal/ansible/ansibletest"
)

// Server is a stand-in.
type Server struct {
	*httptest.Server
	// Token is what it takes.
	Token string
	// Fault, where set, answers a call in place of the server where it returns a status; 0 lets it pass.
	// It may be set before calls are made.
	Fault func(r *http.Request) int

	t         *testing.T
	program   string
	mu        sync.Mutex
	templates []*Template
	jobs      []*job
	working   sync.WaitGroup
}

// Template is a job template with its project and its inventory.
type Template struct {
	Name      string
	Files     map[string][]byte
	Playbook  string
	Inventory ansible.Inventory
	// Deaf are the fields that it does not take at launch, such as ask_variables_on_launch.
	Deaf []string
	// Needs are variables without which it cannot start.
	Needs []string
}

// Add adds a template; one of its name is replaced, for jobs to come.
func (s *Server) Add(t Template) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, had := range s.templates {
		if had.Name == t.Name {
			s.templates[i] = &t
			return
		}
	}
	s.templates = append(s.templates, &t)
}

// New returns a server that ends with the test.
func New(t *testing.T) *Server {
	t.Helper()
	s := &Server{Token: "a-token-of-awx", t: t, program: ansibletest.Program(t)}
	s.Server = httptest.NewServer(s.routes())
	t.Cleanup(func() {
		s.Close()
		s.mu.Lock()
		for _, j := range s.jobs {
			j.stop()
		}
		s.mu.Unlock()
		s.working.Wait()
	})
	return s
}

// Launched returns how many jobs there are.
func (s *Server) Launched() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.jobs)
}

// fail is an answer that is an error.
type fail struct {
	status int
	body   any
}

func (f fail) Error() string { return fmt.Sprint(f.status, f.body) }

func detail(status int, words string) fail { return fail{status, map[string]any{"detail": words}} }

var notFound = detail(404, "Not found.")

func (s *Server) routes() http.Handler {
	m := http.NewServeMux()
	handle := func(pattern string, f func(r *http.Request, in map[string]any) (int, any, error)) {
		method, path, _ := strings.Cut(pattern, " ")
		// The slash at the end is a part of each address.
		m.HandleFunc(method+" /api/v2/"+path+"/{$}", func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, f) })
	}
	handle("GET job_templates", s.listTemplates)
	handle("GET inventories", func(*http.Request, map[string]any) (int, any, error) { return 200, page(nil, nil), nil })
	handle("GET job_templates/{id}/launch", s.launchable)
	handle("POST job_templates/{id}/launch", s.launch)
	handle("GET job_templates/{id}/jobs", s.listJobs)
	handle("GET jobs/{id}", func(r *http.Request, _ map[string]any) (int, any, error) {
		j, err := s.job(r)
		if err != nil {
			return 0, nil, err
		}
		return 200, j.resource(), nil
	})
	handle("GET jobs/{id}/job_events", s.events)
	handle("GET jobs/{id}/stdout", s.stdout)
	handle("POST jobs/{id}/cancel", s.cancel)
	return m
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, f func(*http.Request, map[string]any) (int, any, error)) {
	status, out, err := 0, any(nil), error(nil)
	if s.Fault != nil {
		if n := s.Fault(r); n != 0 {
			err = detail(n, "a fault of the test")
		}
	}
	if err == nil && r.Header.Get("Authorization") != "Bearer "+s.Token {
		err = detail(401, "Authentication credentials were not provided. To establish a login session, visit /api/login/.")
	}
	in := map[string]any{}
	if b, rerr := io.ReadAll(r.Body); err == nil && rerr == nil && len(b) > 0 && json.Unmarshal(b, &in) != nil {
		err = detail(400, "JSON parse error")
	}
	if err == nil {
		s.mu.Lock()
		status, out, err = f(r, in)
		s.mu.Unlock()
	}
	var x fail
	if errors.As(err, &x) {
		status, out = x.status, x.body
	} else if err != nil {
		s.t.Errorf("awxtest: %s %s: %v", r.Method, r.URL, err)
		status = 500
	}
	if text, ok := out.(string); ok {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out)
}

// page is a list as the API gives it.
func page(results []any, next *string) map[string]any {
	if results == nil {
		results = []any{}
	}
	return map[string]any{"count": len(results), "next": next, "previous": nil, "results": results}
}

func (s *Server) listTemplates(r *http.Request, _ map[string]any) (int, any, error) {
	var out []any
	for i, t := range s.templates {
		if name := r.URL.Query().Get("name"); name == "" || name == t.Name {
			out = append(out, map[string]any{"id": i + 1, "type": "job_template", "name": t.Name})
		}
	}
	return 200, page(out, nil), nil
}

func (s *Server) template(r *http.Request) (int, *Template, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 1 || id > len(s.templates) {
		return 0, nil, notFound
	}
	return id, s.templates[id-1], nil
}

// takes are the fields of a launch, with the setting that lets them in.
var takes = map[string]string{
	"extra_vars": "ask_variables_on_launch", "limit": "ask_limit_on_launch", "job_tags": "ask_tags_on_launch", "skip_tags": "ask_skip_tags_on_launch",
	"scm_branch": "ask_scm_branch_on_launch", "job_type": "ask_job_type_on_launch", "diff_mode": "ask_diff_mode_on_launch", "inventory": "ask_inventory_on_launch", "timeout": "ask_timeout_on_launch",
}

func (s *Server) launchable(r *http.Request, _ map[string]any) (int, any, error) {
	_, t, err := s.template(r)
	if err != nil {
		return 0, nil, err
	}
	out := map[string]any{"can_start_without_user_input": len(t.Needs) == 0, "passwords_needed_to_start": []string{}, "variables_needed_to_start": t.Needs, "survey_enabled": false}
	for _, ask := range takes {
		out[ask] = !slices.Contains(t.Deaf, ask)
	}
	return 200, out, nil
}

func (s *Server) launch(r *http.Request, in map[string]any) (int, any, error) {
	id, t, err := s.template(r)
	if err != nil {
		return 0, nil, err
	}
	ignored := map[string]any{}
	for field, v := range in {
		ask, known := takes[field]
		if !known || slices.Contains(t.Deaf, ask) {
			ignored[field] = v
			delete(in, field)
		}
	}
	vars, _ := in["extra_vars"].(map[string]any)
	for _, n := range t.Needs {
		if _, ok := vars[n]; !ok {
			return 0, nil, fail{400, map[string]any{"variables_needed_to_start": []string{"'" + n + "' value missing"}}}
		}
	}
	j := &job{id: len(s.jobs) + 1, template: id, of: *t, in: in, vars: vars, created: time.Now(), status: "pending", stopped: make(chan struct{})}
	s.jobs = append(s.jobs, j)
	dir := s.t.TempDir()
	s.working.Go(func() { s.run(j, dir) })
	out := j.resource()
	out["job"], out["ignored_fields"] = j.id, ignored
	return 201, out, nil
}

func (s *Server) listJobs(r *http.Request, _ map[string]any) (int, any, error) {
	id, _, err := s.template(r)
	if err != nil {
		return 0, nil, err
	}
	q := r.URL.Query()
	since, err := time.Parse(time.RFC3339, q.Get("created__gte"))
	if err != nil || q.Get("order_by") != "-id" {
		return 0, nil, detail(400, "the stand-in knows only created__gte and order_by=-id")
	}
	var all []any
	for _, j := range slices.Backward(s.jobs) {
		if j.template == id && !j.created.Before(since) {
			all = append(all, j.resource())
		}
	}
	size, n := number(q.Get("page_size"), 25), number(q.Get("page"), 1)
	from := min(len(all), (n-1)*size)
	to := min(len(all), from+size)
	var next *string
	if to < len(all) {
		at := fmt.Sprintf("%s?page=%d", r.URL.Path, n+1)
		next = &at
	}
	return 200, page(all[from:to], next), nil
}

// number reads a number of a query; the API gives at most 200 at a time.
func number(s string, otherwise int) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return otherwise
	}
	return min(n, 200)
}

func (s *Server) job(r *http.Request) (*job, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 1 || id > len(s.jobs) {
		return nil, notFound
	}
	return s.jobs[id-1], nil
}

func (s *Server) events(r *http.Request, _ map[string]any) (int, any, error) {
	j, err := s.job(r)
	if err != nil {
		return 0, nil, err
	}
	q := r.URL.Query()
	after, err := strconv.Atoi(q.Get("counter__gt"))
	if err != nil || q.Get("order_by") != "counter" {
		return 0, nil, detail(400, "the stand-in knows only counter__gt and order_by=counter")
	}
	var out []any
	for i, e := range j.events {
		if i+1 > after && len(out) < number(q.Get("page_size"), 25) {
			out = append(out, e)
		}
	}
	return 200, page(out, nil), nil
}

func (s *Server) stdout(r *http.Request, _ map[string]any) (int, any, error) {
	j, err := s.job(r)
	if err != nil {
		return 0, nil, err
	}
	if r.URL.Query().Get("format") != "txt" {
		return 0, nil, detail(400, "the stand-in knows only format=txt")
	}
	return 200, j.output.String(), nil
}

func (s *Server) cancel(r *http.Request, _ map[string]any) (int, any, error) {
	j, err := s.job(r)
	if err != nil {
		return 0, nil, err
	}
	if j.ended() {
		return 0, nil, detail(405, `Method "POST" not allowed.`)
	}
	j.cancelled = true
	j.stop()
	return 202, map[string]any{}, nil
}
