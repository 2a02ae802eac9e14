package resource

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"tutti/internal/gitrepo"
	"tutti/internal/store"
)

// Verify reads every object of the repositories below dir and looks for every commit that was promised,
// and returns what is missing or damaged, in words. It changes nothing. The error is of the reading of
// the database or of the folder.
func Verify(ctx context.Context, db *store.DB, dir string) (wrong []string, err error) {
	dirs, err := filepath.Glob(filepath.Join(dir, "*", "*.git"))
	if err != nil {
		return nil, err
	}
	open := map[string]*gitrepo.Repo{}
	for _, d := range dirs {
		name := filepath.Base(filepath.Dir(d)) + "/" + strings.TrimSuffix(filepath.Base(d), ".git")
		r, err := gitrepo.Open(d, "")
		if err == nil {
			open[name], err = r, r.Verify(ctx)
		}
		if ctx.Err() != nil {
			return wrong, ctx.Err()
		}
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("repository %s: %v", name, err))
		}
	}
	rows, err := db.Query(ctx, `SELECT namespace, repository, revision FROM resource_commits WHERE revision <> ''`)
	if err != nil {
		return wrong, err
	}
	defer rows.Close()
	for rows.Next() {
		var namespace, name, revision string
		if err := rows.Scan(&namespace, &name, &revision); err != nil {
			return wrong, err
		}
		if text := missing(open, namespace+"/"+name, revision); text != "" && !slices.Contains(wrong, text) {
			wrong = append(wrong, text)
		}
	}
	return wrong, rows.Err()
}

// missing says that a commit is not there, or nothing.
func missing(open map[string]*gitrepo.Repo, repository, revision string) string {
	r := open[repository]
	if r == nil {
		return fmt.Sprintf("repository %s, which has commits, is not there", repository)
	}
	if _, err := r.List(revision, ""); err != nil {
		return fmt.Sprintf("commit %s of repository %s cannot be read: %v", revision, repository, err)
	}
	return ""
}
