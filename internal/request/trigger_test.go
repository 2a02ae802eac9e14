package request

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/document"
)

const moreWeb = `
kind: Trigger
name: more-web
match: { alertname: HighLoad }
request: { entry: small-vm, params: { name: "web-${{ alert.labels.pool }}-${{ n }}" }, title: "More for ${{ alert.labels.pool }}" }
ceiling: 2
cooldown: 10m
resolved: delete
`

func alert(status, fingerprint, pool string, starts time.Time) api.Alert {
	return api.Alert{Status: status, Fingerprint: fingerprint, Labels: map[string]string{"alertname": "HighLoad", "pool": pool}, StartsAt: starts}
}

func (w *world) fire(alerts ...api.Alert) string {
	w.Helper()
	ctx := bus.WithCaller(w.Context(), bus.Caller{Subject: "token:alertmanager", Grants: []bus.Grant{{Namespace: "default", Role: api.Monitor}}})
	out, err := api.FireTrigger.Call(ctx, w.bus, api.FireIn{NS: inDefault, Name: "more-web", Body: api.AlertBody{Alerts: alerts}})
	if err != nil {
		return errs.Public(err).Error()
	}
	var words []string
	for _, f := range out.Firings {
		words = append(words, f.Outcome)
	}
	return strings.Join(words, " ")
}

func (w *world) publish(text string) {
	w.Helper()
	err := api.GetDefinition.Handle(w.Context(), w.bus, func(_ context.Context, in api.GetDefinitionIn) (api.Definition, error) {
		if in.Name != "more-web" {
			return api.Definition{}, errs.New(errs.NotFound, "no %s", in.Name)
		}
		docs, problems := document.Parse("t.yaml", []byte(text))
		if len(problems) > 0 {
			return api.Definition{}, errs.New(errs.Internal, "%v", problems)
		}
		return api.Definition{Kind: in.Kind, Name: in.Name, Document: docs[0].JSON}, nil
	})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) requests() (out []api.Request) {
	w.Helper()
	page, err := api.ListRequests.Call(w.as(api.Viewer), w.bus, api.ListRequestsIn{NS: inDefault})
	if err != nil {
		w.Fatal(err)
	}
	return page.Items
}

func TestTrigger(t *testing.T) {
	inBubble(t, func(w *world) {
		w.publish(moreWeb)
		stop := w.start()
		t0 := time.Now().UTC()
		first := alert("firing", "f1", "a", t0)
		for i, want := range []string{"filed", "known", "known"} {
			if got := w.fire(first); got != want {
				w.Errorf("delivery %d = %s; want %s", i+1, got, want)
			}
		}
		if all := w.requests(); len(all) != 1 || all[0].Name != "web-a-1" || all[0].Requester != "trigger:more-web" || all[0].Title != "More for a" {
			w.Fatalf("the requests are %+v", all)
		}
		if got := w.fire(alert("firing", "f2", "b", t0), api.Alert{Status: "firing", Fingerprint: "f9", StartsAt: t0, Labels: map[string]string{"alertname": "DiskFull"}}); got != "cooling unmatched" {
			w.Errorf("a second one at once = %s; want that it rests", got)
		}
		stop() // what is known survives
		w.start()
		time.Sleep(10 * time.Minute) // sleep: the time of a bubble
		if got := w.fire(first, alert("firing", "f2", "b", t0)); got != "known filed" {
			w.Errorf("the same again after its rest = %s", got)
		}
		time.Sleep(10 * time.Minute) // sleep: the time of a bubble
		if got := w.fire(alert("firing", "f3", "c", t0)); got != "ceiling" {
			w.Errorf("the third = %s; want the ceiling", got)
		}
		settle()
		run, _ := w.run(w.requests()[1].ID)
		run.State = api.Succeeded
		w.finish(run)
		settle()
		over := alert("resolved", "f1", "a", t0)
		if got := w.fire(over, alert("resolved", "f3", "c", t0)); got != "reversed resolved" {
			w.Errorf("resolved = %s", got)
		}
		settle()
		all := w.requests()
		if len(all) != 3 || all[0].Action != api.ActionDelete || all[0].Name != "web-a-1" {
			w.Fatalf("after the alert is over the requests are %+v", all)
		}
		if got := w.fire(over); got != "reversed" || len(w.requests()) != 3 {
			w.Errorf("resolved again = %s, %d requests", got, len(w.requests()))
		}
		if got := w.fire(alert("firing", "f3", "c", t0)); got != "ceiling" {
			w.Errorf("before the deletion has succeeded = %s; want the ceiling", got)
		}
		run, _ = w.run(all[0].ID)
		run.State = api.Succeeded
		w.finish(run)
		settle()
		if got := w.fire(alert("firing", "f3", "c", t0)); got != "filed" {
			w.Errorf("after the deletion = %s; want filed", got)
		}
		tr, err := api.GetTrigger.Call(w.as(api.Viewer), w.bus, api.TriggerIn{NS: inDefault, Name: "more-web"})
		if err != nil || tr.Live != 2 || len(tr.Firings) != 3 || tr.Next.IsZero() {
			w.Errorf("the trigger stands at %+v, %v", tr, err)
		}
	})
}

