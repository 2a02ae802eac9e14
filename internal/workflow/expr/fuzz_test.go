package expr_test

import (
	"testing"
	"time"

	"tutti/internal/workflow/expr"
)

// bounded fails when one input takes long; the meter allows far less.
func bounded(t *testing.T, src string, start time.Time) {
	t.Helper()
	if took := time.Since(start); took > 20*time.Second {
		t.Fatalf("%.200q took %s", src, took)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`inputs.cpu`, `a?.b[0]?.c`, `map(xs, ({"n": .name}))`, `sum(1..9, # * 2)`, `let a = 1; a ?? nil`, `a ?: b`,
		`"x" matches "[a-z]+"`, `1 < a < 3`, `{"a": [1, {}]}`, `if a { b } else { c }`, `xs | groupBy(#) | toPairs()`,
		`reduce(1..3, #acc + #, 0)`, `::len(x)`, `b"x"`, `'\u{1F600}'`, `a not in b`, "/* c */ 1 // d", `x[1:-1]`, `not !a`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		defer bounded(t, src, time.Now())
		p, err := expr.Compile(src)
		if err != nil {
			se, ok := err.(*expr.SyntaxError)
			if !ok || se.Offset < 0 || se.Offset > len(src) || se.Message == "" {
				t.Fatalf("Compile(%q) = %#v; want a *SyntaxError inside the source", src, err)
			}
			return
		}
		first, second := outcome(p, env()), outcome(p, env())
		if first != second {
			t.Fatalf("Eval(%q) = %s, then %s", src, first, second)
		}
		if v, err := p.Eval(env()); err == nil && notJSON(v) != "" {
			t.Fatalf("Eval(%q) gives a %s", src, notJSON(v))
		}
	})
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{`${{ inputs.cpu }}`, `a ${{ secrets.x }} b`, `$${{ a`, `${{ {"a": "}}"} }}`, `${{ 'é' }}é${{ secrets.y }}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		defer bounded(t, src, time.Now())
		tpl, errs := expr.ParseTemplate(map[string]any{"k": []any{src}})
		for _, e := range errs {
			if e.Pointer != "/k/0" || e.Offset < 0 || e.Offset > len(src) {
				t.Fatalf("ParseTemplate(%q) = %+v; want a place inside the string", src, e)
			}
		}
		if tpl == nil {
			return
		}
		v, uses, err := tpl.Eval(env())
		if err != nil {
			return
		}
		if _, err := expr.Fill(v, uses, func(string) (string, error) { return "s", nil }); err != nil {
			t.Fatalf("Fill after Eval(%q) = %v", src, err)
		}
	})
}
