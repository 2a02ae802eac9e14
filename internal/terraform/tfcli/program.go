package tfcli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"

	"tutti/internal/terraform"
)

// line is a line of the program's -json output.
type line struct {
	Message    string `json:"@message"`
	Type       string `json:"type"`
	Diagnostic *struct {
		Severity string `json:"severity"`
		Summary  string `json:"summary"`
		Detail   string `json:"detail"`
		Address  string `json:"address"`
		Range    *struct {
			Filename string `json:"filename"`
			Start    struct {
				Line int `json:"line"`
			} `json:"start"`
		} `json:"range"`
	} `json:"diagnostic"`
	Changes *struct {
		Add       int    `json:"add"`
		Change    int    `json:"change"`
		Remove    int    `json:"remove"`
		Operation string `json:"operation"`
	} `json:"changes"`
}

// program runs the program, prints what it says in words, and returns its exit status; -1 where it could
// not be started or was killed.
func (r *runner) program(env []string, args ...string) int {
	// The program is told to end when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := r.command(env, args...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = r.out
		err = cmd.Start()
	}
	if err != nil {
		r.ended.Diagnostics = append(r.ended.Diagnostics, terraform.Diagnostic{Severity: "error", Summary: fmt.Sprintf("%s cannot be started: %v", r.Program, err)})
		return -1
	}
	r.listen(out)
	_ = cmd.Wait() // the state says it
	return cmd.ProcessState.ExitCode()
}

// maxDiagnostics bounds what is kept of what the program complains about.
const maxDiagnostics = 50

func (r *runner) listen(out io.Reader) {
	lines := bufio.NewReaderSize(out, 64<<10)
	for {
		text, err := lines.ReadString('\n')
		if text = strings.TrimRight(text, "\n"); text != "" {
			r.hear(text)
		}
		if err != nil {
			return
		}
	}
}

func (r *runner) hear(text string) {
	var l line
	if json.Unmarshal([]byte(text), &l) != nil || l.Message == "" {
		fmt.Fprintln(r.out, text)
		return
	}
	fmt.Fprintln(r.out, l.Message)
	if c := l.Changes; c != nil && l.Type == "change_summary" && (c.Operation == "apply" || c.Operation == "destroy") {
		r.ended.Applied = terraform.Applied{Added: c.Add, Changed: c.Change, Destroyed: c.Remove}
	}
	d := l.Diagnostic
	if d == nil {
		return
	}
	out := terraform.Diagnostic{Severity: d.Severity, Summary: d.Summary, Detail: d.Detail, Address: d.Address}
	if d.Range != nil {
		out.At = fmt.Sprintf("%s:%d", d.Range.Filename, d.Range.Start.Line)
	}
	if d.Detail != "" {
		fmt.Fprintln(r.out, d.Detail)
	}
	if len(r.ended.Diagnostics) < maxDiagnostics {
		r.ended.Diagnostics = append(r.ended.Diagnostics, out)
	}
}
