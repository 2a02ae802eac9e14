package expr

import (
	"errors"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// The bounds. They are far above what a definition needs and far below what hurts.
const (
	maxSource     = 16 << 10 // bytes of an expression
	maxNodes      = 4000     // of its syntax tree, counted as often as they are reached
	maxDepth      = 250      // of its syntax tree and of its brackets
	maxValueDepth = 100      // of a value it makes or looks into
	maxSteps      = 500_000  // of one evaluation: a turn of a loop, or some bytes looked at
	maxMemory     = 16 << 20 // bytes of one evaluation, roughly
	maxPattern    = 1 << 10  // bytes of a regular expression
	maxTime       = 5 * time.Second
	clockEvery    = 4096 // steps between two looks at the clock

	// vmElements bounds the lists and objects that the machine itself builds, in elements.
	vmElements = 500_000
)

// meter counts what one evaluation costs.
type meter struct {
	env    Env
	steps  int
	memory int
	check  int // look at the clock when steps falls to this
	until  time.Time
}

func (m *meter) reset(env Env) {
	*m = meter{env: env, steps: maxSteps, memory: maxMemory, check: maxSteps - clockEvery}
}

// spend pays n steps.
func (m *meter) spend(n int) error {
	m.steps -= n
	if m.steps > m.check {
		return nil
	}
	if m.steps < 0 {
		return evalErrorf("the expression takes more than %d steps", maxSteps).
			hint("loop over less: filter first, or avoid a loop inside a loop")
	}
	m.check = m.steps - clockEvery
	now := time.Now()
	if m.until.IsZero() {
		m.until = now.Add(maxTime)
	}
	if now.After(m.until) {
		return evalErrorf("the expression takes longer than %s", maxTime)
	}
	return nil
}

// grow pays for n bytes of new memory, and a little for the time to fill them.
func (m *meter) grow(n int) error {
	m.memory -= n
	if m.memory < 0 || n < 0 {
		return evalErrorf("the expression needs more than %d MiB of memory", maxMemory>>20)
	}
	return m.spend(1 + n/256)
}

// machine is what one evaluation needs, kept for the next one.
type machine struct {
	vm    vm.VM
	env   map[string]any
	meter meter
}

var machines = sync.Pool{New: func() any {
	return &machine{env: make(map[string]any, 8), vm: vm.VM{MemoryBudget: vmElements}}
}}

// run evaluates p on a machine of the pool.
func run(p *Program, env Env) (any, error) {
	m := machines.Get().(*machine)
	m.meter.reset(env)
	m.env[meterName] = &m.meter
	for _, name := range p.roots {
		m.env[name] = env[name]
	}
	out, err := m.vm.Run(p.code, m.env)
	if err == nil {
		out, _, err = normalise(out, 0)
	}
	steps := maxSteps - m.meter.steps
	clear(m.env)
	m.meter.env = nil
	// A machine that worked much has grown much; the collector may have it.
	if steps < 10_000 {
		clear(m.vm.Stack[:cap(m.vm.Stack)])
		clear(m.vm.Variables)
		machines.Put(m)
	}
	if err != nil {
		e := *evalError(err)
		e.Message += ", in " + quote(p.source)
		return nil, &e
	}
	return out, nil
}

var conversion = regexp.MustCompile(`interface conversion: interface \{\} is (\S+), not (\S+)`)

// evalError translates what the machine says; what our own functions say passes as it is.
func evalError(err error) *EvalError {
	if e, ok := errors.AsType[*EvalError](err); ok {
		return e
	}
	msg := err.Error()
	if fe, ok := errors.AsType[*file.Error](err); ok {
		msg = fe.Message
	}
	if strings.Contains(msg, "memory budget exceeded") {
		return evalErrorf("the expression makes a list or object of more than %d elements", vmElements)
	}
	if m := conversion.FindStringSubmatch(msg); m != nil {
		return evalErrorf("expected %s, got %s", goWord(m[2]), goWord(m[1]))
	}
	return evalErrorf("%s", plain(msg))
}

// goWord names a Go type in the words of JSON.
func goWord(t string) string {
	switch t {
	case "nil":
		return "null"
	case "float64", "int":
		return "a number"
	case "string":
		return "a string"
	case "bool":
		return "true or false"
	case "[]interface":
		return "a list"
	case "map[string]interface":
		return "an object"
	}
	return "another kind of value"
}
