package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tutti/id"
)

// Lease is the right to be the only one who does something, until it expires. Its epoch rises with
// each new holder: the lease is for speed, the epoch for safety. Every write that depends on it is
// refused where the epoch is stale (see Tx.Fence).
type Lease struct {
	Name   string
	Holder string
	Epoch  int64
}

// Claim takes the named lease for ttl, by the database's clock, if it is free, expired or already
// held by holder ("" draws a name). It returns ok=false where another holds it.
func (db *DB) Claim(ctx context.Context, name, holder string, ttl time.Duration) (l Lease, ok bool, err error) {
	if holder == "" {
		holder = id.New("holder")
	}
	err = db.Tx(ctx, func(tx *Tx) error {
		now, err := tx.now()
		if err != nil {
			return err
		}
		l = Lease{Name: name, Holder: holder}
		var until int64
		var had string
		err = tx.QueryRow(`SELECT holder, epoch, until FROM `+db.service+`_leases WHERE name = ?`, name).Scan(&had, &l.Epoch, &until)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			l.Epoch = 1
		case err != nil:
			return err
		case had == holder:
		case until > now:
			ok = false
			return nil
		default:
			l.Epoch++
		}
		n, err := tx.Changed(`INSERT INTO `+db.service+`_leases (name, holder, epoch, until) VALUES (?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, epoch = excluded.epoch, until = excluded.until
			WHERE `+db.service+`_leases.epoch = excluded.epoch - 1 OR `+db.service+`_leases.holder = excluded.holder`,
			name, holder, l.Epoch, now+ttl.Microseconds())
		ok = n == 1
		return err
	})
	return l, ok, err
}

// Release gives the lease up at once, so that another need not wait for it to expire.
func (db *DB) Release(ctx context.Context, l Lease) error {
	return db.Tx(ctx, func(tx *Tx) error {
		return tx.Exec(`UPDATE `+db.service+`_leases SET until = 0 WHERE name = ? AND holder = ? AND epoch = ?`, l.Name, l.Holder, l.Epoch)
	})
}

// Expire ends every lease at once, whoever holds it; the next claims raise their epochs. It is for a
// process that knows to be the only one on the database: those who held them have died, and need not
// be waited for.
func (db *DB) Expire(ctx context.Context) error {
	return db.Tx(ctx, func(tx *Tx) error {
		return tx.Exec(`UPDATE ` + db.service + `_leases SET until = 0`)
	})
}

// Fence returns stale=true, and locks the lease's row against a new holder until the transaction
// ends otherwise, where l is no longer the newest claim.
func (tx *Tx) Fence(l Lease) (stale bool, err error) {
	if !tx.db.postgres { // the transaction has locked the file: looking is enough, and writes no page
		var n int
		err = tx.QueryRow(`SELECT count(*) FROM `+tx.db.service+`_leases WHERE name = ? AND epoch = ? AND holder = ?`, l.Name, l.Epoch, l.Holder).Scan(&n)
		return n != 1, err
	}
	n, err := tx.Changed(fmt.Sprintf(fenceUpdate, tx.db.service), l.Name, l.Epoch, l.Holder)
	return n != 1, err
}

// fenceUpdate locks the row of a lease that is the newest claim.
const fenceUpdate = `UPDATE %s_leases SET holder = holder WHERE name = ? AND epoch = ? AND holder = ?`

// now returns the database's clock in microseconds.
func (tx *Tx) now() (us int64, err error) {
	if tx.db.postgres {
		err = tx.QueryRow(`SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`).Scan(&us)
		return us, err
	}
	return time.Now().UnixMicro(), nil // one process owns a SQLite file
}
