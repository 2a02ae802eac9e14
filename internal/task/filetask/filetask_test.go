package filetask_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/bustest"
	"tutti/bus/membus"
	"tutti/errs"
	"tutti/internal/blob"
	"tutti/internal/blob/dirblob"
	"tutti/internal/task/filetask"
	"tutti/internal/task/tasktest"
)

// files is a service that keeps files by key.
type files struct {
	mu   sync.Mutex
	byID map[string]api.File
}

func setup(t *testing.T) (*files, *bus.Bus, blob.Store) {
	t.Helper()
	blobs, err := dirblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { blobs.Close() })
	s, b := &files{byID: map[string]api.File{}}, bustest.Bus(&membus.Bus{})
	must(t, api.AddFile.Handle(t.Context(), b, func(_ context.Context, in api.AddFileIn) (api.File, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		f := api.File{ID: "file_" + in.Key, Namespace: in.Namespace, Name: in.Name, Type: in.Type, Digest: in.Digest, Size: in.Size}
		if old, ok := s.byID[f.ID]; ok && old != f {
			return f, errs.New(errs.Conflict, "another file with this key")
		}
		s.byID[f.ID] = f
		return f, nil
	}))
	must(t, api.GetFile.Handle(t.Context(), b, func(_ context.Context, in api.FileIn) (api.File, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		f, ok := s.byID[in.ID]
		if !ok {
			return f, errs.New(errs.NotFound, "no file %q", in.ID)
		}
		return f, nil
	}))
	return s, b, blobs
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func asRun(ctx context.Context) context.Context {
	return bus.WithCaller(ctx, bus.Caller{Subject: "run:run_1", Grants: []bus.Grant{{Namespace: "default", Role: "operator"}}})
}

func TestPutSuite(t *testing.T) {
	t.Parallel()
	_, b, blobs := setup(t)
	f := func(name string, content any, kind any) map[string]any {
		return map[string]any{"name": name, "content": content, "type": kind}
	}
	tasktest.Run(t, filetask.NewPut(b, blobs), tasktest.Cases{
		Context: asRun,
		Good:    []tasktest.Case{{With: f("a.txt", "hello", nil)}, {With: f("a.json", map[string]int{"a": 1}, nil)}, {With: f("a.csv", "a;b", "text/csv")}, {With: f("empty", "", nil)}},
		Bad: []tasktest.Case{
			{With: f("", "x", nil)}, {With: f("a/b", "x", nil)}, {With: f(`a\b`, "x", nil)}, {With: f("a\nb", "x", nil)}, {With: f("a", nil, nil)}, {With: f("a", "x", "not a type;")},
		},
	})
}

func TestGetSuite(t *testing.T) {
	t.Parallel()
	s, b, blobs := setup(t)
	add := func(id, kind string, body []byte) {
		d, n, err := blobs.Put(t.Context(), bytes.NewReader(body), -1)
		must(t, err)
		s.byID[id] = api.File{ID: id, Name: id + ".x", Type: kind, Digest: string(d), Size: n}
	}
	add("file_text", "text/plain", []byte("grüße"))
	add("file_json", "application/json", []byte(`{"n": 12345678901234567}`))
	add("file_broken", "application/json", []byte(`{"n":`))
	add("file_binary", "application/octet-stream", []byte{0xff, 0})
	add("file_large", "text/plain", bytes.Repeat([]byte("x"), 1<<20+1))
	s.byID["file_gone"] = api.File{ID: "file_gone", Digest: string(blob.Sum([]byte("gone")))}
	typ := filetask.NewGet(b, blobs)
	has := func(want string) func(*testing.T, json.RawMessage) {
		return func(t *testing.T, out json.RawMessage) {
			var got struct{ Content json.RawMessage }
			if err := json.Unmarshal(out, &got); err != nil || string(got.Content) != want {
				t.Errorf("content = %s, %v; want %s", got.Content, err, want)
			}
		}
	}
	id := func(id any) map[string]any { return map[string]any{"id": id} }
	tasktest.Run(t, typ, tasktest.Cases{
		Context: asRun,
		Good: []tasktest.Case{
			{With: id("file_text"), Check: has(`"grüße"`)}, {With: id("file_json"), Check: has(`{"n":12345678901234567}`)}, {With: id("file_broken"), Check: has(`"{\"n\":"`)},
		},
		Bad: []tasktest.Case{{With: id("")}, {With: id(7)}, {With: map[string]any{}}},
	})
	for name, want := range map[string]string{"file_binary": "file.binary", "file_large": "too_large", "file_gone": "not_found", "file_none": "not_found"} {
		f := tasktest.NewTry(t, typ, id(name)).Fails(asRun(t.Context()), t, typ)
		tasktest.Declared(t, typ, f)
		if f.Type != want {
			t.Errorf("%s = %+v; want %s", name, f, want)
		}
	}
}

func TestPutThenGet(t *testing.T) {
	t.Parallel()
	_, b, blobs := setup(t)
	put, get := filetask.NewPut(b, blobs), filetask.NewGet(b, blobs)
	text := strings.Repeat("<&>\u2028ä", 1000)
	for _, content := range []any{text, map[string]any{"a": []any{1.5, nil, text}}} {
		var f struct{ ID string }
		tasktest.NewTry(t, put, map[string]any{"name": "x", "content": content}).Out(asRun(t.Context()), t, put, &f)
		var got struct{ Content any }
		tasktest.NewTry(t, get, map[string]any{"id": f.ID}).Out(asRun(t.Context()), t, get, &got)
		a, _ := json.Marshal(content)
		if b, _ := json.Marshal(got.Content); !bytes.Equal(a, b) {
			t.Errorf("content = %s; want %s", b, a)
		}
	}
}
