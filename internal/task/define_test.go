package task_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/internal/task"
	"tutti/internal/task/tasktest"
	"tutti/sdk"
)

type part struct {
	GB int `json:"gb" doc:"Size" minimum:"1"`
}

type input struct {
	Name  string          `json:"name" doc:"Name" pattern:"^[a-z]+$"`
	Parts []part          `json:"parts,omitempty" doc:"Parts"`
	First part            `json:"first,omitzero" doc:"The first"`
	Any   json.RawMessage `json:"any,omitempty" doc:"Anything"`
	Wait  api.Duration    `json:"wait,omitzero" doc:"How long"`
}

func define() sdk.TaskType {
	return task.Define(api.TaskType{Name: "test", Title: "Test", Doc: "Tests."}, func(_ context.Context, _ *sdk.Task, in input) (input, error) { return in, nil })
}

func TestSchema(t *testing.T) {
	t.Parallel()
	var got, want any
	if err := json.Unmarshal(define().Spec().With, &got); err != nil {
		t.Fatal(err)
	}
	const schema = `{"type":"object","additionalProperties":false,"required":["name"],"properties":{
		"name":{"type":"string","description":"Name","pattern":"^[a-z]+$"},
		"parts":{"type":"array","description":"Parts","items":{"type":"object","additionalProperties":false,"required":["gb"],"properties":{"gb":{"type":"integer","description":"Size","minimum":1}}}},
		"first":{"type":"object","description":"The first","additionalProperties":false,"required":["gb"],"properties":{"gb":{"type":"integer","description":"Size","minimum":1}}},
		"any":{"description":"Anything"},
		"wait":{"type":"string","description":"How long"}}}`
	if err := json.Unmarshal([]byte(schema), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("schema (-want +got):\n%s", diff)
	}
}

func TestDefine(t *testing.T) {
	t.Parallel()
	typ := define()
	for with, want := range map[string]string{
		`{"name":"a"}`: `{"name":"a"}`,
		`{"name":"a","parts":null,"first":null,"any":null,"wait":null}`:                `{"name":"a"}`,
		`{"name":"a","any":{"n":12345678901234567},"parts":[{"gb":2}],"wait":"1h30m"}`: `{"name":"a","parts":[{"gb":2}],"any":{"n":12345678901234567},"wait":"1h30m"}`,
	} {
		a := tasktest.NewTry(t, typ, json.RawMessage(with))
		var got json.RawMessage
		a.Out(t.Context(), t, typ, &got)
		var g, w any
		_ = json.Unmarshal(got, &g)
		_ = json.Unmarshal([]byte(want), &w)
		if diff := cmp.Diff(w, g); diff != "" {
			t.Errorf("Do(%s) (-want +got):\n%s", with, diff)
		}
		if strings.Contains(with, "12345678901234567") && !strings.Contains(string(got), "12345678901234567") {
			t.Errorf("Do(%s) = %s; the number changed", with, got)
		}
	}
	f := tasktest.NewTry(t, typ, json.RawMessage(`{"name":"A","parts":[{"gb":0}],"size":1}`)).Fails(t.Context(), t, typ)
	for _, place := range []string{"with.name", "with.parts[0].gb", "size"} {
		if f.Type != task.Invalid || !strings.Contains(f.Message, place) {
			t.Errorf("failure = %+v; want invalid, with %s", f, place)
		}
	}
	for _, with := range []string{`{"name":"a","wait":"soon"}`, `[]`, `null`, `{}`} {
		if f := tasktest.NewTry(t, typ, json.RawMessage(with)).Fails(t.Context(), t, typ); f.Type != task.Invalid {
			t.Errorf("Do(%s) = %+v; want invalid", with, f)
		}
	}
}
