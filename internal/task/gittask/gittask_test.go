package gittask_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/bustest"
	"tutti/bus/membus"
	"tutti/errs"
	"tutti/internal/task/gittask"
	"tutti/internal/task/tasktest"
)

// setup returns a bus with a service that keeps commits by key.
func setup(t *testing.T) (map[string]api.CommitIn, *bus.Bus) {
	t.Helper()
	var mu sync.Mutex
	commits, b := map[string]api.CommitIn{}, bustest.Bus(&membus.Bus{})
	if err := api.CommitFiles.Handle(t.Context(), b, func(_ context.Context, in api.CommitIn) (api.Commit, error) {
		mu.Lock()
		defer mu.Unlock()
		if in.Repository == "none" {
			return api.Commit{}, errs.New(errs.NotFound, "no repository %q", in.Repository)
		}
		commits[in.Key] = in
		return api.Commit{Repository: in.Repository, Hash: "hash-" + in.Key}, nil
	}); err != nil {
		t.Fatal(err)
	}
	return commits, b
}

func asRun(ctx context.Context) context.Context {
	return bus.WithCaller(ctx, bus.Caller{Subject: "run:run_1", Grants: []bus.Grant{{Namespace: "default", Role: "operator"}}})
}

func TestSuite(t *testing.T) {
	t.Parallel()
	_, b := setup(t)
	c := func(repository, message string, more ...any) map[string]any {
		out := map[string]any{"repository": repository, "message": message}
		for i := 0; i < len(more); i += 2 {
			out[more[i].(string)] = more[i+1]
		}
		return out
	}
	tasktest.Run(t, gittask.New(b), tasktest.Cases{
		Context: asRun,
		Good:    []tasktest.Case{{With: c("vms", "Add", "files", map[string]any{"a.txt": "x"})}, {With: c("vms", "Remove", "remove", []string{"a"})}},
		Bad: []tasktest.Case{
			{With: c("vms", "Nothing")}, {With: c("", "x", "remove", []string{"a"})}, {With: c("vms", " \n", "remove", []string{"a"})}, {With: c("vms", "x", "files", []string{"a"})}, {With: c("vms", "x", "remove", "a")},
		},
	})
}

func TestCommits(t *testing.T) {
	t.Parallel()
	commits, b := setup(t)
	typ := gittask.New(b)
	a := tasktest.NewTry(t, typ, map[string]any{"repository": "vms", "message": "Add vm1", "remove": []string{"old"}, "files": map[string]any{
		"a.txt": "<b>\n", "b.json": map[string]any{"z": 12345678901234567, "a": []any{"<", nil}},
	}})
	a.Request = "req_1"
	var got struct{ Commit, Repository string }
	a.Out(asRun(t.Context()), t, typ, &got)
	if got.Commit != "hash-"+a.Key || got.Repository != "vms" {
		t.Errorf("out = %+v", got)
	}
	want := api.CommitIn{NS: api.NS{Namespace: "default"}, Repository: "vms", Key: a.Key, Message: "Add vm1", Author: "user:test", Remove: []string{"old"},
		Trailers: map[string]string{"Trace": a.Trace, "Request": "req_1", "Run": string(a.Run)},
		Files:    map[string]string{"a.txt": "<b>\n", "b.json": "{\n  \"a\": [\n    \"<\",\n    null\n  ],\n  \"z\": 12345678901234567\n}\n"}}
	if diff := cmp.Diff(want, commits[a.Key]); diff != "" {
		t.Errorf("commit (-want +got):\n%s", diff)
	}
	f := tasktest.NewTry(t, typ, map[string]any{"repository": "none", "message": "x", "remove": []string{"a"}}).Fails(asRun(t.Context()), t, typ)
	tasktest.Declared(t, typ, f)
	if f.Type != "not_found" {
		t.Errorf("failure = %+v; want not_found", f)
	}
}
