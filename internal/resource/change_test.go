package resource

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/store"
)

// disk is a type whose resources have files, and can be changed and deleted.
const disk = `
kind: ResourceType
name: disk
schema:
  type: object
  required: [name]
  properties: { name: { type: string }, gb: { type: integer, default: 10, maximum: 100 }, tier: { type: string } }
handler: |
  def handle(spec, context):
      before = context["current"]
      if before and before["gb"] > spec["gb"]:
          problem("gb", "a disk does not shrink")
      return dict(spec, mb = spec["gb"] * 1000)
repository: disks
os: none
workflow: disk.make
inputs: { spec: "${{ spec }}", at: "${{ source.commit }}", file: "${{ source.path }}" }
actions:
  modify: { workflow: disk.change, inputs: { was: "${{ current.spec.gb }}", now: "${{ spec.gb }}", at: "${{ source.commit }}" } }
  delete: { workflow: disk.remove, inputs: { id: "${{ current.outputs.id }}" } }
  observe: { workflow: disk.look, inputs: { id: "${{ current.outputs.id }}" } }
`

func (w *world) resolveAsk(a api.Ask) (api.Resolved, error) {
	return api.ResolveResource.Call(bus.AsService(w.Context(), "request"), w.bus, api.ResolveIn{NS: inDefault, Ask: a, Requester: "user:anna"})
}

// order asks for something of a disk, files it and has it succeed, or fail; it returns the inputs of its run.
func (w *world) order(id string, a api.Ask, state api.State) (string, error) {
	w.Helper()
	res, err := w.resolveAsk(a)
	if err != nil {
		return "", err
	}
	filed, err := w.file(id, res)
	if err != nil {
		return "", err
	}
	w.end(id, a, res, filed, state)
	return string(filed.Items[0].Inputs), nil
}

func (w *world) file(id string, res api.Resolved) (api.Filed, error) {
	return api.FileResources.Call(bus.AsService(w.Context(), "request"), w.bus, api.FileRequestIn{NS: inDefault, Request: id, Trace: "t-" + id, Requester: "user:anna", Title: id, Items: []api.FileItem{
		{Type: res.Type, Name: res.Name, Entry: res.Entry, Action: res.Action, Base: res.Base, Workflow: res.Workflow, Version: res.Version, Spec: res.Spec, Params: res.Params}}})
}

func (w *world) end(id string, a api.Ask, res api.Resolved, filed api.Filed, state api.State) {
	w.Helper()
	r := api.Request{ID: id, Namespace: "default", Run: api.RunID("run_" + id), Requester: "user:anna", State: state, Entry: res.Entry, Type: res.Type, Name: res.Name, Action: res.Action,
		Base: res.Base, TTL: a.TTL, Params: res.Params, Spec: res.Spec, Outputs: json.RawMessage(`{"id":"d-1","gb":` + gb(res.Spec) + `}`), Source: &filed.Items[0].Source, Ended: time.Now().UTC()}
	w.mu.Lock()
	w.details[id] = r
	w.mu.Unlock()
	r.Spec, r.Outputs, r.Params = nil, nil, nil
	err := w.requests.Tx(w.Context(), func(tx *store.Tx) error {
		return api.RequestFinished.Publish(tx, bus.About{Subject: id, Namespace: "default"}, r)
	})
	if err != nil {
		w.Fatal(err)
	}
	settled()
}

func gb(spec json.RawMessage) string {
	var v struct{ GB json.Number }
	_ = json.Unmarshal(spec, &v)
	return v.GB.String()
}

func (w *world) disk() (api.Resource, error) {
	return api.GetResource.Call(w.as(api.Viewer), w.bus, api.ResourceIn{NS: inDefault, Type: "disk", Name: "d"})
}

func inDiskWorld(t *testing.T, f func(w *world)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		w.define(disk)
		w.start()
		f(w)
	})
}

