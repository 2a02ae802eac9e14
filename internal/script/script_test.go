package script_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tutti/errs"
	"tutti/internal/script"
)

func compile(t testing.TB, src string) *script.Module {
	t.Helper()
	m, err := script.Compile("vm.star", src, script.Options{})
	if err != nil {
		t.Fatalf("Compile = %v", err)
	}
	return m
}

// eval returns what the expression gives, with x for an argument.
func eval(t testing.TB, expr string, x any) (any, error) {
	t.Helper()
	return compile(t, "def f(x=None):\n  return "+expr+"\n").Call(t.Context(), "f", []any{x}, script.Limits{})
}

func TestValues(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		expr string
		in   any
		want any
	}{
		{"x", nil, nil},
		{"x", true, true},
		{"x", 2.0, int64(2)},
		{"x", 2.5, 2.5},
		{"x", 1e300, 1e300},
		{"x", json.Number("12345678901234567890"), json.Number("12345678901234567890")},
		{"x", json.Number("7"), int64(7)},
		{"x", json.Number("7.0"), int64(7)},
		{"x", json.Number("7.5"), 7.5},
		{"x", int32(7), int64(7)},
		{"x + 1", 41, int64(42)},
		{"7 / 2", nil, 3.5},
		{"7 // 2", nil, int64(3)},
		{"x['a'][1]", map[string]any{"a": []any{"b", "c"}}, "c"},
		{"x", struct {
			A []string `json:"a"`
		}{[]string{"b"}}, map[string]any{"a": []any{"b"}}},
		{"[k for k in x]", map[string]any{"b": 1, "a": 2, "c": 3}, []any{"a", "b", "c"}},
		{"(1, 'a')", nil, []any{int64(1), "a"}},
		{"set([1, 1])", nil, []any{int64(1)}},
		{"struct(a=1, b=struct(c=2))", nil, map[string]any{"a": int64(1), "b": map[string]any{"c": int64(2)}}},
		{"{}", nil, map[string]any{}},
		{"[]", nil, []any{}},
		{"json.decode(json.encode(x))", map[string]any{"a": 1}, map[string]any{"a": int64(1)}},
		{"'%s-%d' % (x, 3) + '{}'.format(x) + ','.join([x, 'z'])", "v", "v-3vv,z"},
		{"sorted(x, key=len)[:2]", []any{"ccc", "a", "bb"}, []any{"a", "bb"}},
		{"[a * 2 for a in x if a > 1]", []any{1, 2, 3}, []any{int64(4), int64(6)}},
		{"{1: 2} | {}", nil, nil}, // keys must be strings: see the error below
		{"dict(a=1, **{'b': 2})", nil, map[string]any{"a": int64(1), "b": int64(2)}},
		{"max(*[1, 5, 3])", nil, int64(5)},
		{"(lambda a, b=2: a << b)(1)", nil, int64(4)},
		{"x[1:3]", "abcdef", "bc"},
		{"x", "\xff", "\uFFFD"},
	} {
		got, err := eval(t, tc.expr, tc.in)
		if strings.HasPrefix(tc.expr, "{1:") {
			if err == nil || !strings.Contains(err.Error(), "result: the key 1 is a int") {
				t.Errorf("%s with %v = %v, %v; want an error about the key", tc.expr, tc.in, got, err)
			}
			continue
		}
		if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
			t.Errorf("%s with %v: %v (-want +got):\n%s", tc.expr, tc.in, err, diff)
		}
	}
}

func TestResultsThatAreNoJSON(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		"f":                         "result: a function is no value of JSON",
		"{'a': [1, len]}":           "result.a[1]: a builtin_function_or_method is no value of JSON",
		"float('nan')":              "result: nan is no value of JSON",
		"[b'x']":                    "result[0]: a bytes is no value of JSON",
		"struct(a={'b': range(3)})": "result.a.b: a range is no value of JSON",
	} {
		if got, err := eval(t, expr, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s = %v, %v; want an error with %q", expr, got, err, want)
		}
	}
}

const handler = `
def _size(disk):
    return disk["size"] or fail("disk %s has no size" % disk["name"])

def validate(resource, old=None):
    if resource["cpu"] > 64:
        problem("cpu", "at most 64", hint="ask for less")
    for i, d in enumerate(resource.get("disks", [])):
        if _size(d) % 10 != 0:
            problem("disks[%d].size" % i, "not a multiple of 10")
    return resource | {"total": sum_([d["size"] for d in resource.get("disks", [])])}

def sum_(list):
    n = 0
    for x in list:
        n += x
    print("sum is", n)
    return n
`

