package starlarktask_test

import (
	"encoding/json"
	"strings"
	"testing"

	"tutti/internal/task/starlarktask"
	"tutti/internal/task/tasktest"
)

const sum = `
name: test.sum
with: {type: object, additionalProperties: false, required: [l], properties: {l: {type: array, items: {type: integer}, description: Numbers}, by: {type: integer, default: 2, description: Factor}}}
out: {type: object, required: [sum], properties: {sum: {type: integer, description: The sum}}}
starlark:
  code: |
    def main(args):
      print("adding", len(args["l"]))
      s = 0
      for x in args["l"]: s += x
      if s > 100: problem("l", "is too much")
      if s == 66: return {"sum": "sixty-six"}
      if s == 42: fail("not this one")
      return {"sum": s * args["by"]}
`

func TestDriver(t *testing.T) {
	t.Parallel()
	typ := tasktest.Declare(t, starlarktask.NewDriver(), sum)
	tasktest.Run(t, typ, tasktest.Cases{
		Good: []tasktest.Case{{With: map[string]any{"l": []int{1, 2}}, Check: func(t *testing.T, out json.RawMessage) {
			if string(out) != `{"sum":6}` {
				t.Errorf("out = %s; want the sum with the default", out)
			}
		}}},
		Bad: []tasktest.Case{{With: map[string]any{}}, {With: map[string]any{"l": []string{"${{ 1 }}"}}}, {With: map[string]any{"l": []int{101}}}},
	})
	for n, want := range map[int]string{42: "starlark.fail", 66: "output"} {
		try := tasktest.NewTry(t, typ, map[string]any{"l": []int{n}})
		if f := try.Fails(t.Context(), t, typ); f.Type != want {
			t.Errorf("%d fails with %+v; want %s", n, f, want)
		}
		if got := try.Logged("out"); got != "adding 1\n" {
			t.Errorf("it printed %q", got)
		}
	}
	loop := tasktest.Declare(t, starlarktask.NewDriver(), "name: test.loop\nstarlark: {code: \"def main(args):\\n  for i in range(100000000):\\n    pass\", limits: {steps: 1000}}")
	if f := tasktest.NewTry(t, loop, nil).Fails(t.Context(), t, loop); f.Type != "starlark.limit" {
		t.Errorf("a runaway loop fails with %+v; want starlark.limit", f)
	}
}

func TestDriverRefuses(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		`"def main(args) return 1"`:                   "type.yaml:5:",
		`"x = 1"`:                                     "no function main",
		`"load('x', 'y')"`:                            "load",
		`"x = [i for i in range(100000000)]"`:         "",
		`"def main(a): return 1", limits: {wall: 2m}`: "at most 1m",
		`"def main(a): return 1", limits: {steps: 0}`: "at least 1",
	} {
		tasktest.Refuses(t, starlarktask.NewDriver(), "name: a\nstarlark: {code: "+code+"}", strings.TrimSpace(want))
	}
}
