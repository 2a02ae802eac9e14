package core_test

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tutti/api"
	"tutti/internal/workflow/core"
	"tutti/internal/workflow/dag"
)

// TestCrashAnywhere: for any workflow, whatever fails, a run that is dropped and loaded from its journal
// before every single command ends as one that never was; nothing starts before what it needs has
// settled; and nothing runs once the run has ended.
func TestCrashAnywhere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := workflow(rt)
		seed := rapid.Uint32().Draw(rt, "seed")
		cancelAt := rapid.IntRange(-1, 12).Draw(rt, "cancelAt")
		retry := rapid.Bool().Draw(rt, "retry")
		g := compile(t, text)
		steady := drive(rt, g, seed, cancelAt, retry, false)
		crashed := drive(rt, g, seed, cancelAt, retry, true)
		if d := cmp.Diff(steady, crashed); d != "" {
			rt.Fatalf("%s\ncrashing gave another outcome (-steady +crashed):\n%s", text, d)
		}
	})
}

// workflow draws a document.
func workflow(rt *rapid.T) string {
	var b strings.Builder
	fmt.Fprintf(&b, "onFailure: %s\n", rapid.SampledFrom([]string{"drain", "stop", "undo"}).Draw(rt, "onFailure"))
	b.WriteString("tasks:\n")
	scope(rt, &b, "  ", "t", 0)
	if rapid.Bool().Draw(rt, "finally") {
		b.WriteString("finally: {bye: {use: noop, onError: continue}}\n")
	}
	return b.String()
}

func scope(rt *rapid.T, b *strings.Builder, indent, prefix string, depth int) {
	n := rapid.IntRange(1, 4).Draw(rt, "tasks")
	for i := range n {
		fmt.Fprintf(b, "%s%s%d:\n", indent, prefix, i)
		in := indent + "  "
		for j := range i {
			switch rapid.IntRange(0, 5).Draw(rt, "edge") {
			case 0:
				fmt.Fprintf(b, "%sneeds: [%s%d]\n", in, prefix, j)
			case 1:
				fmt.Fprintf(b, "%safter: [%s%d]\n", in, prefix, j)
			default:
				continue
			}
			break
		}
		if rapid.IntRange(0, 4).Draw(rt, "each") == 0 {
			fmt.Fprintf(b, "%seach: {in: \"['a','b','c']\", as: x%s%d, key: x%s%d, parallel: %d, tolerate: %d%s}\n", in, prefix, i, prefix, i, rapid.IntRange(0, 2).Draw(rt, "parallel"), rapid.IntRange(0, 2).Draw(rt, "tolerate"), waves(rt, prefix+fmt.Sprint(i)))
		}
		if rapid.IntRange(0, 3).Draw(rt, "retry") == 0 {
			fmt.Fprintf(b, "%sretry: {max: 1, wait: 1s, if: \"true\"}\n", in)
		}
		if rapid.IntRange(0, 5).Draw(rt, "onError") == 0 {
			fmt.Fprintf(b, "%sonError: continue\n", in)
		}
		switch k := rapid.IntRange(0, 8).Draw(rt, "kind"); {
		case k == 0 && depth < 2:
			fmt.Fprintf(b, "%stasks:\n", in)
			scope(rt, b, in+"  ", prefix+"g", depth+1)
		case k == 1:
			fmt.Fprintf(b, "%suse: wait\n%swith: {for: 5s}\n", in, in)
		case k == 2:
			fmt.Fprintf(b, "%swhen: \"false\"\n%suse: noop\n", in, in)
		default:
			fmt.Fprintf(b, "%suse: noop\n", in)
			if rapid.Bool().Draw(rt, "undo") {
				fmt.Fprintf(b, "%sundo: {use: noop}\n", in)
			}
		}
	}
}

