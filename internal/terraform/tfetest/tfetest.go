// Package tfetest is a stand-in for Terraform Enterprise, for tests: the part of its API that package tfe
// uses, as its documentation has it, over the real program. Runs are one at a time in a workspace, plans
// wait to be confirmed, logs are framed and grow, outputs and states are the program's own.
//
// What it cannot show: policies written in Sentinel or OPA, cost estimates, agents, teams, and how the
// product itself behaves where its documentation is silent.
package tfetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"tutti/internal/terraform/terraformtest"
)

// Server is a stand-in.
type Server struct {
	*httptest.Server
	// Token is what it takes, Organization the one it has.
	Token, Organization string
	// Fault, where set, answers a call in place of the server where it returns a status; 0 lets it pass.
	// It may be set before calls are made.
	Fault func(r *http.Request) int

	t       *testing.T
	program string
	mu      sync.Mutex
	n       int
	spaces  map[string]*workspace // by ID
	configs map[string]*config
	runs    map[string]*run
	working sync.WaitGroup
}

type workspace struct {
	id, name, dir string
	vars          map[string]map[string]any
	runs          []*run
}

type config struct {
	id, dir, status string
}

// New returns a server that ends with the test.
func New(t *testing.T) *Server {
	t.Helper()
	s := &Server{Token: "a-token-of-tfe", Organization: "acme", t: t, program: terraformtest.Program(t),
		spaces: map[string]*workspace{}, configs: map[string]*config{}, runs: map[string]*run{}}
	s.Server = httptest.NewServer(s.routes())
	t.Cleanup(func() {
		s.Close()
		s.mu.Lock()
		for _, r := range s.runs {
			r.interrupt()
		}
		s.mu.Unlock()
		s.working.Wait()
	})
	return s
}

func (s *Server) id(kind string) string {
	s.n++
	return fmt.Sprintf("%s-%016d", kind, s.n)
}

// Runs returns the messages of the runs of a workspace that came to be applied, oldest first.
func (s *Server) Applied(workspace string) (messages []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.spaces {
		for _, r := range w.runs {
			if w.name == workspace && r.applies > 0 {
				messages = append(messages, r.message)
			}
		}
	}
	return messages
}

// fail is an answer that is an error.
type fail struct {
	status int
	words  string
}

func (f fail) Error() string { return f.words }

var notFound = fail{404, "not found"}

// routes are the API. Those below /archive are another service in the real one: they want no token.
func (s *Server) routes() http.Handler {
	m := http.NewServeMux()
	handle := func(pattern string, f func(r *http.Request, in attributes) (any, error)) {
		method, path, _ := strings.Cut(pattern, " ")
		m.HandleFunc(method+" /api/v2/"+path, func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, f) })
	}
	m.HandleFunc("GET /api/v2/ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("TFP-API-Version", "2.6")
		w.Header().Set("X-RateLimit-Limit", "30")
		w.WriteHeader(http.StatusNoContent)
	})
	handle("GET organizations/{org}/workspaces/{name}", func(r *http.Request, _ attributes) (any, error) { return s.named(r) })
	handle("POST organizations/{org}/workspaces", s.create)
	handle("POST organizations/{org}/workspaces/{name}/actions/safe-delete", s.remove)
	handle("GET workspaces/{id}/vars", s.listVars)
	handle("POST workspaces/{id}/vars", s.setVar)
	handle("PATCH workspaces/{id}/vars/{var}", s.setVar)
	handle("DELETE workspaces/{id}/vars/{var}", s.deleteVar)
	handle("POST workspaces/{id}/configuration-versions", s.newConfig)
	handle("GET configuration-versions/{id}", s.readConfig)
	handle("GET workspaces/{id}/runs", s.listRuns)
	handle("POST runs", s.newRun)
	handle("GET runs/{id}", func(r *http.Request, _ attributes) (any, error) {
		return s.run(r, func(x *run) (any, error) { return x.resource(), nil })
	})
	handle("POST runs/{id}/actions/{verb}", s.act)
	handle("GET plans/{id}", s.half("plan"))
	handle("GET applies/{id}", s.half("apply"))
	handle("GET workspaces/{id}/current-state-version-outputs", s.outputs)
	handle("GET workspaces/{id}/current-state-version", s.state)
	m.HandleFunc("GET /api/v2/plans/{id}/json-output", s.jsonOutput)
	m.HandleFunc("PUT /archive/{id}", s.upload)
	m.HandleFunc("GET /archive/log/{id}", s.log)
	return m
}