// A disk is made, changed, rolled back, deleted and made again; each request is a commit.
func TestLife(t *testing.T) {
	inDiskWorld(t, func(w *world) {
		make := api.Ask{Entry: "disk", Params: json.RawMessage(`{"name":"d"}`)}
		change := func(p string) api.Ask {
			return api.Ask{Action: api.ActionModify, Type: "disk", Name: "d", Params: json.RawMessage(p)}
		}
		if _, err := w.order("req_0000001", make, api.Succeeded); err != nil {
			w.Fatal(err)
		}
		first, err := w.disk()
		if err != nil || first.Source == nil || len(first.Source.Commit) != 40 || first.Pending != "" || !slices.Equal(first.Actions, []string{"modify", "delete", "observe"}) {
			w.Fatalf("the disk is %+v, %v", first, err)
		}
		file, err := w.read(w.Context(), api.ReadRepositoryIn{NS: inDefault, Repository: "disks", Commit: first.Source.Commit, Path: "resources/d.json"})
		if err != nil || !strings.Contains(file.Text, `"mb": 10000`) {
			w.Errorf("the file is %s, %v; want the common format", file.Text, err)
		}
		meta, err := w.read(w.Context(), api.ReadRepositoryIn{NS: inDefault, Repository: "disks", Commit: first.Source.Commit, Path: metadataFile})
		if err != nil || !strings.Contains(meta.Text, `"workflow": "disk.make"`) || !strings.Contains(meta.Text, `"os": "none"`) || !strings.Contains(meta.Text, `"trace": "t-req_0000001"`) {
			w.Errorf("the metadata is %s, %v", meta.Text, err)
		}
		if _, err := w.order("req_x", make, api.Succeeded); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "already") {
			w.Errorf("making it again = %v; want conflict", err)
		}
		if in, err := w.order("req_0000002", change(`{"gb":20,"tier":"slow"}`), api.Succeeded); err != nil || !strings.HasPrefix(in, `{"at":"`) || !strings.HasSuffix(in, `"now":20,"was":10}`) {
			w.Errorf("the change has the inputs %s, %v", in, err)
		}
		if _, err := w.order("req_x", change(`{"gb":5}`), api.Succeeded); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "shrink") {
			w.Errorf("to shrink = %v; want the handler's problem", err)
		}
		if _, err := w.order("req_x", change(`{"name":"e"}`), api.Succeeded); !errs.Is(err, errs.Invalid) {
			w.Errorf("another name = %v; want invalid", err)
		}
		stale := change(`{"gb":30}`)
		stale.Base = first.Source.Commit[:10]
		if _, err := w.order("req_x", stale, api.Succeeded); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "req_0000002") {
			w.Errorf("a change of what it was = %v; want conflict that names the newest", err)
		}
		now, _ := w.disk()
		stale.Base = now.Source.Commit
		if _, err := w.order("req_0000003", stale, api.Failed); err != nil {
			w.Errorf("a change of what it is = %v", err)
		}
		if now, _ = w.disk(); string(now.Params) != `{"gb":20,"name":"d","tier":"slow"}` || now.Request != "req_0000002" {
			w.Errorf("after a change that failed it has %s of %s", now.Params, now.Request)
		}
		if _, err := w.order("req_0000004", change(`{"tier":null}`), api.Succeeded); err != nil {
			w.Errorf("a field taken out = %v", err)
		}
		back := api.Ask{Action: api.ActionRollback, Type: "disk", Name: "d", To: now.Source.Commit[:12]}
		if _, err := w.order("req_0000005", back, api.Succeeded); err != nil {
			w.Errorf("back to the commit = %v", err)
		}
		if now, _ = w.disk(); string(now.Params) != `{"gb":20,"name":"d","tier":"slow"}` {
			w.Errorf("after the roll-back it has %s", now.Params)
		}
		if in, err := w.order("req_0000006", api.Ask{Action: api.ActionDelete, Type: "disk", Name: "d"}, api.Succeeded); err != nil || in != `{"id":"d-1"}` {
			w.Errorf("the deletion has the inputs %s, %v", in, err)
		}
		if _, err := w.disk(); !errs.Is(err, errs.NotFound) || !strings.Contains(errs.Public(err).Hint, "req_0000006") {
			w.Errorf("what was deleted = %v", err)
		}
		if _, err := w.order("req_x", change(`{"gb":30}`), api.Succeeded); !errs.Is(err, errs.NotFound) {
			w.Errorf("a change of what is gone = %v; want not found", err)
		}
		for _, to := range []string{"", "0123456789", "req_0000003", "req_0000006", "req_000000"} {
			back.To = to
			if _, err := w.order("req_x", back, api.Succeeded); err == nil {
				w.Errorf("back to %q is accepted", to)
			}
		}
		back.To = "req_0000004"
		if in, err := w.order("req_0000007", back, api.Succeeded); err != nil || !strings.Contains(in, `"file":"resources/d.json"`) {
			w.Errorf("back to what was before the deletion has the inputs %s, %v", in, err)
		}
		if now, err = w.disk(); err != nil || len(now.History) != 7 || now.History[1].Action != api.ActionDelete {
			w.Errorf("made again it is %+v, %v", now, err)
		}
		log, err := w.commits(w.Context(), api.ListCommitsIn{NS: inDefault, Repository: "disks"})
		var titles []string
		for _, c := range log.Items {
			titles = append(titles, strings.TrimSpace(strings.SplitN(c.Message, "\n", 2)[0]))
		}
		if want := "req_0000007 req_0000006 req_0000005 req_0000004 req_0000003 req_0000002 req_0000001"; err != nil || !strings.HasPrefix(strings.Join(titles, " "), want) || len(titles) > 8 {
			w.Errorf("the commits are %v, %v; want one a request, and the first of the repository", titles, err)
		}
	})
}

