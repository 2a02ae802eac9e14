package simulate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"tutti/api"
	"tutti/errs"
)

// maxDifferences bounds what one test tells.
const maxDifferences = 20

// Check plays a test. It returns what was otherwise than expected; no differences is a pass. The report
// is nil where the run was not accepted.
func (l *Library) Check(t *Test) ([]Difference, *Report) {
	rep, err := l.Run(t.Scenario)
	if err != nil {
		said := errs.Public(err).Error()
		if errs.Is(err, errs.Internal) {
			said = err.Error()
		}
		if t.Expect.Refused != "" && strings.Contains(said, t.Expect.Refused) && !errs.Is(err, errs.Internal) {
			return nil, nil
		}
		want := "a run"
		if t.Expect.Refused != "" {
			want = fmt.Sprintf("a refusal with %q", t.Expect.Refused)
		}
		return []Difference{{"run", want, "refused: " + said}}, nil
	}
	c := checker{rep: rep}
	c.check(t.Expect)
	for _, p := range rep.Problems {
		c.add("mocks", "what can be", p)
	}
	if rep.Crash != nil && rep.Crash.Difference != "" {
		c.add("crash", "no difference", rep.Crash.Difference)
	}
	return c.found[:min(len(c.found), maxDifferences)], rep
}

type checker struct {
	rep   *Report
	found []Difference
}

func (c *checker) add(path, want, got string) {
	c.found = append(c.found, Difference{path, want, got})
}

// equal compares two values of which the first was written in a test.
func (c *checker) equal(path string, want, got json.RawMessage) {
	var a, b any
	if json.Unmarshal(want, &a) != nil || len(got) > 0 && json.Unmarshal(got, &b) != nil {
		c.add(path, string(want), string(got))
		return
	}
	if len(got) == 0 {
		c.add(path, show(a), nothing)
		return
	}
	c.found = append(c.found, compare(path, a, b, maxDifferences)...)
}

func (c *checker) text(path, want, got string) {
	if want != "" && want != got {
		c.add(path, want, orNothing(got))
	}
}

func (c *checker) part(path, want, got string) {
	if want != "" && !strings.Contains(got, want) {
		c.add(path, fmt.Sprintf("a text with %q", want), orNothing(got))
	}
}

func (c *checker) list(path string, want *[]string, got []string) {
	if want != nil && !slices.Equal(*want, got) {
		c.add(path, show(orEmpty(*want)), show(orEmpty(got)))
	}
}

func orNothing(s string) string {
	if s == "" {
		return nothing
	}
	return s
}

func orEmpty(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

func (c *checker) check(e Expect) {
	rep := c.rep
	if e.Refused != "" {
		c.add("refused", fmt.Sprintf("a refusal with %q", e.Refused), "a run, which "+string(rep.State))
	}
	if e.State != "" && e.State != rep.State {
		c.add("state", string(e.State), c.standing())
	}
	if e.Flags != nil {
		want, got := words(*e.Flags), words(rep.Flags)
		slices.Sort(want)
		slices.Sort(got)
		c.list("flags", &want, got)
	}
	if len(e.Outputs) > 0 {
		c.equal("outputs", e.Outputs, rep.Outputs)
	}
	for _, path := range sortedKeys(e.Tasks) {
		c.task(path, e.Tasks[path])
	}
	c.order(e.Order)
	c.list("undone", e.Undone, rep.Undone)
	c.list("undoable", e.Undoable, rep.Undoable)
	if e.Failure != nil {
		var f api.RunFail
		if rep.Failure != nil {
			f = *rep.Failure
		}
		c.text("failure.task", e.Failure.Task, f.Task)
		c.failure("failure", *e.Failure, f.Failure)
	}
	if e.Reason != nil {
		var r api.Reason
		if rep.Reason != nil {
			r = *rep.Reason
		}
		c.text("reason.kind", e.Reason.Kind, r.Kind)
		c.text("reason.task", e.Reason.Task, r.Task)
		c.text("reason.key", e.Reason.Key, r.Key)
		c.part("reason.text", e.Reason.Text, r.Text)
	}
	c.emitted(e.Emitted)
	if e.Duration != nil && *e.Duration != rep.Duration {
		c.add("duration", e.Duration.String(), rep.Duration.String())
	}
}

// standing says how the run stands, and why.
func (c *checker) standing() string {
	s := string(c.rep.State)
	if f := c.rep.Failure; f != nil {
		s += fmt.Sprintf(": %s: %s (%s)", f.Task, f.Message, f.Type)
	} else if r := c.rep.Reason; r != nil {
		s += ": " + r.Text
	}
	return s
}

func words[T ~string](l []T) []string {
	out := make([]string, len(l))
	for i, w := range l {
		out[i] = string(w)
	}
	return out
}

func (c *checker) failure(path string, want ExpectFailure, got api.Failure) {
	c.text(path+".type", want.Type, got.Type)
	c.part(path+".message", want.Message, got.Message)
}

func (c *checker) task(path string, want ExpectTask) {
	at := "tasks." + path
	var tasks []Task
	for _, t := range c.rep.Tasks {
		if t.Path == path || strings.Contains(path, "*") && matches(path, t.Path) {
			tasks = append(tasks, t)
		}
	}
	if len(tasks) == 0 {
		c.add(at, "a task", "no task of this path")
	}
	for _, got := range tasks {
		at := "tasks." + got.Path
		if want.State != "" && want.State != got.State {
			s := string(got.State)
			if got.Failure != nil {
				s += fmt.Sprintf(": %s (%s)", got.Failure.Message, got.Failure.Type)
			} else if got.Why != "" {
				s += ": " + got.Why
			}
			c.add(at+".state", string(want.State), s)
		}
		if want.Attempts != nil && *want.Attempts != got.Attempt {
			c.add(at+".attempts", fmt.Sprint(*want.Attempts), fmt.Sprint(got.Attempt))
		}
		if len(want.Input) > 0 {
			c.equal(at+".input", want.Input, got.Input)
		}
		if len(want.Out) > 0 {
			c.equal(at+".out", want.Out, got.Output)
		}
		if want.Failure != nil {
			var f api.Failure
			if got.Failure != nil {
				f = *got.Failure
			}
			c.failure(at+".failure", *want.Failure, f)
		}
		c.text(at+".undo", string(want.Undo), string(got.Undo))
	}
}

// order checks that tasks began one after the other.
func (c *checker) order(want []string) {
	began := map[string]int{}
	for i, l := range c.rep.Timeline {
		if _, ok := began[l.Task]; !ok && l.Type != "note" && l.Type != "task.skipped" {
			began[l.Task] = i
		}
	}
	for i, path := range want {
		at, ok := began[path]
		switch {
		case !ok:
			c.add(fmt.Sprintf("order[%d]", i), path+" begins", "it never did")
		case i > 0:
			if before, ok := began[want[i-1]]; ok && before > at {
				c.add(fmt.Sprintf("order[%d]", i), fmt.Sprintf("%s begins after %s", path, want[i-1]), "it began before")
			}
		}
	}
}

func (c *checker) emitted(want *[]Emission) {
	if want == nil {
		return
	}
	got := c.rep.Emitted
	if len(*want) != len(got) {
		var types []string
		for _, e := range got {
			types = append(types, e.Type)
		}
		c.add("emitted", fmt.Sprintf("%d events", len(*want)), show(orEmpty(types)))
		return
	}
	for i, e := range *want {
		at := fmt.Sprintf("emitted[%d]", i)
		c.text(at+".type", e.Type, got[i].Type)
		if len(e.Data) > 0 {
			c.equal(at+".data", e.Data, got[i].Data)
		}
	}
}
