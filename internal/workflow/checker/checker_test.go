package checker_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"tutti/api"
	"tutti/internal/workflow/checker"
	"tutti/internal/workflow/core"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/definition"
)

func graph(t *testing.T, doc string) *dag.Graph {
	t.Helper()
	sum := sha256.Sum256([]byte(doc))
	g, err := definition.Load([]byte(doc), hex.EncodeToString(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A fork keeps what had succeeded, and goes on by the rules for every run.
func TestForks(t *testing.T) {
	t.Parallel()
	g := graph(t, `{"kind":"Workflow","name":"w","tasks":{"a":{"use":"noop"},"b":{"needs":["a"],"use":"noop"}}}`)
	copied := []core.Event{
		{Type: core.Created, Meta: &core.Meta{ID: "run_b", ForkOf: &api.ForkOf{Run: "run_a", Seq: 4}}},
		{Type: core.Started, Path: "a"}, {Type: core.Done, Path: "a"}, {Type: core.Started, Path: "b"},
	}
	again := core.Event{Type: core.Started, Path: "a"}
	b := []core.Event{{Type: core.Started, Path: "b"}, {Type: core.Done, Path: "b"}}
	for _, c := range []struct {
		name  string
		after []core.Event
		want  string // "" is nothing wrong
	}{
		{"it goes on", append([]core.Event{{Type: core.Forked}}, append(b, core.Event{Type: core.Ended, State: api.Succeeded})...), ""},
		{"what is kept begins again", []core.Event{{Type: core.Forked}, again}, "it is succeeded"},
		{"the task that is named begins again", []core.Event{{Type: core.Forked, Path: "a"}, again}, ""},
		{"it is done twice", append([]core.Event{{Type: core.Forked}}, b[0], b[1], b[1]), "it is succeeded"},
		{"it ends while a task runs", []core.Event{{Type: core.Forked}, b[0], {Type: core.Ended}}, "still running"},
		{"it goes on after its end", []core.Event{{Type: core.Forked}, {Type: core.Ended}, b[0]}, "while the run is over"},
	} {
		j := &checker.Journal{}
		err := j.Add("run_b", g, checker.Row{Seq: 4, Events: copied})
		if err == nil {
			err = j.Add("run_b", g, checker.Row{Seq: int64(4 + len(c.after)), Events: c.after})
		}
		if err == nil && c.want != "" || err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
	}
}