func TestHandler(t *testing.T) {
	t.Parallel()
	var printed []string
	type key struct{}
	m, err := script.Compile("vm.star", handler, script.Options{Print: func(ctx context.Context, s string) {
		printed = append(printed, ctx.Value(key{}).(string)+": "+s)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"sum_", "validate"}, m.Functions()); diff != "" {
		t.Errorf("Functions (-want +got):\n%s", diff)
	}
	ctx := context.WithValue(t.Context(), key{}, "run_1")
	disk := func(n any) any { return map[string]any{"name": "data", "size": n} }
	call := func(cpu float64, disks ...any) (any, error) {
		return m.Call(ctx, "validate", map[string]any{"resource": map[string]any{"cpu": cpu, "disks": disks}, "unknown": 1}, script.Limits{})
	}

	got, err := call(2, disk(10.0), disk(90.0))
	want := map[string]any{"cpu": int64(2), "total": int64(100), "disks": []any{map[string]any{"name": "data", "size": int64(10)}, map[string]any{"name": "data", "size": int64(90)}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("validate: %v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"run_1: sum is 100"}, printed); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}

	_, err = call(65, disk(10.0), disk(11.0))
	e, ok := errors.AsType[*errs.Error](err)
	wantProblems := []errs.Problem{{Location: "cpu", Message: "at most 64", Hint: "ask for less"}, {Location: "disks[1].size", Message: "not a multiple of 10"}}
	if !ok || e.Kind != errs.Invalid || cmp.Diff(wantProblems, e.Problems) != "" {
		t.Errorf("validate of a bad one = %v; want two problems", err)
	}

	_, err = call(2, disk(nil))
	f, ok := errors.AsType[*script.Error](err)
	if wantErr := (script.Error{Reason: script.Failed, Msg: "disk data has no size", File: "vm.star", Line: 3, Col: 32, Fn: "_size"}); !ok || *f != wantErr || !errs.Is(err, errs.Invalid) {
		t.Errorf("fail gave %+v; want %+v", f, wantErr)
	}

	_, err = m.Call(ctx, "validate", map[string]any{"resource": map[string]any{}}, script.Limits{})
	if err == nil || err.Error() != `vm.star:6:16: key "cpu" not in dict` {
		t.Errorf("a mistake gave %v", err)
	}
	for _, fn := range []string{"_size", "missing", "print"} {
		if _, err := m.Call(ctx, fn, nil, script.Limits{}); !errs.Is(err, errs.NotFound) {
			t.Errorf("Call(%s) = %v; want NotFound", fn, err)
		}
	}
	if _, err := m.Call(ctx, "validate", nil, script.Limits{}); err == nil || !strings.Contains(err.Error(), "missing 1 argument (resource)") {
		t.Errorf("Call without arguments = %v", err)
	}
}

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"def f(:\n":                             "vm.star:1:8: got ':', want ')'",
		"x = y\n":                               "vm.star:1:5: undefined: y",
		"x = 1\nx = 2\n":                        "vm.star:2:1: cannot reassign global x declared at vm.star:1:1",
		`load("a.star", "b")`:                   "vm.star:1:1: load is not available here",
		"def f(*args):\n  pass":                 "vm.star:1:7: *args is not available here; take a list",
		"f = lambda *a: a":                      "vm.star:1:12: *args is not available here; take a list",
		"def f(a):\n  a[f(a)] *= 2":             "vm.star:2:11: the left side of *= is too complex; assign the object and the index to variables first",
		"def f():\n  while True:\n    pass":     "vm.star:2:3: this statement is not available here",
		"x = 1 + [] # adds\n":                   "vm.star:1:7: unknown binary op: int + list",
		"for x in [1]:\n  pass":                 "vm.star:1:1: for loop not within a function",
		"def f():\n  return 1\n  x = §call(f)":  "vm.star:3:7: unexpected input character '§'",
		"x = time.now()":                        "vm.star:1:5: undefined: time",
		"def f():\n  return [len][0](1,2)\nf()": "vm.star:2:18: len: got 2 arguments, want 1",
	} {
		m, err := script.Compile("vm.star", src, script.Options{})
		if err == nil || !errs.Is(err, errs.Invalid) || !strings.HasPrefix(err.Error(), "vm.star cannot be compiled\n  "+want) && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Compile(%q) = %v, %v; want %s", src, m, err, want)
		}
	}
	_, err := script.Compile("vm.star", "x = a\ny = b\n", script.Options{})
	if e, ok := errors.AsType[*errs.Error](err); !ok || len(e.Problems) != 2 || e.Problems[1].Location != "vm.star:2:5" {
		t.Errorf("Compile with two mistakes = %v; want both", err)
	}
	if _, err := script.Compile("vm.star", strings.Repeat("#", 1<<20), script.Options{}); !errs.Is(err, errs.TooLarge) {
		t.Errorf("Compile(1 MiB) = %v; want TooLarge", err)
	}
}

// Each of these would take all memory or for ever if the interpreter were left alone.
var bombs = map[string]string{
	"steps":             "for i in range(1 << 40):\n    pass",
	"nested loops":      "[[[0 for a in range(9999)] for b in range(9999)] for c in range(9999)]",
	"repeat":            "'x' * (1 << 29)",
	"repeat list":       "[0] * (1 << 29)",
	"doubling":          "s = 'x'\n  for i in range(60):\n    s = s + s",
	"doubling in place": "s = 'x'\n  for i in range(60):\n    s += s",
	"times in place":    "s = 'x'\n  for i in range(60):\n    s *= 9",
	"times in a dict":   "d = {'s': 'x'}\n  for i in range(60):\n    d['s'] *= 9",
	"doubling a list":   "l = [1]\n  for i in range(60):\n    l.extend(l)",
	"list in place":     "l = [1]\n  for i in range(60):\n    l += l",
	"list of range":     "list(range(1 << 40))",
	"sum of range":      "max(range(1 << 40))",
	"all of range":      "all(range(1, 1 << 40))",
	"star of range":     "max(*range(1 << 40))",
	"list of lists":     "[list(range(10000)) for i in range(100000)]",
	"sorted":            "sorted(range(1 << 40))",
	"zip":               "zip(range(1 << 40))",
	"enumerate":         "enumerate(range(1 << 40))",
	"join":              "s = 'x' * 100000\n  ','.join([s for i in range(100000)])",
	"join as key":       "s = ['x' * 100000] * 1000\n  sorted([s] * 1000, key=','.join)",
	"replace":           "s = 'x' * 1000000\n  s.replace('', s)",
	"replace all":       "s = 'x' * 1000000\n  s.replace('x', s)",
	"format":            "s = 'x' * 1000000\n  ('{0}' * 1000).format(s)",
	"percent":           "s = 'x' * 1000000\n  '%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s' % ((s,) * 20)",
	"split":             "s = 'x,' * 1000000\n  [s.split(',') for i in range(100)]",
	"slices":            "s = [0] * 100000\n  [s[:] for i in range(100000)]",
	"shared list":       "l = []\n  for i in range(60):\n    l = [l, l]\n  str(l)",
	"shared as JSON":    "l = []\n  for i in range(60):\n    l = [l, l]\n  json.encode(l)",
	"shared printed":    "l = []\n  for i in range(60):\n    l = [l, l]\n  print(l)",
	"shared failed":     "l = []\n  for i in range(60):\n    l = [l, l]\n  fail(l)",
	"shared formatted":  "l = []\n  for i in range(60):\n    l = [l, l]\n  '%r' % [l]",
	"shared returned":   "l = []\n  for i in range(60):\n    l = [l, l]\n  return l",
	"hash of tuples":    "t = ()\n  for i in range(60):\n    t = (t, t)\n  {t: 1}",
	"hash of sums":      "t = ((),)\n  for i in range(60):\n    t = ((t,) * 2)\n  {t: 1}",
	"hash of zips":      "t = ()\n  for i in range(60):\n    t = zip([t], [t])[0]\n  {t: 1}",
	"hash of structs":   "t = ()\n  for i in range(60):\n    t = struct(a=t, b=t)\n  {t: 1}",
	"hash of calls":     "t = ()\n  for i in range(60):\n    t = tuple([t, t])\n  {t: 1}",
	"deep":              "l = []\n  for i in range(100000):\n    l = [l]\n  str(l)",
	"deep returned":     "l = []\n  for i in range(100000):\n    l = [l]\n  return l",
	"cycle":             "l = []\n  l.append(l)\n  return l",
	"deep JSON":         "json.decode('[' * 1000000)",
	"large JSON":        "json.decode('[' + '0,' * 4000000 + '0]')",
	"square":            "n = 3\n  for i in range(60):\n    n = n * n",
	"square in place":   "n = 3\n  for i in range(60):\n    n *= n",
	"shift":             "n = 1\n  for i in range(100000):\n    n = n << 500",
	"problems":          "for i in range(100000):\n    problem('p', 'm')",
	"long problems":     "s = 'x' * 1000000\n  for i in range(1000):\n    problem('p', s + str(i))",
	"prints":            "s = 'x' * 1000000\n  for i in range(1000):\n    print(s)",
	"union":             "s = set(range(100000))\n  [s | s for i in range(1000)]",
	"keys":              "d = {i: i for i in range(50000)}\n  [d.keys() for i in range(10000)]",
	"captured method":   "s = 'x' * 1000000\n  f = s.replace\n  f('x', s)",
	"method by getattr": "s = 'x' * 1000000\n  getattr(s, 'replace')('x', s)",
	"dict of keywords":  "d = {str(i): 1 for i in range(50000)}\n  [dict(**d) for i in range(1000)]",
}

func TestBombs(t *testing.T) {
	t.Parallel()
	for name, body := range bombs {
		t.Run(name, func(t *testing.T) {
			m := compile(t, "def f():\n  "+body+"\n")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			got, err := m.Call(t.Context(), "f", nil, script.Limits{})
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			e, ok := errors.AsType[*script.Error](err)
			if !ok || e.Reason != script.Limit && name != "deep JSON" {
				t.Errorf("Call = %v, %v; want a limit", got, err)
			}
			if alloc := after.TotalAlloc - before.TotalAlloc; took > time.Minute || alloc > 1<<30 {
				t.Errorf("it took %s and %d MB; want little", took, alloc>>20)
			}
		})
	}
}

func TestNoRecursion(t *testing.T) {
	t.Parallel()
	_, err := compile(t, "def f():\n  return f()\n").Call(t.Context(), "f", nil, script.Limits{})
	if err == nil || !strings.Contains(err.Error(), "called recursively") {
		t.Errorf("recursion = %v; want an error", err)
	}
}

func TestDeepSource(t *testing.T) {
	t.Parallel()
	for _, src := range []string{
		"x = " + strings.Repeat("(", 60_000) + strings.Repeat(")", 60_000), "x = " + strings.Repeat("[", 120_000),
		"x = " + strings.Repeat("-", 120_000) + "1", "x = " + strings.Repeat("not ", 30_000) + "1", "x = " + strings.Repeat("lambda: ", 15_000) + "1",
		"x = 1" + strings.Repeat("+1", 60_000), "x = 1" + strings.Repeat(" if 1 else 1", 9_000), "x = ''" + strings.Repeat(".a", 60_000),
	} {
		_, _ = script.Compile("deep.star", src, script.Options{}) // it must come back
	}
}

func TestCancelAndWall(t *testing.T) {
	t.Parallel()
	m := compile(t, "def f():\n  for i in range(1 << 40):\n    pass\n")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := m.Call(ctx, "f", nil, script.Limits{Steps: 1 << 50}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Call = %v; want the context's error", err)
	}
	if _, err := m.Call(ctx, "f", nil, script.Limits{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Call with an ended context = %v; want its error", err)
	}
	_, err := m.Call(t.Context(), "f", nil, script.Limits{Steps: 1 << 50, Wall: 20 * time.Millisecond})
	if e, ok := errors.AsType[*script.Error](err); !ok || e.Reason != script.Limit || e.Msg != "it ran for longer than 20ms" || e.Line == 0 {
		t.Errorf("Call = %v; want the wall limit", err)
	}
	if _, err := script.Compile("loop.star", "x = [i for i in range(1 << 40)]", script.Options{}); err == nil {
		t.Error("Compile of an endless top level succeeded")
	}
}

func TestCallsShareNothing(t *testing.T) {
	t.Parallel()
	m := compile(t, "seen = []\ndef f(x):\n  l = [x]\n  l.append(len(seen))\n  return l\ndef g():\n  seen.append(1)\n")
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			got, err := m.Call(t.Context(), "f", []any{i}, script.Limits{})
			if diff := cmp.Diff([]any{int64(i), int64(0)}, got); err != nil || diff != "" {
				t.Errorf("f(%d): %v %s", i, err, diff)
			}
		})
	}
	wg.Wait()
	if _, err := m.Call(t.Context(), "g", nil, script.Limits{}); err == nil || !strings.Contains(err.Error(), "frozen") {
		t.Errorf("changing a global = %v; want an error", err)
	}
}

