package expr_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tutti/internal/workflow/expr"
)

// env is what most tests evaluate against.
func env() expr.Env {
	var v map[string]any
	if err := json.Unmarshal([]byte(`{
		"inputs": {"cpu": 4, "name": "web", "big": 1000000, "none": null, "on": true,
			"disks": [{"name": "data", "gb": 10}, {"name": "log", "gb": 5}, {"name": "tmp", "gb": 5}],
			"tags": {"z": "1", "a": "2", "m": "3"}, "words": ["b", "a", "c", "a"]},
		"tasks": {"a": {"status": "succeeded", "out": {"x": "y", "list": [1, 2, 3]}}, "s": {"status": "skipped"}},
		"run": {"trace": "t1", "status": "succeeded", "failed": null}
	}`), &v); err != nil {
		panic(err)
	}
	return v
}

func mustCompile(t testing.TB, src string) *expr.Program {
	t.Helper()
	p, err := expr.Compile(src)
	if err != nil {
		t.Fatalf("Compile(%q) = %v", src, err)
	}
	return p
}

func TestEval(t *testing.T) {
	t.Parallel()
	for _, tc := range [][2]string{
		{`inputs.cpu`, `4`},
		{` inputs.cpu `, `4`},
		{`inputs.nothing`, `null`},
		{`inputs.cpu * 2`, `8`},
		{`inputs.cpu % 3`, `1`},
		{`inputs.cpu / 8`, `0.5`},
		{`-inputs.cpu + 1`, `-3`},
		{`2 ** 3 ^ 1`, `8`},
		{`9223372036854775807 * 2`, `18446744073709552000`},
		{`inputs.cpu > 8 || sum(inputs.disks, .gb) > 15`, `true`},
		{`"a" + "b"`, `"ab"`},
		{`string(inputs.big) + "!"`, `"1000000!"`},
		{`"b" > "a" and 1 <= 1 and not (2 < 1)`, `true`},
		{`1 < inputs.cpu < 5`, `true`},
		{`tasks.none?.out.x.y ?? "default"`, `"default"`},
		{`tasks.s?.out.x`, `null`},
		{`tasks.s?.status == "skipped"`, `true`},
		{`tasks["a"].out["list"][-1]`, `3`},
		{`tasks.a.out.list[inputs.cpu - 4]`, `1`},
		{`tasks.a.out.list[1:]`, `[2,3]`},
		{`"héllo"[1:3]`, `"él"`},
		{`inputs.disks | filter(.gb > 5) | map(.name)`, `["data"]`},
		{`map(inputs.disks, ({"n": .name, "i": #index}))`, `[{"i":0,"n":"data"},{"i":1,"n":"log"},{"i":2,"n":"tmp"}]`},
		{`groupBy(inputs.disks, .gb)`, `{"10":[{"gb":10,"name":"data"}],"5":[{"gb":5,"name":"log"},{"gb":5,"name":"tmp"}]}`},
		{`map(sortBy(inputs.disks, .gb), .name)`, `["log","tmp","data"]`},
		{`map(sortBy(inputs.disks, .name, "desc"), .name)`, `["tmp","log","data"]`},
		{`find(inputs.disks, .gb == 5).name`, `"log"`},
		{`findIndex(inputs.disks, .gb == 5)`, `1`},
		{`count(inputs.disks, .gb == 5)`, `2`},
		{`all(inputs.disks, .gb > 1) && any(inputs.disks, .gb > 9) && none(inputs.disks, .gb > 99) && one(inputs.disks, .gb == 10)`, `true`},
		{`reduce(1..4, #acc * #, 1)`, `24`},
		{`sum(inputs.disks, sum(inputs.disks, .gb))`, `60`},
		{`keys(inputs.tags)`, `["a","m","z"]`},
		{`values(inputs.tags)`, `["2","3","1"]`},
		{`toPairs(inputs.tags)`, `[["a","2"],["m","3"],["z","1"]]`},
		{`fromPairs([["k", 1]])`, `{"k":1}`},
		{`toJSON(inputs.tags)`, `"{\"a\":\"2\",\"m\":\"3\",\"z\":\"1\"}"`},
		{`fromJSON("[1, {\"a\": 2}]")`, `[1,{"a":2}]`},
		{`[lookup({"a": 1}, "a"), lookup({"a": 1}, "b", 2), lookup([5], 0), lookup([5], 3, "none"), lookup({}, "x") ?? 7]`, `[1,2,5,"none",7]`},
		{`semver("v1.12.3-rc.1+build")`, `{"major":1,"minor":12,"patch":3,"pre":"rc.1"}`},
		{`[semverCompare("1.10.0", "1.9.9"), semverCompare("1.0.0-rc.1", "1.0.0"), semverCompare("1.0.0-rc.2", "1.0.0-rc.10"), semverCompare("v2", "2.0.0+x")]`, `[1,-1,-1,0]`},
		{`[semverIn("1.4.2", ">=1.2 <2"), semverIn("2.0.0", ">=1.2, <2"), semverIn("1.0.0", "!=1.0.0"), semverIn("1.0", "1.0.0")]`, `[true,false,false,true]`},
		{`[semverIn("2.0.0-rc.1", "<2"), semverIn("2.0.0-rc.1", "<2.0.0-0"), semverIn("1.9.9", "<2.0.0-0")]`, `[true,false,true]`},
		{`cidr("10.1.2.3/16")`, `{"bits":16,"family":4,"last":"10.1.255.255","network":"10.1.0.0","size":65536}`},
		{`cidr("fd00::/64").last`, `"fd00::ffff:ffff:ffff:ffff"`},
		{`[cidrHas("10.0.0.0/8", "10.9.9.9"), cidrHas("10.0.0.0/8", "10.0.0.0/7"), cidrHas("10.0.0.0/8", "10.0.0.0/9"), cidrHas("10.0.0.0/8", "fd00::1")]`, `[true,false,true,false]`},
		{`[cidrHost("10.1.0.0/24", 5), cidrHost("10.1.0.0/24", -2), cidrHost("fd00::ffff:ffff:ffff:ffff/32", 1), cidrHost("fd00::/63", -1), cidrHost("10.0.0.7", 0)]`, `["10.1.0.5","10.1.0.254","fd00::1","fd00::1:ffff:ffff:ffff:ffff","10.0.0.7"]`},
		{`sort(inputs.words)`, `["a","a","b","c"]`},
		{`uniq(concat(inputs.words, ["d"], [[1], [1]]))`, `["b","a","c","d",[1]]`},
		{`flatten([1, [2, [3]]])`, `[1,2,3]`},
		{`reverse(inputs.words)`, `["a","c","a","b"]`},
		{`take(inputs.words, 2) == ["b", "a"]`, `true`},
		{`first([]) == nil and last(inputs.words) == "a"`, `true`},
		{`get(inputs.words, 99) ?? get(inputs, "name")`, `"web"`},
		{`max(1, [5, 3]) - min(inputs.cpu, 2)`, `3`},
		{`mean([1, 2, 3]) + median([1, 9, 2])`, `4`},
		{`len("é") + len([1]) + len({"a": 1})`, `3`},
		{`[type(nil), type(1), type("s"), type(true), type([]), type({})]`, `["null","number","string","boolean","array","object"]`},
		{`int("42") + float("0.5")`, `42.5`},
		{`[abs(-1), ceil(1.2), floor(1.8), round(1.5)]`, `[1,2,1,2]`},
		{`[trim(" a "), trim("xax", "x"), trimPrefix("ab", "a"), trimSuffix("ab", "b"), upper("a"), lower("A")]`, `["a","a","b","a","A","a"]`},
		{`join(split("a,b,c", ","), "-")`, `"a-b-c"`},
		{`split("a,b,c", ",", 2)`, `["a","b,c"]`},
		{`replace("aXbX", "X", "-") + repeat("z", 2)`, `"a-b-zz"`},
		{`indexOf("éab", "b") + lastIndexOf("aba", "a")`, `4`},
		{`hasPrefix("abc", "a") and "abc" endsWith "c" and "abc" startsWith "a" and "abc" contains "b"`, `true`},
		{`sha256("")`, `"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`},
		{`unb64(b64("hi")) + fromBase64(toBase64("!"))`, `"hi!"`},
		{`"web-1" matches "^web-[0-9]+$"`, `true`},
		{`inputs.name matches inputs.name`, `true`},
		{`nil in [nil] and "a" in inputs.tags and 4 in [1, inputs.cpu] and "b" not in inputs.tags`, `true`},
		{`inputs.none == null`, `true`},
		{`let d = inputs.disks; let n = len(d); n * 2`, `6`},
		{`let inputs = 3; inputs`, `3`},
		{`if inputs.on { "yes" } else { "no" }`, `"yes"`},
		{`inputs.on ? inputs.name : run.failed.message`, `"web"`},
		{`{"a": 1, (inputs.name): 2}`, `{"a":1,"web":2}`},
		{`run.failed?.message ?? "fine"`, `"fine"`},
		{`[1.0, 2][1] == 2`, `true`},
	} {
		v, err := mustCompile(t, tc[0]).Eval(env())
		if err != nil {
			t.Errorf("Eval(%s) = %v; want %s", tc[0], err, tc[1])
			continue
		}
		got, _ := json.Marshal(v)
		if string(got) != tc[1] {
			t.Errorf("Eval(%s) = %s; want %s", tc[0], got, tc[1])
		}
		if where := notJSON(v); where != "" {
			t.Errorf("Eval(%s) holds a Go value that is not JSON: %s", tc[0], where)
		}
	}
}

