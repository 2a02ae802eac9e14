package tfetest

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// run is one run. All but its logs is guarded by the server.
type run struct {
	s                      *Server
	id, message            string
	status                 string
	space                  *workspace
	config                 *config
	destroy, refresh, only bool
	dir                    string
	applies                int
	add, change, del       int
	plan                   []byte // as JSON
	logs                   map[string]*logFile
	cmd                    *exec.Cmd
	stopped                bool
}

// logFile is a log as the API gives it: framed, and growing.
type logFile struct {
	mu   sync.Mutex
	b    bytes.Buffer
	done bool
}

func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logFile) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.done {
		l.done = true
		l.b.WriteByte(3)
	}
}

var waiting = map[string]bool{"planned": true}

var over = map[string]bool{"applied": true, "errored": true, "discarded": true, "canceled": true, "planned_and_finished": true}

func (r *run) resource() map[string]any {
	running := !over[r.status] && !waiting[r.status]
	return one(resource("runs", r.id, map[string]any{
		"status": r.status, "message": r.message, "is-destroy": r.destroy, "has-changes": r.add+r.change+r.del > 0,
		"actions": map[string]any{"is-cancelable": running, "is-confirmable": waiting[r.status], "is-discardable": waiting[r.status] || r.status == "pending"},
	}, map[string]any{"plan": related("plans", "plan-"+r.id), "apply": related("applies", "apply-"+r.id), "workspace": related("workspaces", r.space.id)}))
}

func (s *Server) run(r *http.Request, f func(*run) (any, error)) (any, error) {
	x := s.runs[r.PathValue("id")]
	if x == nil {
		return nil, notFound
	}
	return f(x)
}

func (s *Server) listRuns(r *http.Request, _ attributes) (any, error) {
	w, err := s.space(r)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for i := len(w.runs) - 1; i >= 0; i-- {
		list = append(list, w.runs[i].resource()["data"])
	}
	return many(list), nil
}

func (s *Server) newRun(_ *http.Request, in attributes) (any, error) {
	w, c := s.spaces[in.text("workspace")], s.configs[in.text("configuration-version")]
	if w == nil || c == nil {
		return nil, notFound
	}
	if c.status != "uploaded" {
		return nil, fail{422, "the configuration version is not uploaded"}
	}
	r := &run{s: s, id: s.id("run"), message: in.text("message"), status: "pending", space: w, config: c, destroy: in.flag("is-destroy"), refresh: in.flag("refresh-only"), only: in.flag("plan-only"),
		dir: s.t.TempDir(), logs: map[string]*logFile{"plan": {}, "apply": {}}}
	for _, l := range r.logs {
		l.b.WriteByte(2)
	}
	s.runs[r.id], w.runs = r, append(w.runs, r)
	s.next(w)
	return r.resource(), nil
}

// next begins the oldest run that waits, where none is under way.
func (s *Server) next(w *workspace) {
	for _, r := range w.runs {
		if r.only && r.status == "pending" { // it waits for nobody, and nobody for it
			r.status = "planning"
			s.working.Go(r.planning)
		}
	}
	for _, r := range w.runs {
		if over[r.status] || r.only {
			continue
		}
		if r.status == "pending" {
			r.status = "planning"
			s.working.Go(r.planning)
		}
		return
	}
}

func (s *Server) act(r *http.Request, _ attributes) (any, error) {
	return s.run(r, func(x *run) (any, error) {
		verb := r.PathValue("verb")
		switch {
		case verb == "apply" && waiting[x.status]:
			x.status = "applying"
			s.working.Go(x.applying)
		case verb == "discard" && (waiting[x.status] || x.status == "pending"):
			x.status = "discarded"
			s.next(x.space)
		case verb == "cancel" && (x.status == "planning" || x.status == "applying"):
			x.interrupt()
		default:
			return nil, fail{409, "transition not allowed"}
		}
		return nil, nil
	})
}

func (r *run) interrupt() {
	r.stopped = true
	if r.cmd != nil && r.cmd.Process != nil {
		_ = r.cmd.Process.Signal(syscall.SIGINT)
	}
}

// program runs the real one.
func (r *run) program(log *logFile, args ...string) ([]byte, error) {
	r.s.mu.Lock()
	env, err := r.space.variables(r.dir)
	if err != nil {
		r.s.mu.Unlock()
		return nil, err
	}
	var out bytes.Buffer
	cmd := exec.Command(r.s.program, args...)
	cmd.Dir = r.dir
	config := filepath.Join(r.dir, "empty.tfrc")
	_ = os.WriteFile(config, nil, 0o600)
	cmd.Env = append(append(os.Environ(), env...), "TF_CLI_CONFIG_FILE="+config, "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1")
	if cmd.Stdout, cmd.Stderr = &out, &out; log != nil {
		cmd.Stdout, cmd.Stderr = log, log
	}
	if r.cmd = cmd; r.stopped {
		r.s.mu.Unlock()
		return nil, fmt.Errorf("stopped")
	}
	err = cmd.Start()
	r.s.mu.Unlock()
	if err == nil {
		err = cmd.Wait()
	}
	return out.Bytes(), err
}