// One request at a time changes a resource, and each on top of what it was shown.
func TestHold(t *testing.T) {
	inDiskWorld(t, func(w *world) {
		make := api.Ask{Entry: "disk", Params: json.RawMessage(`{"name":"d"}`)}
		change := api.Ask{Action: api.ActionModify, Type: "disk", Name: "d", Params: json.RawMessage(`{"gb":20}`)}
		if _, err := w.order("req_0000001", make, api.Succeeded); err != nil {
			w.Fatal(err)
		}
		a, err := w.resolveAsk(change)
		if err != nil {
			w.Fatal(err)
		}
		b, err := w.resolveAsk(change) // at the same time
		if err != nil {
			w.Fatal(err)
		}
		filed, err := w.file("req_0000002", a)
		if err != nil {
			w.Fatal(err)
		}
		if again, err := w.file("req_0000002", a); err != nil || again.Items[0].Source != filed.Items[0].Source {
			w.Errorf("filed again = %+v, %v; want the same commit", again, err)
		}
		if _, err := w.file("req_0000003", b); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "req_0000002") {
			w.Errorf("the second one filed = %v; want conflict", err)
		}
		if _, err := w.resolveAsk(change); !errs.Is(err, errs.Conflict) {
			w.Errorf("a third one asked = %v; want conflict", err)
		}
		w.end("req_0000002", change, a, filed, api.Succeeded)
		if _, err := w.file("req_0000003", b); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "moved on") {
			w.Errorf("the second one filed after the first = %v; want that it moved on", err)
		}
		if now, _ := w.disk(); now.Pending != "" {
			w.Errorf("a request that was refused holds it: %s", now.Pending)
		}
	})
}

// A resource with a time to live is deleted by one request, over restarts; one that fails is asked for again.
func TestExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		w.define(disk)
		stop := w.start()
		asked := map[string]int{}
		var last api.CreateRequestIn
		if err := api.CreateRequest.Handle(t.Context(), w.bus, func(_ context.Context, in api.CreateRequestIn) (api.Request, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			asked[in.Key]++
			last = in
			return api.Request{ID: "req_000000" + string(rune('1'+len(asked)))}, nil
		}); err != nil {
			t.Fatal(err)
		}
		ask := api.Ask{Entry: "disk", Params: json.RawMessage(`{"name":"d"}`), TTL: api.Duration(time.Hour)}
		if _, err := w.order("req_0000001", ask, api.Succeeded); err != nil {
			t.Fatal(err)
		}
		if now, _ := w.disk(); time.Until(now.Expires) > time.Hour || now.Expires.IsZero() {
			t.Errorf("it expires at %v", now.Expires)
		}
		stop()
		if err := w.Service.handle(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Minute) // sleep: the time of a bubble
		w.start()
		settled()
		settled()
		if len(asked) != 1 || last.Body.Action != api.ActionDelete || last.Body.Name != "d" {
			t.Fatalf("after an hour %v was asked; want one deletion", asked)
		}
		del := api.Ask{Action: api.ActionDelete, Type: "disk", Name: "d"}
		if _, err := w.order("req_0000002", del, api.Failed); err != nil {
			t.Fatal(err)
		}
		time.Sleep(expiryRest) // sleep: the time of a bubble
		settled()
		if len(asked) != 2 {
			t.Errorf("after a deletion that failed %d were asked for; want a second", len(asked))
		}
		if _, err := w.order("req_0000003", del, api.Succeeded); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * expiryRest) // sleep: the time of a bubble
		settled()
		if len(asked) != 2 {
			t.Errorf("of what is gone %d deletions were asked for", len(asked))
		}
	})
}

