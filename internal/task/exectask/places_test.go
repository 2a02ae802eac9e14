package exectask_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tutti/internal/task/exectask"
	"tutti/internal/task/tasktest"
)

// With one place the second program starts when the first has ended, and its log says that it waits.
func TestPlaces(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	typ := exectask.New([]string{exe, "shim"}, filepath.Join(dir, "work"), exectask.NewPlaces(1))
	goes, order := filepath.Join(dir, "goes"), filepath.Join(dir, "order")
	first := tasktest.NewTry(t, typ, sh("echo runs; until test -e "+goes+"; do sleep 0.05; done; echo first >>"+order))
	second := tasktest.NewTry(t, typ, sh("echo second >>"+order))
	ended := make(chan struct{}, 2)
	try := func(a *tasktest.Try) {
		defer func() { ended <- struct{}{} }()
		var got output
		a.Out(t.Context(), t, typ, &got)
	}
	go try(first)
	until(t, "the first runs", func() bool { return strings.Contains(first.Logged("out"), "runs") })
	go try(second)
	until(t, "the second waits", func() bool {
		return strings.Contains(second.Logged("log")+second.Logged("out")+second.Logged("err"), "waiting: 1 programs run already")
	})
	if err := os.WriteFile(goes, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	<-ended
	<-ended
	if b, err := os.ReadFile(order); err != nil || string(b) != "first\nsecond\n" {
		t.Errorf("the order is %q, %v; want first, second", b, err)
	}
}