// notJSON returns the Go type of the first thing in v that is not JSON-shaped.
func notJSON(v any) string {
	switch v := v.(type) {
	case nil, bool, float64, string:
		return ""
	case []any:
		for _, e := range v {
			if w := notJSON(e); w != "" {
				return w
			}
		}
		return ""
	case map[string]any:
		for _, e := range v {
			if w := notJSON(e); w != "" {
				return w
			}
		}
		return ""
	}
	return fmt.Sprintf("%T", v)
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		src    string
		offset int
		want   string
	}{
		{"", 0, "the expression is empty"},
		{"inputs.cpu +", 11, "the expression ends too early"},
		{"map(xs, {\"n\": .name})", 12, `did not expect ":" here (an object as the body of a predicate needs parentheses: map(xs, ({"n": .name})))`},
		{"a = 1", 2, `did not expect "=" here (compare with ==)`},
		{"1 + now()", 4, `there is no function "now" (an expression has no clock: read run.started)`},
		{"é + lenn(xs)", 5, `there is no function "lenn" (did you mean len?)`},
		{"fliter(xs, .a)", 11, `did not expect "." here (there is no function "fliter", did you mean filter?)`},
		{"inputs.name.upper()", 12, "values have no methods (write upper(x))"},
		{"$env", 0, `there is no name "$env"`},
		{"$env.inputs", 0, `there is no name "$env"`},
		{"len", 0, "len is a function (call it: len(…))"},
		{"len(1, 2)", 0, "invalid number of arguments (expected 1, got 2)"},
		{"sha256()", 0, "sha256 takes 1 argument, got 0"},
		{"1 + \"a\"", 2, "invalid operation: + (mismatched types int and string)"},
		{"findLast(xs, .a)", 0, `there is no function "findLast" (write last(filter(xs, …)))`},
		{"x matches \"(\"", 10, "not a regular expression: missing closing ): `(` (the syntax is RE2: no look-around, no back-references)"},
		{"b\"bytes\"", 0, "there are no bytes literals (write the text without the b)"},
		{"${{ a }}", 0, "did not expect \"$\" here"},
		{strings.Repeat("(", 300) + "1" + strings.Repeat(")", 300), 0, "the expression is nested deeper than 250 levels"},
		{strings.Repeat("x", 20<<10), 0, "the expression is longer than 16 KiB (split it over several vars)"},
		{strings.Repeat("x+", 3000) + "x", 0, "the expression is"},
	} {
		_, err := expr.Compile(tc.src)
		var se *expr.SyntaxError
		if !errors.As(err, &se) {
			t.Errorf("Compile(%.40q) = %v; want a *SyntaxError", tc.src, err)
			continue
		}
		if strings.HasPrefix(tc.src, "${{") || strings.HasPrefix(tc.src, "x+") || strings.HasPrefix(tc.src, "len(") {
			continue // the words are the library's
		}
		if se.Error() != tc.want || se.Offset != tc.offset {
			t.Errorf("Compile(%.40q) = %d: %s; want %d: %s", tc.src, se.Offset, se, tc.offset, tc.want)
		}
	}
}

func TestEvalRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range [][2]string{
		{`tasks.b.out.x`, `cannot read "out" of tasks.b: it is null (where it may be missing, write ?. as in a?.b, and ?? for another value)`},
		{`tasks.a.status.x`, `cannot read "x" of tasks.a.status: it is the string "succeeded"`},
		{`"a" + run.failed`, "cannot add the string \"a\" and null, in `\"a\" + run.failed` (+ adds two numbers or two texts; string(…) makes text, ?? gives another value for null)"},
		{`inputs.cpu ? 1 : 2`, "a condition needs true or false, got the number 4, in `inputs.cpu ? 1 : 2` (compare it with something, as in x == \"y\" or x != nil)"},
		{`filter(inputs.words, #)`, "filter needs a condition that gives true or false, got the string \"b\", in `filter(inputs.words, #)`"},
		{`map(inputs.tags, #)`, "map needs a list, got an object, in `map(inputs.tags, #)` (values(x), keys(x) and toPairs(x) give lists)"},
		{`inputs.cpu / 0`, "cannot divide by zero, in `inputs.cpu / 0`"},
		{`inputs.cpu % 0`, "cannot divide by zero, in `inputs.cpu % 0`"},
		{`2.0 ** 5000`, "the result is not a number that JSON can hold, in `2.0 ** 5000` (is something divided by zero?)"},
		{`inputs.words[7]`, "index 7 is outside the list, which has 4 elements (get(list, index) gives null instead)"},
		{`inputs.words < 1`, "cannot compare a list with the number 1, in `inputs.words < 1` (only two numbers or two texts have an order)"},
		{`int("x")`, "the string \"x\" is not a number, in `int(\"x\")`"},
	} {
		v, err := mustCompile(t, tc[0]).Eval(env())
		var ee *expr.EvalError
		if !errors.As(err, &ee) {
			t.Errorf("Eval(%s) = %v, %v; want an *EvalError", tc[0], v, err)
			continue
		}
		if ee.Error() != tc[1] {
			t.Errorf("Eval(%s) = %s\nwant %s", tc[0], ee, tc[1])
		}
	}
}

