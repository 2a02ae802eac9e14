package dropin_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/membus"
	"tutti/errs"
	"tutti/internal/dropin"
	"tutti/internal/service"
	"tutti/internal/task"
	"tutti/internal/task/all"
)

// house is the service with a stand-in for the definitions.
type house struct {
	bus *bus.Bus
	dir string
	log bytes.Buffer

	mu      sync.Mutex // guards what follows
	applied []string
	down    bool
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{bus: bus.New(new(membus.Bus), []byte("key"), api.Allow), dir: t.TempDir()}
	s, err := dropin.New(dropin.Config{Drivers: all.Drivers(all.Deps{}), Taken: []string{"noop"}, Dir: h.dir})(
		service.Deps{Name: "dropin", Bus: h.bus, Log: slog.New(slog.NewTextHandler(&h.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := api.ApplyDefinitions.Handle(t.Context(), h.bus, h.apply); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return h
}

func (h *house) apply(ctx context.Context, in api.ApplyIn) (out api.ApplyOut, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		return out, errs.New(errs.Unavailable, "not now")
	}
	checked, err := api.CheckKind(api.KindTaskType).Call(ctx, h.bus, api.CheckIn{NS: in.NS, Files: in.Body.Files})
	if err != nil {
		return out, err
	}
	if len(checked.Problems) > 0 {
		return out, errs.New(errs.Invalid, "not sound").WithProblems(checked.Problems...)
	}
	h.applied = append(h.applied, in.Namespace+"/"+in.Body.Files[0].Name)
	return api.ApplyOut{Changes: []api.Change{{Kind: api.KindTaskType, Name: "x", Action: "create"}}}, nil
}

// took returns what was applied since it was last asked, after a time.
func (h *house) took(d time.Duration) string {
	time.Sleep(d) // sleep: of the bubble
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	out := strings.Join(h.applied, " ")
	h.applied = nil
	return out
}

func (h *house) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Now(), time.Now()); err != nil { // of the bubble
		t.Fatal(err)
	}
}

const good = "kind: TaskType\nname: a\ntitle: A\nworker: {}\n"

func TestFolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		synctest.Wait()
		h.write(t, "a.yaml", good)
		h.write(t, "b.yml", "namespace: lab\n"+good)
		h.write(t, "README.md", "no definition")
		h.write(t, ".a.yaml.swp", "no definition")
		if got := h.took(5 * time.Second); got != "default/a.yaml lab/b.yml" {
			t.Errorf("applied %q; want both files, each in its namespace", got)
		}
		if got := h.took(time.Minute); got != "" {
			t.Errorf("applied %q although nothing changed", got)
		}
		h.write(t, "a.yaml", strings.Replace(good, "worker", "wrker", 1))
		h.write(t, "c.yaml", "kind: Workflow\nname: x\ntasks: {a: {use: noop}}")
		h.write(t, "d.yaml", "kind: [")
		if got := h.took(5 * time.Second); got != "" {
			t.Errorf("applied %q; want the broken files left alone", got)
		}
		for _, want := range []string{"a.yaml", "exactly one of rest, exec, starlark, worker", "for task types", "d.yaml"} {
			if !strings.Contains(h.log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, h.log.String())
			}
		}
		size := h.log.Len()
		if h.took(time.Minute); h.log.Len() != size {
			t.Errorf("the log repeats itself:\n%s", h.log.String()[size:])
		}
		h.mu.Lock()
		h.down = true
		h.mu.Unlock()
		h.write(t, "a.yaml", good+"doc: better\n")
		if got := h.took(10 * time.Second); got != "" {
			t.Errorf("applied %q; want nothing while nobody takes it", got)
		}
		h.mu.Lock()
		h.down = false
		h.mu.Unlock()
		if got := h.took(5 * time.Second); got != "default/a.yaml" {
			t.Errorf("applied %q; want the file once it can be", got)
		}
		// One that is being written is left alone until it rests.
		for i := range 5 {
			h.write(t, "e.yaml", good+strings.Repeat("# more\n", i))
			if got := h.took(2 * time.Second); got != "" {
				t.Errorf("applied %q while it is being written", got)
			}
		}
		if got := h.took(5 * time.Second); got != "default/e.yaml" {
			t.Errorf("applied %q; want the file that rests", got)
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		synctest.Wait()
		check := func(text string) (string, []string) {
			out, err := api.CheckKind(api.KindTaskType).Call(bus.AsService(t.Context(), "definition"), h.bus,
				api.CheckIn{NS: api.NS{Namespace: "default"}, Files: []api.SourceFile{{Name: "f.yaml", Text: text}}})
			if err != nil {
				t.Fatal(err)
			}
			said := ""
			for _, p := range out.Problems {
				said += fmt.Sprintln(p.Location, p.Message, p.Hint)
			}
			return said, out.Needs
		}
		for text, want := range map[string]string{
			good: "",
			strings.Replace(good, ": a", ": noop", 1): "built in",
			"namespace: lab\n" + good:                 `"lab"`,
			good + "wiht: {}\n":                       "with",
			good + "starlark: {code: x}\n":            "exactly one of",
		} {
			if said, _ := check(text); want == "" && said != "" || !strings.Contains(said, want) {
				t.Errorf("check(%s) = %s; want %q", text, said, want)
			}
		}
		_, needs := check("kind: TaskType\nname: a\ntitle: A\nexec: {argv: [ls]}\n---\n" + strings.Replace(good, ": a", ": b", 1))
		if !slices.Equal(needs, []string{"task.exec"}) {
			t.Errorf("a program needs %v; want task.exec", needs)
		}
	})
}

func TestSchemaIsSound(t *testing.T) {
	t.Parallel()
	if s := all.Drivers(all.Deps{}).Schema(); !bytes.Contains(s, []byte(`"starlark"`)) {
		t.Errorf("Schema = %s; want all drivers in it", s)
	}
	if s := (task.Drivers{}).Schema(); !bytes.Contains(s, []byte(`"TaskType"`)) {
		t.Errorf("Schema = %s", s)
	}
}