// attributes are those of the resource in a body, with the IDs of its relations.
type attributes map[string]any

func (a attributes) text(name string) string { v, _ := a[name].(string); return v }
func (a attributes) flag(name string) bool   { v, _ := a[name].(bool); return v }

func parse(r *http.Request) (attributes, error) {
	var in struct {
		Data struct {
			Attributes    attributes
			Relationships map[string]struct{ Data struct{ ID string } }
		}
	}
	b, err := io.ReadAll(r.Body)
	if err != nil || len(b) == 0 {
		return attributes{}, err
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fail{400, err.Error()}
	}
	out := in.Data.Attributes
	if out == nil {
		out = attributes{}
	}
	for name, rel := range in.Data.Relationships {
		out[name] = rel.Data.ID
	}
	return out, nil
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, f func(*http.Request, attributes) (any, error)) {
	w.Header().Set("Content-Type", "application/vnd.api+json")
	out, err := any(nil), error(nil)
	if s.Fault != nil {
		if status := s.Fault(r); status != 0 {
			err = fail{status, "a fault of the test"}
		}
	}
	if err == nil && r.Header.Get("Authorization") != "Bearer "+s.Token {
		err = fail{401, "unauthorized"}
	}
	in, perr := parse(r)
	if err == nil {
		err = perr
	}
	if err == nil {
		s.mu.Lock()
		out, err = f(r, in)
		s.mu.Unlock()
	}
	var x fail
	switch {
	case errors.As(err, &x):
		w.WriteHeader(x.status)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]any{"status": fmt.Sprint(x.status), "title": x.words}}})
	case err != nil:
		s.t.Errorf("tfetest: %s %s: %v", r.Method, r.URL, err)
		w.WriteHeader(500)
	case out == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		_ = json.NewEncoder(w).Encode(out)
	}
}

func resource(kind, id string, attributes map[string]any, relations map[string]any) map[string]any {
	return map[string]any{"type": kind, "id": id, "attributes": attributes, "relationships": relations}
}

func one(r map[string]any) map[string]any { return map[string]any{"data": r} }

func many(list []any) map[string]any {
	return map[string]any{"data": list, "meta": map[string]any{"pagination": map[string]any{"current-page": 1, "next-page": nil, "total-pages": 1, "total-count": len(list)}}}
}

func related(kind, id string) map[string]any {
	return map[string]any{"data": map[string]any{"type": kind, "id": id}}
}

func (w *workspace) resource() map[string]any {
	return one(resource("workspaces", w.id, map[string]any{"name": w.name, "auto-apply": false}, nil))
}

func (s *Server) find(r *http.Request) *workspace {
	for _, w := range s.spaces {
		if r.PathValue("org") == s.Organization && w.name == r.PathValue("name") {
			return w
		}
	}
	return nil
}

func (s *Server) named(r *http.Request) (any, error) {
	if w := s.find(r); w != nil {
		return w.resource(), nil
	}
	return nil, notFound
}

func (s *Server) create(r *http.Request, in attributes) (any, error) {
	for _, w := range s.spaces {
		if w.name == in.text("name") {
			return nil, fail{422, "Name has already been taken"}
		}
	}
	if r.PathValue("org") != s.Organization {
		return nil, notFound
	}
	w := &workspace{id: s.id("ws"), name: in.text("name"), dir: s.t.TempDir(), vars: map[string]map[string]any{}}
	s.spaces[w.id] = w
	return w.resource(), nil
}

func (s *Server) remove(r *http.Request, _ attributes) (any, error) {
	w := s.find(r)
	if w == nil {
		return nil, notFound
	}
	if st, err := w.state(); err == nil && len(st.Resources) > 0 {
		return nil, fail{409, "workspace is not safe to delete: it manages resources"}
	}
	delete(s.spaces, w.id)
	return nil, nil
}

func (s *Server) space(r *http.Request) (*workspace, error) {
	if w := s.spaces[r.PathValue("id")]; w != nil {
		return w, nil
	}
	return nil, notFound
}

func (s *Server) listVars(r *http.Request, _ attributes) (any, error) {
	w, err := s.space(r)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for id, v := range w.vars {
		shown := map[string]any{}
		for k, e := range v {
			if k != "value" || v["sensitive"] != true {
				shown[k] = e
			}
		}
		list = append(list, resource("vars", id, shown, nil))
	}
	return many(list), nil
}