// A request that is refused counts for nothing, and who may not fire does not.
func TestTriggerRefused(t *testing.T) {
	inBubble(t, func(w *world) {
		w.publish(moreWeb)
		w.start()
		t0 := time.Now().UTC()
		w.set(func() { w.refuse[api.ResolveResource.Name] = errs.New(errs.Invalid, "not today") })
		if got := w.fire(alert("firing", "f1", "a", t0)); got != "refused" {
			w.Errorf("a refused request = %s", got)
		}
		w.set(func() { delete(w.refuse, api.ResolveResource.Name); w.down[api.ResolveResource.Name] = true })
		if got := w.fire(alert("firing", "f1", "a", t0)); !strings.Contains(got, "down") {
			w.Errorf("with resource down = %s; want an error, so that it is delivered again", got)
		}
		w.set(func() { w.down = map[string]bool{} })
		if got := w.fire(alert("firing", "f1", "a", t0)); got != "filed" {
			w.Errorf("delivered again = %s", got)
		}
		for _, role := range []string{api.Viewer, api.Operator, api.Author, api.Worker} {
			if _, err := api.FireTrigger.Call(w.as(role), w.bus, api.FireIn{NS: inDefault, Name: "more-web"}); !errs.Is(err, errs.Denied) {
				w.Errorf("%s fires: %v; want denied", role, err)
			}
		}
		monitor := w.as(api.Monitor)
		if _, err := api.ListRequests.Call(monitor, w.bus, api.ListRequestsIn{NS: inDefault}); !errs.Is(err, errs.Denied) {
			w.Errorf("a monitor reads requests: %v; want denied", err)
		}
		if _, err := api.FireTrigger.Call(monitor, w.bus, api.FireIn{NS: inDefault, Name: "other"}); !errs.Is(err, errs.NotFound) {
			w.Errorf("another trigger = %v; want not found", err)
		}
	})
}

func TestCheckTrigger(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		for _, c := range []struct{ old, by, want string }{
			{"", "", ""},
			{"ceiling: 2", "ceiling: 0", "ceiling"},
			{"cooldown: 10m", "cooldown: soon", "cooldown"},
			{"alert.labels.pool", "labels.pool", `no "labels"`},
			{"resolved: delete", "resolved: dance", "resolved"},
			{"entry: small-vm, ", "", "entry"},
		} {
			text := strings.Replace(moreWeb, c.old, c.by, 1)
			out, err := api.CheckKind(api.KindTrigger).Call(bus.AsService(w.Context(), "definition"), w.bus, api.CheckIn{NS: inDefault, Files: []api.SourceFile{{Name: "t.yaml", Text: text}}})
			if err != nil || (c.want == "") != (len(out.Problems) == 0) || !strings.Contains(fmt.Sprint(out.Problems), c.want) {
				w.Errorf("check with %q = %v, %v; want %q", c.by, out.Problems, err, c.want)
			}
		}
	})
}

// What Alertmanager sends is read as it comes.
func TestAlertmanagerBody(t *testing.T) {
	t.Parallel()
	const body = `{"version":"4","groupKey":"{}:{alertname=\"HighLoad\"}","truncatedAlerts":0,"status":"firing","receiver":"tutti","groupLabels":{"alertname":"HighLoad"},
		"commonLabels":{"alertname":"HighLoad"},"commonAnnotations":{},"externalURL":"http://am:9093","alerts":[{"status":"firing","labels":{"alertname":"HighLoad"},"annotations":{},
		"startsAt":"2026-11-28T10:00:00.123456789Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prom","fingerprint":"b1946ac92492d234"}]}`
	var in api.AlertBody
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil || len(in.Alerts) != 1 || in.Alerts[0].Fingerprint == "" {
		t.Errorf("what Alertmanager sends = %+v, %v", in, err)
	}
}
