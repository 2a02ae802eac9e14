package file

import (
	"context"
	"database/sql"
	"strings"

	"tutti/api"
	"tutti/id"
	"tutti/internal/blob"
	"tutti/internal/store"
)

const columns = `id, namespace, name, type, digest, size, trace, author, created`

func scan(r interface{ Scan(...any) error }) (f api.File, err error) {
	var created int64
	err = r.Scan(&f.ID, &f.Namespace, &f.Name, &f.Type, &f.Digest, &f.Size, &f.Trace, &f.By, &created)
	f.Created = store.Time(created)
	return f, err
}

func scanAll(rows *sql.Rows, err error) ([]api.File, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := []api.File{}
	for rows.Next() {
		f, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, rows.Err()
}

// insertFile reports false where the key was used before.
func insertFile(tx *store.Tx, f api.File, key string) (bool, error) {
	n, err := tx.Changed(`INSERT INTO file_files (idem, `+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		key, f.ID, f.Namespace, f.Name, f.Type, f.Digest, f.Size, f.Trace, f.By, store.Micros(f.Created))
	return n == 1, err
}

func selectByKey(tx *store.Tx, namespace, key string) (api.File, error) {
	f, err := scan(tx.QueryRow(`SELECT `+columns+` FROM file_files WHERE namespace = ? AND idem = ?`, namespace, key))
	return f, store.NoRow(err, "no file with the key %q", key)
}

func (s *Service) selectByID(ctx context.Context, namespace, id string) (api.File, error) {
	f, err := scan(s.db.QueryRow(ctx, `SELECT `+columns+` FROM file_files WHERE namespace = ? AND id = ?`, namespace, id))
	return f, store.NoRow(err, "no file %.80q in namespace %s", id, namespace)
}

func (s *Service) selectByDigest(ctx context.Context, namespace, digest string) (api.File, error) {
	f, err := scan(s.db.QueryRow(ctx, `SELECT `+columns+` FROM file_files WHERE namespace = ? AND digest = ? ORDER BY created DESC, id DESC LIMIT 1`, namespace, digest))
	return f, store.NoRow(err, "no file %s in namespace %s", digest, namespace)
}

func (s *Service) selectPage(ctx context.Context, namespace, trace string, from store.Mark, limit int) ([]api.File, error) {
	args := append([]any{namespace, trace, trace}, from.Args()...)
	return scanAll(s.db.Query(ctx, `SELECT `+columns+` FROM file_files WHERE namespace = ? AND (? = '' OR trace = ?) AND (created, id) < (?, ?)
		ORDER BY created DESC, id DESC LIMIT ?`, append(args, limit)...))
}

// selectPrefix returns files whose ID begins with prefix, of the letters of IDs; z is the last of them.
func (s *Service) selectPrefix(ctx context.Context, namespace, prefix string, limit int) ([]api.File, error) {
	return scanAll(s.db.Query(ctx, `SELECT `+columns+` FROM file_files WHERE namespace = ? AND id >= ? AND id <= ? ORDER BY id LIMIT ?`,
		namespace, prefix, prefix+strings.Repeat("z", id.Len), limit))
}

// deleteFile removes a file and returns its digest.
func deleteFile(tx *store.Tx, namespace, id string) (d blob.Digest, err error) {
	err = tx.QueryRow(`DELETE FROM file_files WHERE namespace = ? AND id = ? RETURNING digest`, namespace, id).Scan(&d)
	return d, store.NoRow(err, "no file %q in namespace %s", id, namespace)
}

// holdBlob keeps the blob from being deleted until the transaction ends, and after, if it adds a file.
func holdBlob(tx *store.Tx, d blob.Digest) error {
	return tx.Exec(`INSERT INTO file_blobs (digest, unused) VALUES (?, 0) ON CONFLICT (digest) DO UPDATE SET unused = 0`, string(d))
}

// markUnused notes that a blob may go, and reports whether it may: whether no file has it.
func markUnused(tx *store.Tx, d blob.Digest) (bool, error) {
	// Locked first: on PostgreSQL the statement that asks then sees what others committed before.
	if err := tx.Exec(`UPDATE file_blobs SET unused = unused WHERE digest = ?`, string(d)); err != nil {
		return false, err
	}
	n, err := tx.Changed(`UPDATE file_blobs SET unused = 1 WHERE digest = ? AND NOT EXISTS (SELECT 1 FROM file_files f WHERE f.digest = file_blobs.digest)`, string(d))
	return n == 1, err
}

func (s *Service) selectUnused(ctx context.Context, limit int) ([]blob.Digest, error) {
	rows, err := s.db.Query(ctx, `SELECT digest FROM file_blobs WHERE unused = 1 LIMIT ?`, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []blob.Digest
	for rows.Next() {
		var d blob.Digest
		if err := rows.Scan(&d); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// takeUnused removes and locks the row of a blob, and reports false where a file has it by now.
func takeUnused(tx *store.Tx, d blob.Digest) (bool, error) {
	n, err := tx.Changed(`DELETE FROM file_blobs WHERE digest = ? AND unused = 1`, string(d))
	return n == 1, err
}