func (s *Server) setVar(r *http.Request, in attributes) (any, error) {
	w, err := s.space(r)
	if err != nil {
		return nil, err
	}
	id := r.PathValue("var")
	if id == "" {
		id = s.id("var")
		w.vars[id] = map[string]any{}
	}
	v := w.vars[id]
	if v == nil {
		return nil, notFound
	}
	for k, e := range in {
		v[k] = e
	}
	return one(resource("vars", id, v, nil)), nil
}

func (s *Server) deleteVar(r *http.Request, _ attributes) (any, error) {
	w, err := s.space(r)
	if err != nil {
		return nil, err
	}
	delete(w.vars, r.PathValue("var"))
	return nil, nil
}

func (c *config) resource(url string) map[string]any {
	return one(resource("configuration-versions", c.id, map[string]any{"status": c.status, "upload-url": url + "/archive/" + c.id}, nil))
}

func (s *Server) newConfig(r *http.Request, _ attributes) (any, error) {
	if _, err := s.space(r); err != nil {
		return nil, err
	}
	c := &config{id: s.id("cv"), dir: s.t.TempDir(), status: "pending"}
	s.configs[c.id] = c
	return c.resource(s.URL), nil
}

func (s *Server) readConfig(r *http.Request, _ attributes) (any, error) {
	c := s.configs[r.PathValue("id")]
	if c == nil {
		return nil, notFound
	}
	return c.resource(s.URL), nil
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	if s.Fault != nil {
		if status := s.Fault(r); status != 0 {
			w.WriteHeader(status)
			return
		}
	}
	if r.Header.Get("Authorization") != "" {
		s.t.Error("tfetest: the token was sent to the archive")
	}
	b, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.configs[r.PathValue("id")]
	if c == nil {
		w.WriteHeader(404)
		return
	}
	c.status = "uploaded"
	if err == nil {
		err = unpack(b, c.dir)
	}
	if err != nil {
		c.status = "errored"
	}
}

func unpack(b []byte, dir string) error {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return err
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		at := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(at, 0o700)
		} else {
			var text []byte
			if text, err = io.ReadAll(t); err == nil {
				err = os.WriteFile(at, text, 0o600)
			}
		}
		if err != nil {
			return err
		}
	}
}

// state is what the program wrote.
type stateFile struct {
	Serial  int64
	Outputs map[string]struct {
		Value     any
		Sensitive bool
	}
	Resources []any
}

func (w *workspace) state() (st stateFile, err error) {
	b, err := os.ReadFile(filepath.Join(w.dir, "terraform.tfstate"))
	if err == nil {
		err = json.Unmarshal(b, &st)
	}
	return st, err
}

func (s *Server) outputs(r *http.Request, _ attributes) (any, error) {
	w, err := s.space(r)
	if err != nil {
		return nil, err
	}
	st, err := w.state()
	if err != nil {
		return nil, notFound
	}
	list := []any{}
	for name, o := range st.Outputs {
		value := o.Value
		if o.Sensitive {
			value = nil
		}
		list = append(list, resource("state-version-outputs", s.id("wsout"), map[string]any{"name": name, "sensitive": o.Sensitive, "value": value}, nil))
	}
	return many(list), nil
}

func (s *Server) state(r *http.Request, _ attributes) (any, error) {
	w, err := s.space(r)
	if err != nil {
		return nil, err
	}
	st, err := w.state()
	if err != nil {
		return nil, notFound
	}
	return one(resource("state-versions", s.id("sv"), map[string]any{"serial": st.Serial}, nil)), nil
}

// variables writes the files of the variables and returns the environment.
func (w *workspace) variables(dir string) (env []string, err error) {
	f := hclwrite.NewEmptyFile()
	var raw strings.Builder
	for _, v := range w.vars {
		key, _ := v["key"].(string)
		value, _ := v["value"].(string)
		switch {
		case v["category"] == "env":
			env = append(env, key+"="+value)
		case v["hcl"] == true:
			fmt.Fprintf(&raw, "%s = %s\n", key, value)
		default:
			f.Body().SetAttributeValue(key, cty.StringVal(value))
		}
	}
	return env, os.WriteFile(filepath.Join(dir, "zz_workspace.auto.tfvars"), append(f.Bytes(), raw.String()...), 0o600)
}
