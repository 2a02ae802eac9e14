package arch

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A slice's tables carry its name as prefix, and no statement of another slice names them: so each
// service can have a database of its own.
func TestTableOwnership(t *testing.T) {
	t.Parallel()
	eachFile(t, func(f *file) []string {
		if f.tests {
			return nil // tests may look behind the scenes
		}
		owner, free := owner(path.Dir(f.name))
		if free {
			return nil
		}
		ctes := commonTables(string(f.src))
		var complaints []string
		ast.Inspect(f.ast, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				return true // a number or a rune
			}
			for _, c := range checkTables(owner, text, ctes) {
				complaints = append(complaints, f.at(lit)+": "+c)
			}
			return true
		})
		return complaints
	})
	for _, name := range kept(t) {
		if owner, free := owner(path.Dir(name)); strings.HasSuffix(name, ".sql") && !free && !strings.Contains(name, "/testdata/") {
			sql := string(content(t, name))
			for _, c := range checkTables(owner, sql, commonTables(sql)) {
				t.Errorf("%s: %s", name, c)
			}
		}
	}
}

// owner returns the slice that owns the SQL of a folder, "" where nothing but a slice or the store
// may have any; internal/store and its tests are free.
func owner(dir string) (slice string, free bool) {
	if _, ok := under("internal/store/...", dir); ok {
		return "", true
	}
	if rank, unit, ok := place(dir); ok && layers[rank].name == "services" {
		return path.Base(unit), false
	}
	return "", false
}

var (
	// Keywords are upper case and names lower case, as everywhere in Tutti's SQL: so prose is no SQL.
	named = regexp.MustCompile(`\b(FROM|JOIN|INTO|UPDATE|TABLE|REFERENCES|TRUNCATE|INDEX [A-Za-z_ ]*?\bON)\s+(?:ONLY\s+)?(?:IF\s+(?:NOT\s+)?EXISTS\s+)?"?([a-z_][a-z0-9_.]*)"?(\s*\()?`)
	cte   = regexp.MustCompile(`\b([a-z_][a-z0-9_]*)\s*(?:\([a-z0-9_,\s]*\)\s*)?AS\s+(?:NOT\s+)?(?:MATERIALIZED\s+)?\(`)
	// comment matches to the end of a line.
	comment = regexp.MustCompile(`--[^\n]*`)
)

// commonTables returns the names that WITH gives in a file, whose statements may be in pieces.
func commonTables(text string) map[string]bool {
	names := map[string]bool{}
	for _, m := range cte.FindAllStringSubmatch(text, -1) {
		names[m[1]] = true
	}
	return names
}

// checkTables complains of each table in sql that is not the owner's.
func checkTables(owner, sql string, ctes map[string]bool) []string {
	var complaints []string
	sql = comment.ReplaceAllString(sql, "")
	for _, at := range named.FindAllStringSubmatchIndex(sql, -1) {
		keyword, table, called := sql[at[2]:at[3]], sql[at[4]:at[5]], at[6] >= 0
		reads := keyword == "FROM" || keyword == "JOIN"
		switch {
		case reads && called: // a function: FROM json_each(…)
		case keyword == "FROM" && strings.HasSuffix(strings.TrimSpace(sql[:at[2]]), "DISTINCT"): // an operator
		case ctes[table]:
		case owner == "":
			complaints = append(complaints, fmt.Sprintf("SQL on table %s: SQL belongs in a slice's store.go or in internal/store", table))
		case !strings.HasPrefix(table, owner+"_"):
			complaints = append(complaints, fmt.Sprintf("names table %s, which is not of this slice (%s_…): call its owner on the bus", table, owner))
		}
	}
	return complaints
}

func TestCheckTables(t *testing.T) {
	t.Parallel()
	const not = "is not of this slice (request_…)"
	for _, c := range []struct {
		sql  string
		want []string
	}{
		{"SELECT * FROM request_requests WHERE id = ?", nil},
		{"SELECT * FROM workflow_runs", []string{"names table workflow_runs, which " + not}},
		{"SELECT * FROM request_a a JOIN notify_mails m ON m.id = a.id", []string{not}},
		{"INSERT INTO request_a (id) VALUES (?) ON CONFLICT (id) DO UPDATE SET n = excluded.n", nil},
		{"INSERT INTO requests(id) VALUES (?)", []string{"requests"}},
		{"UPDATE file_files SET a = 1", []string{"file_files"}},
		{"DELETE FROM file_files", []string{"file_files"}},
		{"CREATE TABLE IF NOT EXISTS other (id TEXT REFERENCES file_files)", []string{"other", "file_files"}},
		{"CREATE UNIQUE INDEX request_i ON other (a)", []string{"other"}},
		{"CREATE INDEX IF NOT EXISTS request_i ON request_a (a)", nil},
		{"ALTER TABLE request_a ADD COLUMN b TEXT; DROP TABLE IF EXISTS b", []string{"table b"}},
		{"WITH due AS (SELECT id FROM request_a) SELECT * FROM due, json_each(due.x)", nil},
		{"WITH RECURSIVE up(id) AS (SELECT id FROM request_a UNION SELECT 1 FROM up) SELECT * FROM up", nil},
		{"SELECT 1 FROM request_a WHERE a IS DISTINCT FROM b", nil},
		{"SELECT extract(epoch FROM clock_timestamp())", nil},
		{"SELECT value FROM json_each(?)", nil},
		{"SELECT 1 FROM request_a FOR UPDATE SKIP LOCKED -- FROM other", nil},
		{"take it from the update into table x", nil},
	} {
		expect(t, c.sql, checkTables("request", c.sql, commonTables(c.sql)), c.want)
	}
	expect(t, "no slice", checkTables("", "SELECT 1 FROM x", nil), []string{"SQL belongs in a slice"})
}

func TestOwner(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]string{
		"internal/request":             "request false",
		"internal/request/migrations":  "request false",
		"internal/workflow/core":       " false",
		"internal/store/migrations":    " true",
		"internal/workflow/migrations": "workflow false",
		"api":                          " false",
	} {
		slice, free := owner(dir)
		if got := fmt.Sprint(slice, " ", free); got != want {
			t.Errorf("owner(%q) = %q; want %q", dir, got, want)
		}
	}
}