// What is rewritten must mean what it meant.
func TestSemanticsAreKept(t *testing.T) {
	t.Parallel()
	got, err := compile(t, `
def f():
    l = [1]; alias = l
    l += [2]
    d = {"n": 1, "l": [0]}
    d["n"] += 4; d["n"] *= 3; d["n"] -= 1; d["n"] %= 10; d["l"] += [1]
    i = 0
    a = [5, 6]
    a[i] += 1
    x, (y, z) = 1, (2, 3)
    x, y = y, x
    [p, q] = [7, 8]
    t = 1, 2
    s = {"a": 1} | {"b": 2}
    e = {k: v for k, v in s.items() if v - 1}
    n = 6 & 3 | 8 ^ 1
    u = [c for c in "ab".elems()] + ["-".join(["x", "y"])]
    return [alias, d, a, x, y, z, p, q, t, s, e, n, u, "ab"[0], (1,)[0], "%d%%" % 5, 2 * "ab", -3 + +4, [1, 2, 3][::-1], "abc"[-1]]
`).Call(t.Context(), "f", nil, script.Limits{})
	want := []any{[]any{1, 2}, map[string]any{"n": 4, "l": []any{0, 1}}, []any{6, 6}, 2, 1, 3, 7, 8, []any{1, 2}, map[string]any{"a": 1, "b": 2}, map[string]any{"b": 2}, 11,
		[]any{"a", "b", "x-y"}, "a", 1, "5%", "abab", 1, []any{3, 2, 1}, "c"}
	gotJSON, _ := json.Marshal(got)
	wantJSON, _ := json.Marshal(want)
	if err != nil || string(gotJSON) != string(wantJSON) {
		t.Errorf("f() = %s, %v\nwant  %s", gotJSON, err, wantJSON)
	}
}

