package request

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"tutti/api"
	"tutti/errs"
)

// three asks for three machines, two of them by a count.
func three() api.CreateRequestIn {
	return api.CreateRequestIn{NS: inDefault, Body: api.CreateRequestBody{Resources: []api.Ask{
		{Entry: "small-vm", Params: json.RawMessage(`{"name":"db"}`)},
		{Entry: "small-vm", Params: json.RawMessage(`{"name":"web"}`), Count: 2, TTL: api.Duration(3600e9)},
	}}}
}

func namesOf(r api.Request) (out []string) {
	for _, it := range r.Items() {
		out = append(out, it.Name+" "+string(it.State))
	}
	return out
}

// child says that the run of one resource of a request ended.
func (w *world) child(run api.Run, n int, state api.State) {
	w.Helper()
	c := api.Run{ID: api.RunID("run_child_" + taskOf(n)), Namespace: "default", Request: run.Request, Trace: run.Trace, State: state,
		Parent: &api.TaskRef{Run: run.ID, Task: taskOf(n)}, Outputs: json.RawMessage(`{"n":` + taskOf(n)[1:] + `}`)}
	if state == api.Failed {
		c.Outputs, c.Failure = nil, &api.RunFail{Task: "build", Failure: api.Failure{Type: "boom", Message: "no room"}}
	}
	w.finish(c)
}

func TestSeveral(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		r := w.create(three())
		if got, want := strings.Join(namesOf(r), ", "), "db pending, web-01 pending, web-02 pending"; got != want {
			w.Errorf("the request is for %s; want %s", got, want)
		}
		if r.Title != "3 resources: db, web-01, web-02" || r.Type != "virtual-machine" || r.Resources[1].TTL.String() != "1h" {
			w.Errorf("the request is %+v", r)
		}
		settle()
		run, ok := w.run(r.ID)
		if !ok {
			w.Fatal("no run was started")
		}
		w.child(run, 0, api.Succeeded)
		w.child(run, 2, api.Failed)
		run.State, run.Failure = api.Failed, &api.RunFail{Task: "r3", Failure: api.Failure{Message: "no room"}}
		w.finish(run)
		settle()
		r = w.get(r.ID)
		if got, want := strings.Join(namesOf(r), ", "), "db succeeded, web-01 cancelled, web-02 failed"; got != want {
			w.Errorf("after it ended: %s; want %s", got, want)
		}
		if string(r.Resources[0].Outputs) != `{"n":1}` || r.Resources[2].Failure.Message != "no room" {
			w.Errorf("the outcomes are %+v", r.Resources)
		}
		page, err := api.ListRequests.Call(w.as(api.Viewer), w.bus, api.ListRequestsIn{NS: inDefault})
		if err != nil || len(page.Items) != 1 || len(page.Items[0].Resources) != 3 || page.Items[0].Resources[0].Spec != nil {
			w.Errorf("list = %+v, %v; want the resources without what is large", page.Items, err)
		}
		again, err := api.ResubmitRequest.Call(w.as(api.Operator), w.bus, api.ResubmitIn{NS: inDefault, ID: r.ID})
		if err != nil || len(again.Resources) != 3 || again.Resources[2].Name != "web-02" {
			w.Errorf("resubmit = %+v, %v", again, err)
		}
	})
}

