package bench

import (
	"fmt"
	"strconv"
	"strings"

	"tutti/api"
	"tutti/errs"
)

// The kinds of workers and the modes.
const (
	// InProcess are the workers inside the server.
	InProcess = "inprocess"
	// HTTP is a worker that reaches the server over HTTP.
	HTTP = "http"
	// Saturation has many runs under way.
	Saturation = "saturation"
	// Alone has one run at a time.
	Alone = "alone"
)

// workload is a shape of workflow.
type workload struct {
	name string
	// tasks are how many it has, steps how many of them follow one another.
	tasks, steps int
	// needs returns what task i waits for.
	needs func(i int) []int
}

// DefaultWorkloads are what is measured unless others are asked for.
var DefaultWorkloads = []string{"chain10", "fan100", "wide1000"}

// maxTasks is how many tasks a definition may have.
const maxTasks = 10_000

// workloadOf returns the workload of a name: chainN is N tasks in a row, wideN is N at once, fanN is one,
// then N at once, then one.
func workloadOf(name string) (w workload, err error) {
	shape := strings.TrimRight(name, "0123456789")
	n, err := strconv.Atoi(strings.TrimPrefix(name, shape))
	unknown := errs.New(errs.Invalid, "there is no workload %q", name).WithHint("they are chainN, fanN and wideN, of up to %d tasks: %s", maxTasks, strings.Join(DefaultWorkloads, ", "))
	if err != nil || n < 1 {
		return w, unknown
	}
	w.name = name
	switch shape {
	case "chain":
		w.tasks, w.steps = n, n
		w.needs = func(i int) []int {
			if i == 0 {
				return nil
			}
			return []int{i - 1}
		}
	case "wide":
		w.tasks, w.steps = n, 1
		w.needs = func(int) []int { return nil }
	case "fan":
		w.tasks, w.steps = n+2, 3
		all := make([]int, n)
		for j := range all {
			all[j] = j + 1
		}
		w.needs = func(i int) []int {
			switch i {
			case 0:
				return nil
			case n + 1:
				return all
			}
			return []int{0}
		}
	default:
		return w, unknown
	}
	if w.tasks > maxTasks {
		return w, unknown
	}
	return w, nil
}

// definition returns the workflow, whose tasks run in a pool and carry a payload.
func (w workload) definition(name, pool string, payload int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "kind: Workflow\nname: %s\n", name)
	if pool != api.DefaultPool {
		fmt.Fprintf(&b, "defaults: {pool: %s}\n", pool)
	}
	b.WriteString("tasks:\n")
	for i := range w.tasks {
		fmt.Fprintf(&b, "  t%d: {use: noop", i)
		if payload > 0 {
			fmt.Fprintf(&b, ", with: {data: %s}", strings.Repeat("x", payload))
		}
		if needs := w.needs(i); len(needs) > 0 {
			names := make([]string, len(needs))
			for j, n := range needs {
				names[j] = fmt.Sprintf("t%d", n)
			}
			fmt.Fprintf(&b, ", needs: [%s]", strings.Join(names, ", "))
		}
		b.WriteString("}\n")
	}
	return b.String()
}
