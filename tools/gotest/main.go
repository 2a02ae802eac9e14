// Command gotest runs go test and ends with what a person wants to know: which tests were skipped
// and why, and, as the very last lines, go test's own summary of each package.
//
//	go run ./tools/gotest [go test flags] [packages]
//
// Failures are printed as they happen, and what passes is silent. The exit code is go test's.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"time"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
	}
	os.Exit(code)
}

// run runs go test -json with args, reports on it, and returns its exit code.
func run(args []string) (int, error) {
	// An interrupt reaches go test too, as one of the terminal's group: outlive it, to report.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)

	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 1, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("start go test: %w", err)
	}
	r := newReport(os.Stdout, terminal(os.Stdout))
	if err := r.read(out); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return 1, err
	}
	err = cmd.Wait()
	r.summary(time.Since(began))
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		fmt.Println("FAIL")
		return exit.ExitCode(), nil
	default: // ended by a signal
		return 1, fmt.Errorf("go test: %w", err)
	}
}

// read follows the stream of events to its end.
func (r *report) read(stream io.Reader) error {
	for d := json.NewDecoder(stream); ; {
		var e event
		switch err := d.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read what go test -json prints: %w", err)
		}
		r.add(e)
	}
}

// terminal reports whether a person watches f.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