// One entry that is wrong leaves nothing of the request.
func TestSeveralRefused(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		for name, c := range map[string]struct {
			change func(*api.CreateRequestBody)
			want   []string
		}{
			"an unknown entry":   {func(b *api.CreateRequestBody) { b.Resources[1].Entry = "moon" }, []string{"body.resources[1]", "moon"}},
			"twice the same":     {func(b *api.CreateRequestBody) { b.Resources[0].Params = json.RawMessage(`{"name":"web-02"}`) }, []string{"body.resources[1]", "asked for already, at body.resources[0]"}},
			"a count of no name": {func(b *api.CreateRequestBody) { b.Resources[1].Params = json.RawMessage(`{"name":7}`) }, []string{"body.resources[1].params.name"}},
			"a type to create":   {func(b *api.CreateRequestBody) { b.Resources[0].Type = "x" }, []string{"body.resources[0].type"}},
			"params are a list":  {func(b *api.CreateRequestBody) { b.Resources[1].Params = json.RawMessage(`[]`) }, []string{"body.resources[1].params"}},
			"an entry beside":    {func(b *api.CreateRequestBody) { b.Entry = "small-vm" }, []string{"body.resources"}},
			"too many":           {func(b *api.CreateRequestBody) { b.Resources[1].Count = 200 }, []string{"201 resources"}},
			"to without action":  {func(b *api.CreateRequestBody) { b.Resources[0].To = "1234567" }, []string{"body.resources[0].to"}},
		} {
			in := three()
			c.change(&in.Body)
			_, err := api.CreateRequest.Call(w.as(api.Operator), w.bus, in)
			text := ""
			if err != nil {
				text = err.Error()
				for _, p := range errs.Public(err).Problems {
					text += " " + p.Location + ": " + p.Message
				}
			}
			if slices.ContainsFunc(c.want, func(part string) bool { return !strings.Contains(text, part) }) {
				w.Errorf("%s: %q; want %q", name, text, c.want)
			}
		}
		settle()
		if w.starts > 0 || len(w.mails) > 0 || len(w.acts()) > 0 {
			w.Errorf("refusals left %d runs, %d mails, acts %v", w.starts, len(w.mails), w.acts())
		}
	})
}

func TestNumbered(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		params string
		count  int
		want   string
	}{
		{`{"name":"web","cpu":1}`, 2, `{"cpu":1,"name":"web-01"} {"cpu":1,"name":"web-02"}`},
		{`{"name":"web{n}.lan"}`, 2, `{"name":"web01.lan"} {"name":"web02.lan"}`},
	} {
		all, wrong := numbered(api.Ask{Params: json.RawMessage(c.params), Count: c.count}, "body")
		var got []string
		for _, a := range all {
			got = append(got, string(a.Params))
		}
		if wrong != nil || strings.Join(got, " ") != c.want {
			t.Errorf("numbered(%s, %d) = %s, %v; want %s", c.params, c.count, got, wrong, c.want)
		}
	}
	if all, _ := numbered(api.Ask{Params: json.RawMessage(`{"name":"a"}`), Count: 100}, "body"); len(all) != 100 || !strings.Contains(string(all[0].Params), "a-001") {
		t.Errorf("a hundred begin with %s; want a-001", all[0].Params)
	}
}

// What has files is filed before the run, which gets their commits; a refusal there ends the request.
func TestFiled(t *testing.T) {
	inBubble(t, func(w *world) {
		w.set(func() { w.filing = true })
		w.start()
		r := w.create(three())
		one := w.create(smallVM("web-09"))
		settle()
		run, ok := w.run(r.ID)
		if !ok || run.State != api.Running {
			w.Fatal("no run was started")
		}
		got := w.get(r.ID)
		if s := got.Resources[2].Source; s == nil || s.Commit != "c0ffee" || s.Path != "resources/web-02.json" {
			w.Errorf("the file of the third is %+v", s)
		}
		if s := w.get(one.ID).Source; s == nil || s.Commit != "c0ffee" {
			w.Errorf("the file of the one is %+v", s)
		}
		w.mu.Lock()
		inputs := w.inputs["request/"+one.ID]
		w.mu.Unlock()
		if string(inputs) != `{"commit":"c0ffee"}` {
			w.Errorf("the run has the inputs %s; want those with the commit", inputs)
		}
		w.set(func() { w.refuse[api.FileResources.Name] = errs.New(errs.Conflict, "it has moved on") })
		late := w.create(smallVM("web-10"))
		settle()
		if late = w.get(late.ID); late.State != api.Failed || late.Run != "" || !strings.Contains(late.Failure.Message, "moved on") {
			w.Errorf("a request whose resource moved on is %s: %+v", late.State, late.Failure)
		}
	})
}

func TestPlanOfSeveral(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		plan, err := api.PlanRequest.Call(w.as(api.Operator), w.bus, api.PlanRequestIn{NS: inDefault, Body: three().Body})
		if err != nil || len(plan.Resources) != 3 || plan.Resources[2].Name != "web-02" || plan.Resources[2].TTL.String() != "1h" || len(plan.Open) == 0 {
			w.Errorf("plan = %+v, %v", plan, err)
		}
		if _, err := api.PlanRequest.Call(w.as(api.Viewer), w.bus, api.PlanRequestIn{NS: inDefault, Body: three().Body}); !errs.Is(err, errs.Denied) {
			w.Errorf("a viewer's plan = %v; want denied", err)
		}
	})
}
