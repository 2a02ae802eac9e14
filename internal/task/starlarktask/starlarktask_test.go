package starlarktask_test

import (
	"encoding/json"
	"strings"
	"testing"

	"tutti/internal/task/starlarktask"
	"tutti/internal/task/tasktest"
)

func code(src string, more ...any) map[string]any {
	out := map[string]any{"code": src}
	for i := 0; i < len(more); i += 2 {
		out[more[i].(string)] = more[i+1]
	}
	return out
}

func TestSuite(t *testing.T) {
	t.Parallel()
	gives := func(want string) func(*testing.T, json.RawMessage) {
		return func(t *testing.T, out json.RawMessage) {
			if string(out) != want {
				t.Errorf("out = %s; want %s", out, want)
			}
		}
	}
	tasktest.Run(t, starlarktask.New(), tasktest.Cases{
		Good: []tasktest.Case{
			{With: code("def main(args):\n  return {'n': args['n'] + 1, 'l': [x * 2 for x in args['l']]}", "args", map[string]any{"n": 12345678901234567, "l": []int{1, 2}}),
				Check: gives(`{"l":[2,4],"n":12345678901234568}`)},
			{With: code("def main(args):\n  return args"), Check: gives(`{}`)},
			{With: code("def main(args):\n  return args", "args", nil), Check: gives(`{}`)},
			{With: code("def main(args):\n  return None"), Check: gives(``)},
		},
		Bad: []tasktest.Case{
			{With: code("")}, {With: code("def main(args) return 1")}, {With: code("x = 1")}, {With: code("def main(args):\n  return y")},
			{With: code("load('x', 'y')\ndef main(args):\n  return 1")}, {With: code("def main(args):\n  problem('n', 'is odd')\n  return 1")},
			{With: code("def main(args):\n  return 1", "limits", map[string]any{"wall": "2m"})}, {With: code("def main(args):\n  return 1", "limits", map[string]any{"steps": 0})},
		},
	})
}

func TestFailuresAndPrint(t *testing.T) {
	t.Parallel()
	typ := starlarktask.New()
	for src, want := range map[string][2]string{
		"def main(args):\n  fail('no way')":                                                  {"starlark.fail", "code:2:7: no way"},
		"def main(args):\n  return args['x']":                                                {"starlark.error", `code:2:14: key "x" not in dict`},
		"def main(args):\n  for i in range(100000000):\n    for j in range(1000): pass":      {"starlark.limit", "steps"},
		"def main(args):\n  return ['x' * 100000000 for i in range(100000)]":                 {"starlark.limit", ""},
		"def main(args):\n  return {1: 2}":                                                   {"starlark.error", "main"},
		"def main():\n  return 1":                                                            {"starlark.error", "main"},
		"x = [i for i in range(100000000)]\ndef main(args):\n  return 1":                     {"starlark.limit", ""},
		"def f(n):\n  return f(n - 1)\ndef main(args):\n  return f(1000000)":                 {"starlark.error", ""},
		"def main(args):\n  print('one', 2)\n  print('three')\n  fail('after the printing')": {"starlark.fail", "after"},
	} {
		a := tasktest.NewTry(t, typ, code(src))
		f := a.Fails(t.Context(), t, typ)
		tasktest.Declared(t, typ, f)
		if f.Type != want[0] || !strings.Contains(f.Message, want[1]) || f.Retryable {
			t.Errorf("%s = %+v; want %v", src, f, want)
		}
		if got := a.Logged("out"); strings.Contains(src, "print") && got != "one 2\nthree\n" {
			t.Errorf("printed %q", got)
		}
	}
}
