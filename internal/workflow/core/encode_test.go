package core

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tutti/api"
	"tutti/internal/workflow/expr"
)

// anyEvent draws an event in which any field may be set.
func anyEvent(t *rapid.T) (e Event) {
	text := rapid.OneOf(rapid.Just(""), rapid.String(), rapid.SampledFrom([]string{"a.b[c]", "\"", "\\", "<&>", "\u2028", "\x00", "\xff"}))
	raw := rapid.SampledFrom([]json.RawMessage{nil, json.RawMessage(`{}`), json.RawMessage(`{"a":[1,"<",null]}`), json.RawMessage(` [ 1 ] `), json.RawMessage("null")})
	v := reflect.ValueOf(&e).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case string, Type, api.State:
			f.SetString(text.Draw(t, "text"))
		case int, int64:
			f.SetInt(rapid.Int64Range(-5, 1<<50).Draw(t, "number"))
		case bool:
			f.SetBool(rapid.Bool().Draw(t, "bool"))
		case json.RawMessage:
			f.Set(reflect.ValueOf(raw.Draw(t, "raw")))
		case []string:
			f.Set(reflect.ValueOf(rapid.SliceOf(text).Draw(t, "texts")))
		case map[string]rawJSON:
			if rapid.Bool().Draw(t, "vars") {
				f.Set(reflect.ValueOf(map[string]rawJSON{text.Draw(t, "name"): rawJSON(`{"x":1}`)}))
			}
		case *api.Failure:
			if rapid.Bool().Draw(t, "failure") {
				f.Set(reflect.ValueOf(&api.Failure{Type: text.Draw(t, "type"), Message: text.Draw(t, "message"), Details: map[string]any{"a": "<"}}))
			}
		case *api.Reason:
			if rapid.Bool().Draw(t, "reason") {
				f.Set(reflect.ValueOf(&api.Reason{Kind: "timer", Text: text.Draw(t, "why"), Until: micros(5)}))
			}
		case *Meta:
			if rapid.Bool().Draw(t, "meta") {
				f.Set(reflect.ValueOf(&Meta{ID: "run_x", Title: text.Draw(t, "title"), Pins: map[string]Pin{"a": {Digest: "d"}}}))
			}
		case []expr.SecretUse:
			if rapid.Bool().Draw(t, "secrets") {
				f.Set(reflect.ValueOf([]expr.SecretUse{{Name: text.Draw(t, "secret")}}))
			}
		default:
			t.Fatalf("Event has a field of type %s that this test does not know, and maybe the encoder neither", f.Type())
		}
	}
	return e
}

// TestAppendEvents holds the encoder to what encoding/json reads from what encoding/json writes.
func TestAppendEvents(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(rapid.Custom(anyEvent), 1, 3).Draw(t, "events")
		first := rapid.IntRange(1, len(events)).Draw(t, "first")
		got, err := AppendEvents(nil, events[:first])
		if err == nil && first < len(events) {
			got, err = AppendEvents(got, events[first:])
		}
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(events)
		if err != nil {
			t.Fatal(err)
		}
		var a, b []Event
		if err := json.Unmarshal(got, &a); err != nil {
			t.Fatalf("AppendEvents(%+v) = %s: %v", events, got, err)
		}
		if err := json.Unmarshal(want, &b); err != nil {
			t.Fatal(err)
		}
		compact := cmp.Transformer("compact", func(r json.RawMessage) string {
			var b bytes.Buffer
			_ = json.Compact(&b, r)
			var v any
			_ = json.Unmarshal(r, &v)
			out, _ := json.Marshal(v)
			return string(out)
		})
		if d := cmp.Diff(b, a, compact); d != "" {
			t.Fatalf("AppendEvents reads back differently (-json +ours):\n%s", d)
		}
	})
}

func TestAppendEventsRefuses(t *testing.T) {
	t.Parallel()
	before, err := AppendEvents(nil, []Event{{Type: Done, Path: "a"}})
	if err != nil {
		t.Fatal(err)
	}
	kept := string(before)
	after, err := AppendEvents(before, []Event{{Type: Done, Path: "b"}, {Type: Done, Path: "c", Out: json.RawMessage(`{`)}})
	if err == nil || string(after) != kept {
		t.Errorf("AppendEvents with broken JSON = %s, %v; want %s and an error", after, err, kept)
	}
}

func BenchmarkAppendEvents(b *testing.B) {
	events := []Event{{Type: Done, Path: "t3", Attempt: 1, By: "server:host-1234", Out: json.RawMessage("{}")}, {Type: Started, Path: "t4", Attempt: 1, Input: json.RawMessage("{}")}}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = AppendEvents(buf[:0], events)
	}
}