func (r *run) planning() {
	log := r.logs["plan"]
	defer log.end()
	err := os.CopyFS(r.dir, os.DirFS(r.config.dir))
	backend := fmt.Sprintf("terraform {\n  backend \"local\" {\n    path = %q\n  }\n}\n", filepath.Join(r.space.dir, "terraform.tfstate"))
	if err == nil {
		err = os.WriteFile(filepath.Join(r.dir, "zz_override.tf"), []byte(backend), 0o600)
	}
	if err == nil {
		_, err = r.program(log, "init", "-input=false", "-no-color")
	}
	if err == nil {
		args := []string{"plan", "-input=false", "-json", "-out=plan.bin"}
		if r.destroy {
			args = append(args, "-destroy")
		}
		if r.refresh {
			args = append(args, "-refresh-only")
		}
		_, err = r.program(log, args...)
	}
	var plan []byte
	if err == nil {
		plan, err = r.program(nil, "show", "-json", "plan.bin")
	}
	r.settle(func() {
		switch {
		case r.stopped:
			r.status = "canceled"
		case err != nil:
			r.status = "errored"
		default:
			r.plan = plan
			r.count(log)
			if r.status = "planned"; r.only || !bytes.Contains(plan, []byte(`"create"`)) && !bytes.Contains(plan, []byte(`"update"`)) && !bytes.Contains(plan, []byte(`"delete"`)) {
				r.status = "planned_and_finished"
			}
		}
	})
}

func (r *run) applying() {
	log := r.logs["apply"]
	defer log.end()
	r.s.mu.Lock()
	r.applies++
	r.s.mu.Unlock()
	_, err := r.program(log, "apply", "-input=false", "-json", "plan.bin")
	r.settle(func() {
		r.count(log)
		switch {
		case r.stopped:
			r.status = "canceled"
		case err != nil:
			r.status = "errored"
		default:
			r.status = "applied"
		}
	})
}

func (r *run) settle(f func()) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	f()
	r.s.next(r.space)
}

// count reads the summary of a log.
func (r *run) count(l *logFile) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.b.String()
	i := strings.LastIndex(text, `"changes":{`)
	if i < 0 {
		return
	}
	number := func(name string) int {
		_, rest, ok := strings.Cut(text[i:], `"`+name+`":`)
		if !ok {
			return 0
		}
		n, _ := strconv.Atoi(rest[:strings.IndexAny(rest, ",}")])
		return n
	}
	r.add, r.change, r.del = number("add"), number("change"), number("remove")
}

// half answers for the plan or the apply of a run.
func (s *Server) half(kind string) func(*http.Request, attributes) (any, error) {
	return func(r *http.Request, _ attributes) (any, error) {
		x := s.runs[strings.TrimPrefix(r.PathValue("id"), kind+"-")]
		if x == nil {
			return nil, notFound
		}
		status := "running"
		x.logs[kind].mu.Lock()
		if x.logs[kind].done {
			status = "finished"
		}
		x.logs[kind].mu.Unlock()
		kinds := map[string]string{"plan": "plans", "apply": "applies"}
		return one(resource(kinds[kind], kind+"-"+x.id, map[string]any{
			"status": status, "log-read-url": s.URL + "/archive/log/" + kind + "-" + x.id,
			"resource-additions": x.add, "resource-changes": x.change, "resource-destructions": x.del,
		}, nil)), nil
	}
}

func (s *Server) jsonOutput(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	x := s.runs[strings.TrimPrefix(r.PathValue("id"), "plan-")]
	s.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "Bearer "+s.Token:
		w.WriteHeader(401)
	case x == nil || x.plan == nil:
		w.WriteHeader(404)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(x.plan)
	}
}

func (s *Server) log(w http.ResponseWriter, r *http.Request) {
	kind, id, _ := strings.Cut(r.PathValue("id"), "-")
	s.mu.Lock()
	x := s.runs[id]
	s.mu.Unlock()
	if x == nil || x.logs[kind] == nil {
		w.WriteHeader(404)
		return
	}
	l := x.logs[kind]
	l.mu.Lock()
	defer l.mu.Unlock()
	offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	b := l.b.Bytes()
	if offset < len(b) {
		_, _ = w.Write(b[offset:min(len(b), offset+limit)])
	}
}