func TestJSONOfControlCharacters(t *testing.T) {
	t.Parallel()
	m := compile(t, "def f(x):\n  return json.encode(x)\n")
	for _, in := range []string{"a\x7f", `a\x7f`, "\\\x7f", `\\x7f` + "\x7f", "\x00\u0085"} {
		got, err := m.Call(t.Context(), "f", []any{in}, script.Limits{})
		text, _ := got.(string)
		var back string
		if err != nil || json.Unmarshal([]byte(text), &back) != nil || back != in {
			t.Errorf("json.encode(%q) = %s, %v; want what JSON reads as the same", in, text, err)
		}
	}
}

func TestJSONRoundTrip(t *testing.T) {
	t.Parallel()
	m := compile(t, "def f(x):\n  return json.decode(json.encode(x))\n")
	value := rapid.Deferred(func() *rapid.Generator[any] {
		return rapid.OneOf(
			rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Float64Range(-1e6, 1e6).AsAny(), rapid.String().AsAny(),
			rapid.Custom(func(t *rapid.T) any {
				return map[string]any{rapid.String().Draw(t, "k"): rapid.Int64().Draw(t, "v"), "l": []any{rapid.String().Draw(t, "s")}}
			}),
		)
	})
	rapid.Check(t, func(rt *rapid.T) {
		in := value.Draw(rt, "in")
		got, err := m.Call(t.Context(), "f", []any{in}, script.Limits{})
		a, _ := json.Marshal(in)
		b, _ := json.Marshal(got)
		var x, y any
		_ = json.Unmarshal(a, &x)
		_ = json.Unmarshal(b, &y)
		if diff := cmp.Diff(x, y); err != nil || diff != "" {
			rt.Fatalf("%s came back as %s, %v", a, b, err)
		}
	})
}