func TestObserve(t *testing.T) {
	inDiskWorld(t, func(w *world) {
		if _, err := w.order("req_0000001", api.Ask{Entry: "disk", Params: json.RawMessage(`{"name":"d"}`)}, api.Succeeded); err != nil {
			w.Fatal(err)
		}
		run := api.Run{ID: "run_look", Namespace: "default", State: api.Running}
		for _, err := range []error{
			api.StartRun.Handle(w.Context(), w.bus, func(_ context.Context, in api.StartRunIn) (api.Run, error) {
				if in.Body.Workflow != "disk.look" || string(in.Body.Inputs) != `{"id":"d-1"}` {
					w.Errorf("the run is of %s with %s", in.Body.Workflow, in.Body.Inputs)
				}
				return run, nil
			}),
			api.GetRun.Handle(w.Context(), w.bus, func(context.Context, api.GetRunIn) (api.Run, error) { return run, nil }),
		} {
			if err != nil {
				w.Fatal(err)
			}
		}
		see := func() *api.Observation {
			w.Helper()
			if _, err := api.ObserveResource.Call(w.as(api.Operator), w.bus, api.ObserveIn{ResourceIn: api.ResourceIn{NS: inDefault, Type: "disk", Name: "d"}}); err != nil {
				w.Fatal(err)
			}
			r, err := w.disk()
			if err != nil || r.Observed == nil {
				w.Fatalf("observed %+v, %v", r.Observed, err)
			}
			return r.Observed
		}
		if o := see(); o.State != api.Running || o.Drift != nil {
			w.Errorf("while the run goes on: %+v", o)
		}
		run.ID, run.State, run.Outputs, run.Ended = "run_look2", api.Succeeded, json.RawMessage(`{"id":"d-1","gb":12,"free":3}`), time.Now()
		if o := see(); len(o.Drift) != 1 || o.Drift[0].Path != "gb" || string(o.Drift[0].Before) != "10" || string(o.Drift[0].After) != "12" {
			w.Errorf("the drift is %+v; want that of gb", o.Drift)
		}
		run.ID, run.State, run.Failure = "run_look3", api.Failed, &api.RunFail{Failure: api.Failure{Message: "gone"}}
		if o := see(); o.State != api.Failed || o.Failure != "gone" {
			w.Errorf("a look that failed is %+v", o)
		}
	})
}

// A program validates and enriches like a Starlark handler.
func TestProgram(t *testing.T) {
	t.Parallel()
	w := newWorld(t, store.Config{Dir: t.TempDir()})
	typ := func(script string) string {
		return `{"kind":"ResourceType","name":"p","schema":{"type":"object","properties":{"name":{"type":"string"}}},"workflow":"x","handler":{"exec":{"argv":["/bin/sh","-c",` + script + `],"wall":"5s"}}}`
	}
	for name, c := range map[string]struct{ script, spec, want string }{
		"enriches": {`"grep -q user:anna && echo '{\"spec\":{\"name\":\"a\",\"mb\":4}}'"`, `{"mb":4,"name":"a"}`, ""},
		"refuses":  {`"echo '{\"problems\":[{\"path\":\"name\",\"message\":\"taken\",\"hint\":\"another\"}]}'"`, "", "body.params.name: taken"},
		"fails":    {`"echo broken >&2; exit 3"`, "", "exit status 3: broken"},
		"nonsense": {`"echo hello"`, "", "did not print an answer"},
		"nothing":  {`"echo {}"`, "", "neither spec nor problems"},
		"too much": {`"yes | head -c 2000000"`, "", "more than"},
	} {
		w.define(typ(c.script))
		got, err := w.resolveVM("p", `{"name":"a"}`)
		if string(got.Spec) != c.spec || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) || c.want == "" && err != nil {
			t.Errorf("%s: %s, %v; want %s %s", name, got.Spec, err, c.spec, c.want)
		}
	}
	out, err := api.CheckKind(api.KindResourceType).Call(bus.AsService(t.Context(), "definition"), w.bus, api.CheckIn{NS: inDefault, Files: []api.SourceFile{{Name: "p.yaml", Text: typ(`"true"`)}}})
	if err != nil || !slices.Equal(out.Needs, []string{"task.exec"}) {
		t.Errorf("a program as handler needs %v, %v; want task.exec", out.Needs, err)
	}
}
