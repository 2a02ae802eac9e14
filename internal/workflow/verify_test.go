package workflow_test

import (
	"strings"
	"testing"

	"tutti/api"
	"tutti/internal/store"
	"tutti/internal/workflow"
)

// What Verify must find: each statement breaks a sound store in another way.
var damages = map[string]struct{ statement, want string }{
	"nothing":                  {"", ""},
	"a row that is gone":       {`DELETE FROM workflow_journal WHERE run = 1 AND seq = (SELECT max(seq) FROM workflow_journal WHERE run = 1)`, "the row of run"},
	"a row in the middle":      {`DELETE FROM workflow_journal WHERE run = 1 AND seq = (SELECT max(seq) FROM workflow_journal WHERE run = 1 AND seq < (SELECT max(seq) FROM workflow_journal WHERE run = 1))`, "run "},
	"another state":            {`UPDATE workflow_runs SET state = 'failed' WHERE n = 1`, "the row of run"},
	"a timer that is not set":  {`UPDATE workflow_runs SET wake = 0 WHERE n = 2`, "the row of run"},
	"no definition":            {`DELETE FROM workflow_definitions`, "cannot be loaded"},
	"another definition":       {`UPDATE workflow_definitions SET document = replace(document, 'noop', 'exec')`, "is not what was pinned"},
	"a key without its run":    {`UPDATE workflow_keys SET run = 'run_0000000000000000'`, "which is not there"},
	"an approval nobody needs": {`INSERT INTO workflow_approvals (run, task, namespace, asked, approval) SELECT id, 'a', namespace, 1, '{}' FROM workflow_runs WHERE n = 1`, "which does not wait for it"},
	"an approval not asked":    {`DELETE FROM workflow_approvals`, "not in the inbox"},
	"a place that is kept":     {`INSERT INTO workflow_places (namespace, key, once, run, path, most, priority, place, granted) SELECT namespace, 'k', 0, id, 'a', 1, 0, 1, 1 FROM workflow_runs WHERE n = 1`, "keeps a place"},
	"an event that is gone":    {`DELETE FROM workflow_outbox WHERE pos = 1`, "workflow_outbox has"},
	"an event that is broken":  {`UPDATE workflow_outbox SET data = '{' WHERE pos = 1`, "is not JSON"},
	"an act that is gone":      {`DELETE FROM workflow_audit WHERE pos = 1`, "workflow_audit has"},
	"a run put aside":          {`INSERT INTO workflow_poison (run, at, error) VALUES ('run_x', 1, 'it was poison')`, "it was poison"},
}

// TestVerify breaks a store in every way that Verify knows.
func TestVerify(t *testing.T) {
	for name, d := range damages {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, dir string) {
				h := open(t, dir)
				r, err := h.start("tasks: {a: {use: noop}, b: {use: noop, needs: [a]}}", "key")
				if err != nil {
					t.Fatal(err)
				}
				h.mustStart("tasks: {w: {use: wait, with: {for: 10h}}}")
				h.mustStart("tasks: {a: {use: approval, with: {text: now}}}")
				h.work()
				h.want(r.ID, api.Succeeded)
				h.stop()
				if got := verifyDamaged(t, dir, d.statement); d.want == "" && got != "" || !strings.Contains(got, d.want) {
					t.Errorf("Verify found %q; want %q", got, d.want)
				}
			})
		})
	}
}

// verifyDamaged carries out a statement and returns all that is found then, in lines.
func verifyDamaged(t *testing.T, dir, statement string) string {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Dir: dir}, "workflow", workflow.Migrations)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if statement != "" {
		if err := db.Tx(t.Context(), func(tx *store.Tx) error { return tx.Exec(statement) }); err != nil {
			t.Fatal(err)
		}
	}
	wrong, err := db.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	more, err := workflow.Verify(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(append(wrong, more...), "\n")
}