func FuzzCompileAndCall(f *testing.F) {
	f.Add(handler)
	for _, b := range bombs {
		f.Add("def f():\n  " + b + "\n")
	}
	f.Add("def f(x):\n  return x | {'a': [1, 2][0:1] + [-3 % 2]}\n")
	f.Fuzz(func(t *testing.T, src string) {
		limits := script.Limits{Steps: 20_000, Memory: 1 << 20, Wall: time.Second}
		m, err := script.Compile("fuzz.star", src, script.Options{Limits: limits})
		if err != nil {
			if errs.Is(err, errs.Internal) {
				t.Errorf("Compile = %v", err)
			}
			return
		}
		for _, fn := range m.Functions() {
			if _, err := m.Call(t.Context(), fn, map[string]any{"x": map[string]any{}, "resource": map[string]any{"cpu": 3}}, limits); errs.Is(err, errs.Internal) {
				t.Errorf("Call = %v", err)
			}
		}
	})
}

func BenchmarkCall(b *testing.B) {
	m := compile(b, handler)
	args := map[string]any{"resource": map[string]any{"cpu": 2.0, "disks": []any{map[string]any{"name": "a", "size": 10.0}}}}
	for b.Loop() {
		if _, err := m.Call(b.Context(), "validate", args, script.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoop(b *testing.B) {
	m := compile(b, "def f():\n  n = 0\n  for i in range(10000):\n    n += i * 2\n  return n\n")
	for b.Loop() {
		if _, err := m.Call(b.Context(), "f", nil, script.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
