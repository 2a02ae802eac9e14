package workflow_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/internal/workflow/simulate"
)

// TestExport takes a run elsewhere: what is shown there is what the server shows, as of each event, and
// neither a secret nor what a worker proves its claim with goes along.
func TestExport(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		h := open(t, dir)
		r := h.mustStart("tasks: {a: {use: noop, with: {pw: '${{ secrets.pw }}'}}, b: {use: noop, needs: [a]}}")
		as := h.poll(1).Assignments[0]
		if _, err := api.SetVars.Call(inside(t.Context()), h.bus, api.SetVarsIn{NS: api.NS{Namespace: "*"}, Token: as.Token, Body: map[string]json.RawMessage{"x": json.RawMessage(`1`)}}); err != nil {
			t.Fatal(err)
		}
		part, err := api.ExportRun.Call(admin(t.Context()), h.bus, api.ExportRunIn{NS: api.NS{Namespace: ns}, ID: r.ID})
		if err != nil || part.Next != 0 || len(part.Journal) == 0 {
			t.Fatalf("export = %+v, %v", part, err)
		}
		raw, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		_, nonce, _ := strings.Cut(as.Token, ".")
		if strings.Contains(string(raw), nonce) || strings.Contains(string(raw), "hunter22") {
			t.Errorf("the export holds a claim or a secret: %s", raw)
		}
		h.poll(0, api.Result{Token: as.Token, Outcome: api.Done})
		h.work()
		if part, err = api.ExportRun.Call(admin(t.Context()), h.bus, api.ExportRunIn{NS: api.NS{Namespace: ns}, ID: r.ID}); err != nil {
			t.Fatal(err)
		}
		e := simulate.ExportedRun{RunExport: part}
		for seq := int64(1); seq <= part.Run.Seq; seq++ {
			there, err := e.At(seq)
			if err != nil {
				t.Fatal(err)
			}
			here, _, err := h.runAt(r.ID, seq)
			if err != nil {
				t.Fatal(err)
			}
			got := there.View()
			got.Counts, got.AsOf = there.Counts(), here.AsOf
			if d := cmp.Diff(here, got); d != "" {
				t.Errorf("at %d (-server +export):\n%s", seq, d)
			}
		}
	})
}
