package notify

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"tutti/internal/store"
)

const columns = `id, namespace, recipients, rest, refused, subject, body, trace, state, error, tries, next_at, created, sent`

func scan(r interface{ Scan(...any) error }) (m mail, err error) {
	var to, rest, refused string
	var created, sent int64
	err = r.Scan(&m.ID, &m.Namespace, &to, &rest, &refused, &m.Subject, &m.Text, &m.Trace, &m.State, &m.Error, &m.Tries, &m.next, &created, &sent)
	if err != nil {
		return m, err
	}
	m.Created, m.Sent = store.Time(created), store.Time(sent)
	return m, errors.Join(
		json.Unmarshal([]byte(to), &m.To),
		json.Unmarshal([]byte(rest), &m.rest),
		json.Unmarshal([]byte(refused), &m.refused),
	)
}

// list writes a list as it is stored.
func list(ss []string) string {
	b, _ := json.Marshal(append([]string{}, ss...)) // strings always can
	return string(b)
}

// insertMail reports false where the key was used before.
func insertMail(tx *store.Tx, m mail, key, author string) (bool, error) {
	n, err := tx.Changed(`INSERT INTO notify_mails (idem, author, `+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING`,
		key, author, m.ID, m.Namespace, list(m.To), list(m.rest), list(m.refused), m.Subject, m.Text, m.Trace, string(m.State), m.Error, m.Tries, m.next, store.Micros(m.Created))
	return n == 1, err
}

func selectByKey(tx *store.Tx, namespace, key string) (mail, error) {
	m, err := scan(tx.QueryRow(`SELECT `+columns+` FROM notify_mails WHERE namespace = ? AND idem = ?`, namespace, key))
	return m, store.NoRow(err, "no mail with the key %q", key)
}

// selectPage calls f with the mails after a mark, newest first, until it returns false.
func (s *Service) selectPage(ctx context.Context, namespace, trace string, from store.Mark, limit int, f func(mail) bool) error {
	args := append([]any{namespace, trace, trace}, from.Args()...)
	rows, err := s.db.Query(ctx, `SELECT `+columns+` FROM notify_mails WHERE namespace = ? AND (? = '' OR trace = ?) AND (created, id) < (?, ?)
		ORDER BY created DESC, id DESC LIMIT ?`, append(args, limit)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		m, err := scan(rows)
		if err != nil {
			return err
		}
		if !f(m) {
			return nil
		}
	}
	return rows.Err()
}

func (s *Service) selectDue(ctx context.Context, now time.Time, limit int) ([]mail, error) {
	rows, err := s.db.Query(ctx, `SELECT `+columns+` FROM notify_mails WHERE state = 'pending' AND next_at <= ? ORDER BY next_at, id LIMIT ?`, store.Micros(now), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []mail
	for rows.Next() {
		m, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// claim makes a try of m this replica's until a time; it reports false where another was faster.
func (s *Service) claim(ctx context.Context, m *mail, until int64) (mine bool, err error) {
	err = s.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Changed(`UPDATE notify_mails SET tries = tries + 1, next_at = ? WHERE id = ? AND state = 'pending' AND next_at = ? AND tries = ?`, until, m.ID, m.next, m.Tries)
		mine = n == 1
		return err
	})
	m.next, m.Tries = until, m.Tries+1
	return mine, err
}

// save writes down what came of a try, unless it took so long that another replica has begun one.
func (s *Service) save(ctx context.Context, m mail) error {
	return s.db.Tx(ctx, func(tx *store.Tx) error {
		return tx.Exec(`UPDATE notify_mails SET rest = ?, refused = ?, state = ?, error = ?, next_at = ?, sent = ? WHERE id = ? AND tries = ? AND state = 'pending'`,
			list(m.rest), list(m.refused), string(m.State), m.Error, m.next, store.Micros(m.Sent), m.ID, m.Tries)
	})
}

// selectNext returns when the next mail is due, in microseconds; 0 where none is pending.
func (s *Service) selectNext(ctx context.Context) (next int64, err error) {
	err = s.db.QueryRow(ctx, `SELECT coalesce(min(next_at), 0) FROM notify_mails WHERE state = 'pending'`).Scan(&next)
	return next, err
}
