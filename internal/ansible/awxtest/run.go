package awxtest

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"tutti/internal/ansible"
)

//go:embed events.py
var plugin []byte

// job is a job. Its fields are read and written under the server's lock.
type job struct {
	id, template int
	of           Template
	in           map[string]any
	vars         map[string]any
	created      time.Time
	status       string
	processed    bool
	explanation  string
	cancelled    bool
	stopped      chan struct{}
	artifacts    any
	events       []json.RawMessage
	output       bytes.Buffer
}

func (j *job) ended() bool { return j.status != "pending" && j.status != "running" }

// stop ends it; it is called under the server's lock.
func (j *job) stop() {
	select {
	case <-j.stopped:
	default:
		close(j.stopped)
	}
}

// resource is the job as the API gives it.
func (j *job) resource() map[string]any {
	vars, err := json.Marshal(j.vars)
	if err != nil || j.vars == nil {
		vars = []byte("{}")
	}
	text := func(name string) string { s, _ := j.in[name].(string); return s }
	return map[string]any{
		"id": j.id, "type": "job", "job_template": j.template, "name": j.of.Name, "status": j.status, "failed": j.status != "successful" && j.ended(), "extra_vars": string(vars),
		"created": j.created.UTC().Format(time.RFC3339Nano), "event_processing_finished": j.processed, "job_explanation": j.explanation, "result_traceback": "",
		"artifacts": j.artifacts, "inventory": 1, "limit": text("limit"), "job_tags": text("job_tags"), "skip_tags": text("skip_tags"), "scm_branch": text("scm_branch"),
		"scm_revision": "5a6f2c1e", "job_type": text("job_type"), "execution_environment": 1,
	}
}

// run runs the job's playbook.
func (s *Server) run(j *job, dir string) {
	status, explanation := "error", ""
	defer func() {
		s.mu.Lock()
		j.status, j.explanation = status, explanation
		s.mu.Unlock()
		s.take(j, filepath.Join(dir, "events")) // the last events come after the end
		s.mu.Lock()
		j.processed = true
		s.mu.Unlock()
	}()
	args, err := j.lay(dir)
	if err != nil {
		explanation = err.Error()
		return
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if seconds, ok := j.in["timeout"].(float64); ok && seconds > 0 {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
		defer done()
	}
	go func() {
		select {
		case <-j.stopped:
			cancel(errors.New("stopped"))
		case <-ctx.Done():
		}
	}()
	cmd := exec.CommandContext(ctx, s.program, args...)
	cmd.Dir = filepath.Join(dir, "project")
	cmd.Env = append(os.Environ(), "ANSIBLE_CONFIG="+filepath.Join(dir, "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK=awx_events", "ANSIBLE_CALLBACK_PLUGINS="+filepath.Join(dir, "plugins"),
		"AWX_EVENTS="+filepath.Join(dir, "events"), "ANSIBLE_FORCE_COLOR=1", "ANSIBLE_PIPELINING=True", "ANSIBLE_INVENTORY_ENABLED=yaml", "HOME="+dir, "ANSIBLE_HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out := &locked{s, j}
	cmd.Stdout, cmd.Stderr = out, out
	s.mu.Lock()
	j.status = "running"
	s.mu.Unlock()
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() { // events come in while it runs
		defer close(watched)
		for {
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Millisecond):
				s.take(j, filepath.Join(dir, "events"))
			}
		}
	}()
	err = cmd.Run()
	close(ended)
	<-watched
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case j.cancelled:
		status = "canceled"
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		status, explanation = "failed", "Job terminated due to timeout"
	case err != nil:
		status = "failed"
	default:
		status = "successful"
	}
}

// lay lays out the files of a job and returns the arguments.
func (j *job) lay(dir string) ([]string, error) {
	vars := ansible.Vars{}
	asked := ansible.Job{Vars: vars}
	for name, v := range j.vars {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		if name == ansible.VarKey || name == ansible.VarRun || name == ansible.VarTask || name == ansible.VarTrace {
			continue // the product passes them on as they are; the playbooks of tests do not look
		}
		vars[name] = b
	}
	text, err := asked.ExtraVars() // marked as unsafe, as the product marks what comes at launch
	if err != nil {
		return nil, err
	}
	inventory, err := j.of.Inventory.YAML()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"vars.yml": text, "inventory.yml": inventory, "plugins/awx_events.py": plugin, "ansible.cfg": []byte("[defaults]\n")}
	for name, b := range j.of.Files {
		files["project/"+name] = b
	}
	for name, b := range files {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(at, b, 0o600); err != nil {
			return nil, err
		}
	}
	args := []string{"-i", filepath.Join(dir, "inventory.yml"), "-e", "@" + filepath.Join(dir, "vars.yml")}
	for field, flag := range map[string]string{"limit": "--limit=", "job_tags": "--tags=", "skip_tags": "--skip-tags="} {
		if v, ok := j.in[field].(string); ok && v != "" {
			args = append(args, flag+v)
		}
	}
	if j.in["job_type"] == "check" {
		args = append(args, "--check")
	}
	if j.in["diff_mode"] == true {
		args = append(args, "--diff")
	}
	return append(args, j.of.Playbook), nil
}

// locked takes what the program prints.
type locked struct {
	s *Server
	j *job
}

// Write takes b.
func (l *locked) Write(b []byte) (int, error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.j.output.Write(b)
}

// take reads the whole lines of the file of events.
func (s *Server) take(j *job, file string) {
	f, err := os.Open(file)
	if err != nil {
		return // there is none yet
	}
	defer f.Close()
	var events []json.RawMessage
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.t.Errorf("awxtest: %v", err)
			}
			break
		}
		events = append(events, json.RawMessage(bytes.TrimSpace(line)))
		var e struct {
			Data struct {
				Artifacts any `json:"artifact_data"`
			} `json:"event_data"`
		}
		if json.Unmarshal(line, &e) == nil && e.Data.Artifacts != nil {
			s.mu.Lock()
			j.artifacts = e.Data.Artifacts
			s.mu.Unlock()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j.events = events
}
