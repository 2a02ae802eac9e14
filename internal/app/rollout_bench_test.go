package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"tutti/api"
	"tutti/internal/app"
	"tutti/sdk"
)

// controller reports a fleet to a server over HTTP.
type controller struct {
	b     testing.TB
	url   string // of the entity
	token string
	fleet []api.RolloutReport
}

// newController starts a server on SQLite and makes the entity of a fleet of n, which runs v1 and is to run v2.
func newController(b testing.TB, n int) *controller {
	b.Helper()
	s, _ := start(b, app.Config{Data: b.TempDir()})
	bootstrap, err := os.ReadFile(s.BootstrapToken)
	if err != nil {
		b.Fatal(err)
	}
	in := api.BootstrapIn{Body: api.BootstrapBody{Token: strings.TrimSpace(string(bootstrap)), User: "anna", Password: "correct horse battery"}}
	session, err := sdk.Call(b.Context(), client(b, s.Address, ""), api.Bootstrap, in)
	if err != nil {
		b.Fatal(err)
	}
	c := &controller{b: b, url: s.Address + "/v1/namespaces/default/rollouts/fleet", token: session.Secret, fleet: make([]api.RolloutReport, n)}
	for i := range c.fleet {
		c.fleet[i] = api.RolloutReport{Group: fmt.Sprint("g", i%4), Name: fmt.Sprintf("target-%07d", i), Version: "v1", Labels: map[string]string{"zone": fmt.Sprint("z", i%10)}}
	}
	c.call("PUT", "/policy", encoded(b, api.RolloutPolicy{
		Batch: "20%", Success: 99, Soak: api.Duration(time.Minute), Limit: api.Duration(time.Hour), Spread: "zone", Silence: api.Duration(time.Hour), Forget: api.Duration(3 * time.Hour),
		Limits: []api.RolloutLimit{{MinHealthy: "50%"}, {Per: "zone", MaxUnavailable: "50%"}},
	}))
	c.call("POST", "/mark-good", []byte(`{"version": "v1"}`))
	for _, body := range c.bodies(c.fleet) {
		c.call("POST", "/orchestrate", body)
	}
	c.call("POST", "/set-version", []byte(`{"version": "v2"}`))
	for i := range c.fleet {
		c.fleet[i].Labels = nil
	}
	return c
}

func encoded(b testing.TB, v any) []byte {
	b.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// bodies are reports as one or several calls of orchestrate.
func (c *controller) bodies(reports []api.RolloutReport) [][]byte {
	var out [][]byte
	for len(reports) > 0 {
		n := min(len(reports), 20_000)
		out = append(out, encoded(c.b, api.OrchestrateBody{Reports: reports[:n], Others: true}))
		reports = reports[n:]
	}
	return out
}

// call makes a call and returns how large its answer was.
func (c *controller) call(method, path string, body []byte) int64 {
	c.b.Helper()
	r, err := http.NewRequestWithContext(c.b.Context(), method, c.url+path, bytes.NewReader(body))
	if err != nil {
		c.b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.b.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		c.b.Fatalf("%s %s = %d %.500s", method, path, resp.StatusCode, text)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		c.b.Fatal(err)
	}
	return n
}

// BenchmarkOrchestrate shows what one call of POST …/orchestrate takes on a real server with SQLite, over HTTP, with
// all it does: authentication, schema, planner, commit, audit. "changed" reports 1,000 targets that became unhealthy or healthy,
// in the middle of a rollout; "full" reports 100,000 targets, in five calls, of which nothing changed.
func BenchmarkOrchestrate(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := newController(b, n)
			c.call("POST", "/orchestrate", []byte(`{"others": true}`)) // the first batch is asked
			b.Run("changed", func(b *testing.B) {
				part := min(n, 1000)
				var ill, well [][]byte
				for from := 0; from+part <= n && from < 20*part; from += part {
					reports := c.fleet[from : from+part]
					for health, list := range map[string]*[][]byte{"unhealthy": &ill, "healthy": &well} {
						for i := range reports {
							reports[i].Health = health
						}
						*list = append(*list, c.bodies(reports)...)
					}
				}
				for i := 0; b.Loop(); i++ {
					k := i % len(ill)
					if i/len(ill)%2 == 0 {
						c.call("POST", "/orchestrate", ill[k])
					} else {
						c.call("POST", "/orchestrate", well[k])
					}
				}
			})
			for i := range c.fleet {
				c.fleet[i].Health = "healthy"
			}
			b.Run("full", func(b *testing.B) {
				all := c.bodies(c.fleet[:min(n, 100_000)])
				for _, body := range all {
					c.call("POST", "/orchestrate", body)
				}
				for b.Loop() {
					for _, body := range all {
						c.call("POST", "/orchestrate", body)
					}
				}
			})
		})
	}
}
