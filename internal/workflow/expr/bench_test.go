package expr_test

import (
	"testing"

	"tutti/internal/workflow/expr"
)

func BenchmarkEval(b *testing.B) {
	for _, bc := range []struct{ name, src string }{
		{"path", `inputs.cpu`},
		{"soft path", `tasks.a?.out.x`},
		{"condition", `inputs.cpu > 2 && inputs.name == "web"`},
		{"filter and map", `map(filter(inputs.disks, .gb > 5), ({"n": .name}))`},
	} {
		b.Run(bc.name, func(b *testing.B) {
			p, e := mustCompile(b, bc.src), env()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Eval(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for name, src := range map[string]string{"path": `tasks.a.out.x`, "condition": `inputs.cpu > 2 && inputs.name == "web"`} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := expr.Compile(src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTemplate(b *testing.B) {
	for name, src := range map[string]string{
		"static": `{"a": [1, 2, {"b": "c"}]}`,
		"paths":  `{"host": "${{ inputs.name }}", "cpu": "${{ inputs.cpu }}", "n": {"x": "${{ tasks.a.out.x }}"}}`,
		"text":   `"vm-${{ inputs.name }}-${{ inputs.cpu }}"`,
	} {
		b.Run(name, func(b *testing.B) {
			t, e := mustTemplate(b, parse(b, src)), env()
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := t.Eval(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
