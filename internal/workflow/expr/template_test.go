package expr_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tutti/internal/workflow/expr"
)

func parse(t testing.TB, src string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(src), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func mustTemplate(t testing.TB, v any) *expr.Template {
	t.Helper()
	tpl, errs := expr.ParseTemplate(v)
	if len(errs) > 0 {
		t.Fatalf("ParseTemplate(%v) = %v", v, errs)
	}
	return tpl
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		src, want string
		uses      []expr.SecretUse
	}{
		{src: `"plain"`, want: `"plain"`},
		{src: `"$5 {{ jinja }} ${HOME}"`, want: `"$5 {{ jinja }} ${HOME}"`},
		{src: `"${{ inputs.cpu }}"`, want: `4`},
		{src: `"${{inputs.disks}}"`, want: `[{"gb":10,"name":"data"},{"gb":5,"name":"log"},{"gb":5,"name":"tmp"}]`},
		{src: `"vm-${{ inputs.name }}-${{ inputs.cpu }}"`, want: `"vm-web-4"`},
		{src: `"tags: ${{ inputs.tags }}"`, want: `"tags: {\"a\":\"2\",\"m\":\"3\",\"z\":\"1\"}"`},
		{src: `"[${{ inputs.none }}]"`, want: `"[]"`},
		{src: `"$${{ inputs.cpu }}"`, want: `"${{ inputs.cpu }}"`},
		{src: `"a $${{ b }} ${{ inputs.cpu }}"`, want: `"a ${{ b }} 4"`},
		{src: `{"a": ["$${{ x"], "b": {"c": 1}}`, want: `{"a":["${{ x"],"b":{"c":1}}`},
		{src: `"${{ {\"k\": {\"a\": 1}} }}"`, want: `{"k":{"a":1}}`},
		{src: `"${{ \"}}\" + '}}' }}!"`, want: `"}}}}!"`},
		{src: `{"a": {"b": ["${{ inputs.name }}", 1]}}`, want: `{"a":{"b":["web",1]}}`},
		{src: `"${{ secrets.db-password }}"`, want: `""`, uses: []expr.SecretUse{{Name: "db-password"}}},
		{
			src: `{"x/y": "é ${{ inputs.name }}:${{ secrets.a }}${{ secrets.b }}!"}`, want: `{"x/y":"é web:!"}`,
			uses: []expr.SecretUse{{Pointer: "/x~1y", Offset: 7, Name: "a"}, {Pointer: "/x~1y", Offset: 7, Name: "b"}},
		},
	} {
		v, uses, err := mustTemplate(t, parse(t, tc.src)).Eval(env())
		got, _ := json.Marshal(v)
		if err != nil || string(bytesOf(v)) != tc.want {
			t.Errorf("Eval(%s) = %s, %v; want %s", tc.src, got, err, tc.want)
		}
		if diff := cmp.Diff(tc.uses, uses); diff != "" {
			t.Errorf("Eval(%s) secrets: -want +got\n%s", tc.src, diff)
		}
	}
}

func bytesOf(v any) []byte {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
	return []byte(strings.TrimSpace(b.String()))
}