// Each of these would run for hours, or take all memory, without the meter.
func TestRunaways(t *testing.T) {
	t.Parallel()
	doubling := "let a0 = 'xxxxxxxxxxxxxxxx'; "
	lists := "let a0 = 1..100; "
	for i := range 60 {
		doubling += fmt.Sprintf("let a%d = a%d + a%d; ", i+1, i, i)
		lists += fmt.Sprintf("let a%d = concat(a%d, a%d); ", i+1, i, i)
	}
	shared, compared := "a", "a"
	for range 200 {
		shared = "(" + shared + " ?: b)"
		compared = "(1 < " + compared + " < 2)"
	}
	for name, src := range map[string]string{
		"nested sums":       `sum(1..1500, sum(1..1500, sum(1..1500, # + 1)))`,
		"nested counts":     `count(1..100000, count(1..100000, true) > 0)`,
		"a huge range":      `1..99999999999`,
		"doubled text":      doubling + "len(a60)",
		"doubled lists":     lists + "len(a60)",
		"repeat":            `repeat(repeat("x", 1000000), 1000000)`,
		"deep list":         `reduce(1..400000, [#acc])`,
		"deep list as JSON": `len(toJSON(reduce(1..400000, [#acc])))`,
		"quadratic in":      `count(1..3000, # in map(1..3000, -1))`,
		"quadratic concat":  `len(reduce(1..100000, concat(#acc, [#]), []))`,
		"quadratic text":    `len(reduce(1..100000, #acc + "0123456789", ""))`,
		"patterns":          `count(1..100000, "aaaa" matches "(a" + string(#) + "*)*{900}")`,
		"join":              `len(join(map(1..200000, "0123456789"), "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"))`,
		"empty loops":       `count(1..400000, sum([]) == 1)`,
		"shared branches":   shared,
		"shared compares":   compared,
	} {
		p, err := expr.Compile(src)
		if err == nil {
			_, err = p.Eval(env())
		}
		if err == nil {
			t.Errorf("%s: evaluated; want it stopped", name)
		} else if !strings.Contains(err.Error(), "the expression") && !strings.Contains(err.Error(), "at most") &&
			!strings.Contains(err.Error(), "nested deeper") && !strings.Contains(err.Error(), "regular expression") {
			t.Errorf("%s: stopped by %v; want a bound", name, err)
		}
	}
}

