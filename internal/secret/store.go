package secret

import (
	"context"
	"time"

	"tutti/api"
	"tutti/internal/store"
)

func (s *Service) selectAll(ctx context.Context, namespace string) ([]api.SecretInfo, error) {
	rows, err := s.db.Query(ctx, `SELECT name, version, author, updated FROM secret_secrets WHERE namespace = ? AND sealed <> '' ORDER BY name`, namespace)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := []api.SecretInfo{}
	for rows.Next() {
		var i api.SecretInfo
		var updated int64
		if err := rows.Scan(&i.Name, &i.Version, &i.By, &updated); err != nil {
			return nil, err
		}
		i.Updated = store.Time(updated)
		out = append(out, i)
	}
	return out, rows.Err()
}

// nextVersion raises the version of a secret, which nobody else can then do until the transaction ends.
func nextVersion(tx *store.Tx, namespace string, i api.SecretInfo) (version int, err error) {
	err = tx.QueryRow(`INSERT INTO secret_secrets (namespace, name, version, sealed, author, updated) VALUES (?, ?, 1, '', ?, ?)
		ON CONFLICT (namespace, name) DO UPDATE SET version = secret_secrets.version + 1, author = excluded.author, updated = excluded.updated
		RETURNING version`, namespace, i.Name, i.By, store.Micros(i.Updated)).Scan(&version)
	return version, err
}

// setSealed stores the sealed value of a version, unless there is a newer one.
func setSealed(tx *store.Tx, namespace, name string, version int, sealed string) error {
	return tx.Exec(`UPDATE secret_secrets SET sealed = ? WHERE namespace = ? AND name = ? AND version = ?`, sealed, namespace, name, version)
}

// removeValue forgets a value and keeps the number of its version; it reports whether there was one.
func removeValue(tx *store.Tx, namespace, name string, now time.Time) (bool, error) {
	n, err := tx.Changed(`UPDATE secret_secrets SET sealed = '', version = version + 1, updated = ? WHERE namespace = ? AND name = ? AND sealed <> ''`,
		store.Micros(now), namespace, name)
	return n == 1, err
}

func (s *Service) selectOne(ctx context.Context, namespace, name string) (version int, sealed string, err error) {
	err = s.db.QueryRow(ctx, `SELECT version, sealed FROM secret_secrets WHERE namespace = ? AND name = ? AND sealed <> ''`, namespace, name).Scan(&version, &sealed)
	return version, sealed, store.NoRow(err, "no secret %q", name)
}

// sealedRow is a stored value.
type sealedRow struct {
	namespace, name, sealed string
	version                 int
}

func (s *Service) selectSealed(ctx context.Context) ([]sealedRow, error) {
	rows, err := s.db.Query(ctx, `SELECT namespace, name, version, sealed FROM secret_secrets WHERE sealed <> ''`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []sealedRow
	for rows.Next() {
		var r sealedRow
		if err := rows.Scan(&r.namespace, &r.name, &r.version, &r.sealed); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}
