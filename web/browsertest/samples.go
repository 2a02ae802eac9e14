package browsertest

import (
	_ "embed"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"tutti/api"
)

// definitions are what the sample requests run.
//
//go:embed testdata/samples.yaml
var definitions string

// Samples are requests and runs in every state.
type Samples struct {
	Succeeded, Failed, Waiting, Running api.Request
	// Many has a hundred tasks and more.
	Many api.Run
}

// world is the systems that sample tasks call: /work answers at once, /pace after 100 ms, /hold only when the test ends,
// /broken never well.
func world(t testing.TB) string {
	done := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/work", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"address": "10.20.4.31", "job": 5512, "for": %q}`, r.URL.Query().Get("for"))
	})
	mux.HandleFunc("/pace", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(100 * time.Millisecond): // a system that takes its time
		case <-r.Context().Done():
		}
		fmt.Fprint(w, "{}")
	})
	mux.HandleFunc("/hold", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-done:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error": "host unreachable"}`, http.StatusServiceUnavailable)
	})
	s := httptest.NewServer(mux)
	var once sync.Once
	t.Cleanup(func() { once.Do(func() { close(done) }); s.Close() })
	return s.URL
}

// Fill puts samples into a site.
func (s *Site) Fill() Samples {
	s.t.Helper()
	s.Apply(strings.ReplaceAll(definitions, "http://world", world(s.t)))
	s.rollOut("app-service", 40)
	var x Samples
	ask := func(name, mode string) api.Request {
		return s.Request("web-server", fmt.Sprintf(`{"name": %q, "network": "INTRANET_DEV", "mode": %q}`, name, mode))
	}
	x.Succeeded, x.Failed, x.Waiting, x.Running = ask("web-dev-05", "fine"), ask("web-dev-06", "broken"), ask("shop-prod-01", "approval"), ask("web-dev-07", "hold")
	x.Many = Call(s, s.Anna, api.StartRun, api.StartRunIn{Body: api.StartRunBody{Workflow: "fleet.update", Title: "Update the fleet"}})
	x.Succeeded, x.Failed = s.Await(x.Succeeded.ID, api.Succeeded), s.Await(x.Failed.ID, api.Failed)
	x.Waiting, x.Running = s.Await(x.Waiting.ID, api.Waiting), s.Await(x.Running.ID, api.Running)
	x.Many = Call(s, s.Anna, api.GetRun, api.GetRunIn{ID: x.Many.ID, Wait: api.Duration(patience - 5*time.Second)})
	return x
}