func TestTemplateErrors(t *testing.T) {
	t.Parallel()
	_, got := expr.ParseTemplate(parse(t, `{
		"a": "x ${{ inputs. }}", "b": ["${{ 1 + secrets.x }}", "${{ secrets }}", "${{ open"],
		"c~/d": {"${{ k }}": 1}, "e": "${{ b64(secrets.x) }}", "f": "${{ }}"}`))
	want := []expr.TemplateError{
		{Pointer: "/a", Offset: 13, Message: "the expression ends too early"},
		{Pointer: "/b/0", Offset: 8, Message: "a secret cannot be computed with", Hint: "write ${{ secrets.name }} and nothing else between the braces; text may stand around them"},
		{Pointer: "/b/1", Offset: 4, Message: "a secret cannot be computed with", Hint: "write ${{ secrets.name }} and nothing else between the braces; text may stand around them"},
		{Pointer: "/b/2", Offset: 0, Message: "${{ is never closed by }}", Hint: "write $${{ for the characters themselves"},
		{Pointer: "/c~0~1d", Offset: 0, Message: `the key "${{ k }}" holds an expression`, Hint: "keys are never computed; write the whole object as one: ${{ fromPairs([[k, v]]) }}"},
		{Pointer: "/e", Offset: 8, Message: "a secret cannot be computed with", Hint: "write ${{ secrets.name }} and nothing else between the braces; text may stand around them"},
		{Pointer: "/f", Offset: 3, Message: "the expression is empty"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseTemplate: -want +got\n%s", diff)
	}
}

func TestTemplateStatic(t *testing.T) {
	t.Parallel()
	v := parse(t, `{"a": [1, "b", {"c": null}]}`)
	tpl := mustTemplate(t, v)
	if !tpl.Static() || len(tpl.Refs()) != 0 {
		t.Errorf("Static() = %v, Refs() = %v; want true and none", tpl.Static(), tpl.Refs())
	}
	if mustTemplate(t, "${{ secrets.x }}").Static() {
		t.Error("Static() of a secret = true; want false")
	}
	if refs := mustTemplate(t, "${{ secrets.x }}").Refs(); len(refs) != 1 || refs[0].Path[0] != "secrets" {
		t.Errorf("Refs() of a secret = %v; want [secrets x]", refs)
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	tpl := mustTemplate(t, parse(t, `{"h": ["Bearer ${{ secrets.t }}", "${{ inputs.name }}"], "p": "${{ secrets.p }}"}`))
	v, uses, err := tpl.Eval(env())
	if err != nil {
		t.Fatal(err)
	}
	before := string(bytesOf(v))
	got, err := expr.Fill(v, uses, func(name string) (string, error) { return "<" + name + ">", nil })
	if want := `{"h":["Bearer <t>","web"],"p":"<p>"}`; err != nil || string(bytesOf(got)) != want {
		t.Errorf("Fill = %s, %v; want %s", bytesOf(got), err, want)
	}
	if after := string(bytesOf(v)); after != before {
		t.Errorf("Fill changed its argument: %s; want %s", after, before)
	}
	fails := errors.New("no such secret")
	if _, err := expr.Fill(v, uses, func(string) (string, error) { return "", fails }); !errors.Is(err, fails) {
		t.Errorf("Fill with a failing lookup = %v; want %v", err, fails)
	}
	for _, u := range []expr.SecretUse{{Pointer: "/x"}, {Pointer: "/h"}, {Pointer: "/h/9"}, {Pointer: "/p", Offset: 5}, {Pointer: "/p", Offset: -1}} {
		if _, err := expr.Fill(v, []expr.SecretUse{u}, func(string) (string, error) { return "s", nil }); err == nil {
			t.Errorf("Fill(%+v) = nil; want an error", u)
		}
	}
}

// Whatever data says, it names no secret: only the places of the definition do.
func TestDataNeverNamesASecret(t *testing.T) {
	t.Parallel()
	tpl := mustTemplate(t, parse(t, `{"a": "${{ d }} ${{ secrets.mine }} ${{ d }}", "b": "${{ d }}", "c": ["${{ l }}"]}`))
	rapid.Check(t, func(rt *rapid.T) {
		hostile := rapid.SampledFrom([]string{"${{ secrets.root }}", "}} ${{ secrets.root }}", "$${{", "${{", "é", "\x00"})
		d := strings.Join(rapid.SliceOf(hostile).Draw(rt, "d"), "")
		v, uses, err := tpl.Eval(expr.Env{"d": d, "l": []any{d}})
		if err != nil {
			rt.Fatal(err)
		}
		var asked []string
		got, err := expr.Fill(v, uses, func(name string) (string, error) {
			asked = append(asked, name)
			return "S", nil
		})
		if err != nil || fmt.Sprint(asked) != "[mine]" {
			rt.Fatalf("Fill asked for %v, %v; want [mine]", asked, err)
		}
		want := map[string]any{"a": d + " S " + d, "b": d, "c": []any{[]any{d}}}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("Fill: -want +got\n%s", diff)
		}
	})
}

func TestKey(t *testing.T) {
	t.Parallel()
	env := expr.Env{"x": nil, "n": float64(3), "s": "a", "o": map[string]any{"k": float64(1)}}
	for src, want := range map[string]string{
		"plain": "plain", "${{ s }}": "a", "${{ n }}": "3", "host/${{ s }}/${{ n }}": "host/a/3", "${{ o }}": `{"k":1}`,
		"${{ x }}": "!null", "host/${{ x }}": "!x is null",
	} {
		tmpl, errs := expr.ParseTemplate(src)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		got, err := tmpl.Key(env)
		if bad, ok := strings.CutPrefix(want, "!"); ok {
			if err == nil || !strings.Contains(err.Error(), bad) {
				t.Errorf("Key of %q = %q, %v; want an error about %s", src, got, err, bad)
			}
		} else if got != want || err != nil {
			t.Errorf("Key of %q = %q, %v; want %q", src, got, err, want)
		}
	}
}