// waves draws what makes an each a rollout, one that waits for no person.
func waves(rt *rapid.T, id string) string {
	if rapid.Bool().Draw(rt, "plain") {
		return ""
	}
	text := ", waves: [" + rapid.SampledFrom([]string{"1", "1, 2", "50%"}).Draw(rt, "waves") + "]"
	if rapid.Bool().Draw(rt, "bake") {
		text += ", bake: 5s"
	}
	if rapid.Bool().Draw(rt, "checks") {
		text += ", checks: {c" + id + ": {use: noop}}"
		text += rapid.SampledFrom([]string{"", ", gate: checks.c" + id + ".status == 'succeeded' or wave.number == 2"}).Draw(rt, "gate")
	}
	return text
}

// drive carries a run to its end, always doing first what comes first in the alphabet, and returns all
// that can be seen of it. With crash, the run is loaded anew before each command.
func drive(rt *rapid.T, g *dag.Graph, seed uint32, cancelAt int, retry, crash bool) string {
	var journal []row
	now := int64(1_000_000)
	run := core.New(g, load)
	ready := map[core.AttemptRef]bool{}
	take := func(ev []core.Event, ef core.Effects, err error) {
		if err != nil {
			rt.Fatal(err)
		}
		raw, _ := json.Marshal(ev)
		if len(ev) > 0 {
			journal = append(journal, row{now, raw})
		}
		for _, d := range ef.Dispatch {
			ready[d.AttemptRef] = true
		}
		for _, c := range ef.CancelAttempts {
			ready[c] = true // its worker will report
		}
		check(rt, g, run)
	}
	take(run.Start(now, core.Meta{ID: "run_0000000000000000", Workflow: "test"}, json.RawMessage(`{}`)))
	for step := 0; ; step++ {
		if step > 2000 {
			rt.Fatalf("it never ends: %s", picture(rt, run))
		}
		if crash {
			run = core.New(g, load)
			for _, r := range journal {
				var ev []core.Event
				if err := json.Unmarshal(r.events, &ev); err != nil {
					rt.Fatal(err)
				}
				if err := run.Replay(r.at, ev); err != nil {
					rt.Fatal(err)
				}
			}
			clear(ready)
			ef := run.Pending()
			for _, d := range ef.Dispatch {
				ready[d.AttemptRef] = true
			}
		}
		if run.State.Ended() {
			if retry && run.State != api.Succeeded {
				retry = false
				take(run.Retry(now, "", nil, "user:x"))
				continue
			}
			if len(ready) > 0 {
				rt.Fatalf("attempts %v are ready after the end", ready)
			}
			return picture(rt, run)
		}
		if step == cancelAt {
			take(run.Cancel(now, "user:x", "enough"))
			continue
		}
		if len(ready) == 0 {
			if now = run.NextTimer(); now == 0 {
				rt.Fatalf("it is stuck: %s", picture(rt, run))
			}
			take(run.Fire(now))
			continue
		}
		refs := make([]core.AttemptRef, 0, len(ready))
		for r := range ready {
			refs = append(refs, r)
		}
		slices.SortFunc(refs, func(a, b core.AttemptRef) int { return strings.Compare(a.Path, b.Path) })
		ref := refs[0]
		delete(ready, ref)
		h := fnv.New32a()
		fmt.Fprint(h, seed, ref.Path, ref.Attempt)
		res := api.Result{Outcome: api.Done, Out: json.RawMessage(`{"ok":true}`)}
		switch h.Sum32() % 8 {
		case 0, 1:
			res = bad("broken")
		case 2:
			res = api.Result{Outcome: api.Interrupted}
		}
		take(run.Report(now, ref, "", "w", res))
	}
}

// check compares what runs with the rules of dependencies, read from the graph anew.
func check(rt *rapid.T, g *dag.Graph, run *core.Run) {
	states := map[string]api.Task{}
	for _, t := range run.Tasks() {
		states[t.Path] = t
	}
	for _, t := range g.Tasks.Tasks {
		me := states[t.ID]
		if me.Ready.IsZero() {
			continue
		}
		for _, d := range t.Deps {
			on := states[d.On.ID]
			if !on.State.Ended() {
				rt.Fatalf("%s was started while %s is %s", t.ID, d.On.ID, on.State)
			}
			if d.Kind == dag.Succeeded && on.State != api.Succeeded {
				rt.Fatalf("%s was started though %s is %s", t.ID, d.On.ID, on.State)
			}
		}
	}
}
