package rollouts

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"tutti/errs"
	"tutti/internal/store"
)

// keyMemory is for how long an idempotency key is remembered.
const keyMemory = 7 * 24 * time.Hour

// errRepeated says that a call with the same key was carried out already.
var errRepeated = errors.New("it was done already")

// hashOf returns the hash of what a call asks.
func hashOf(in any) string {
	text, err := json.Marshal(in)
	if err != nil {
		return "" // what was read as JSON can be written as JSON
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// once reports whether the call with the key was carried out already. It returns errs.Conflict where the
// key was used for something else.
func (s *Service) once(ctx context.Context, namespace, key string, in any) (done bool, err error) {
	if key == "" {
		return false, nil
	}
	var hash string
	err = s.store.db.QueryRow(ctx, `SELECT hash FROM rollouts_keys WHERE namespace = ? AND idem = ?`, namespace, key).Scan(&hash)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, sameCall(key, hash, hashOf(in))
}

func sameCall(key, was, is string) error {
	if was != is {
		return errs.New(errs.Conflict, "the Idempotency-Key %.80q was used for another call", key).
			WithHint("use a new key for each call; repeat a key only with the same body")
	}
	return nil
}

// takeKey gives the key to a call. It returns errRepeated where the same call has it, and errs.Conflict
// where another has.
func takeKey(tx *store.Tx, namespace, key, hash string) error {
	if key == "" {
		return nil
	}
	now := time.Now()
	if err := tx.Exec(`DELETE FROM rollouts_keys WHERE taken < ?`, now.Add(-keyMemory).UnixMicro()); err != nil {
		return err
	}
	n, err := tx.Changed(`INSERT INTO rollouts_keys (namespace, idem, hash, taken) VALUES (?, ?, ?, ?) ON CONFLICT (namespace, idem) DO NOTHING`,
		namespace, key, hash, now.UnixMicro())
	if err != nil || n == 1 {
		return err
	}
	var was string
	if err := tx.QueryRow(`SELECT hash FROM rollouts_keys WHERE namespace = ? AND idem = ?`, namespace, key).Scan(&was); err != nil {
		return err
	}
	if err := sameCall(key, was, hash); err != nil {
		return err
	}
	return errRepeated
}