func TestRefs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		src  string
		want []expr.Ref
	}{
		{"tasks.ip?.out.address", []expr.Ref{{Path: []string{"tasks", "ip", "out", "address"}, Soft: true, SoftAt: 2}}},
		{"tasks.ip.out?.address", []expr.Ref{{Path: []string{"tasks", "ip", "out", "address"}, Soft: true, SoftAt: 3}}},
		{`1 + tasks["a"].out.list[0]`, []expr.Ref{{Path: []string{"tasks", "a", "out", "list", "0"}, Offset: 4}}},
		{"a[b.c].d", []expr.Ref{{Path: []string{"a"}, Dynamic: true}, {Path: []string{"b", "c"}, Offset: 2}}},
		{"let x = a; x.y + z", []expr.Ref{{Path: []string{"a"}, Offset: 8}, {Path: []string{"z"}, Offset: 17}}},
		{"é == a", []expr.Ref{{Path: []string{"é"}}, {Path: []string{"a"}, Offset: 6}}},
		{"map(xs, .name + y.z)", []expr.Ref{{Path: []string{"xs"}, Offset: 4}, {Path: []string{"y", "z"}, Offset: 16}}},
		{"(a.b).c", []expr.Ref{{Path: []string{"a", "b", "c"}, Offset: 1}}},
		{"1 + 2", nil},
		{"true", nil},
		{"len(tasks)", []expr.Ref{{Path: []string{"tasks"}, Offset: 4}}},
	} {
		if diff := cmp.Diff(tc.want, mustCompile(t, tc.src).Refs()); diff != "" {
			t.Errorf("Refs(%s): -want +got\n%s", tc.src, diff)
		}
	}
}

func TestBoolAndText(t *testing.T) {
	t.Parallel()
	if b, err := mustCompile(t, `inputs.cpu == 4`).Bool(env()); !b || err != nil {
		t.Errorf("Bool = %v, %v; want true", b, err)
	}
	if _, err := mustCompile(t, `inputs.cpu`).Bool(env()); err == nil {
		t.Error("Bool of a number = nil; want an error")
	}
	for src, want := range map[string]string{`inputs.cpu`: "4", `"a"`: "a", `true`: "true", `nil`: "", `0.1`: "0.1", `1e21 * 10`: "1e+22"} {
		if got, err := mustCompile(t, src).Text(env()); got != want || err != nil {
			t.Errorf("Text(%s) = %q, %v; want %q", src, got, err, want)
		}
	}
	if _, err := mustCompile(t, `inputs.words`).Text(env()); err == nil {
		t.Error("Text of a list = nil; want an error")
	}
}

// The same program on the same values gives the same bytes, however often and from wherever.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	exprs := []string{
		`toPairs(v)`, `keys(v)`, `values(v)`, `groupBy(values(v), string(#))`, `toJSON(v)`, `string(v)`,
		`sortBy(toPairs(v), #[0], "desc")`, `uniq(values(v))`, `sortBy(values(v), 1)`, `{"b": v, "a": keys(v)}`,
	}
	rapid.Check(t, func(rt *rapid.T) {
		m := rapid.MapOf(rapid.StringMatching(`[a-z]{1,6}`), rapid.Custom(func(rt *rapid.T) any {
			return rapid.SampledFrom([]any{nil, true, 1.5, "s", []any{1.0}, map[string]any{"z": 1.0, "y": 2.0}}).Draw(rt, "v")
		})).Draw(rt, "m")
		src := rapid.SampledFrom(exprs).Draw(rt, "src")
		p := mustCompile(t, src)
		var first string
		for i := range 50 {
			got := outcome(p, expr.Env{"v": copyMap(m)})
			if i == 0 {
				first = got
			} else if got != first {
				rt.Fatalf("%s over %v = %s, then %s", src, m, first, got)
			}
		}
	})
}

func outcome(p *expr.Program, env expr.Env) string {
	v, err := p.Eval(env)
	if err != nil {
		return "error: " + err.Error()
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// copyMap gives the same entries in a map of another layout.
func copyMap(m map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, `let n = n0; sum(map(1..50, # * n)) + len(groupBy(1..10, # % 3))`)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			if _, err := expr.Compile(fmt.Sprintf(`len(groupBy(1..%d, string(#))) > sha256("x") ?? 1`, g)); err != nil {
				t.Errorf("Compile = %v", err)
			}
			want := float64(1275*g + 3)
			for range 200 {
				if v, err := p.Eval(expr.Env{"n0": float64(g)}); v != want || err != nil {
					t.Errorf("Eval = %v, %v; want %v", v, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}
