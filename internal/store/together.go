package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"tutti/errs"
)

// errTogether marks a transaction that has failed while its statements were sent.
var errTogether = errors.New("a statement sent before has failed")

// Together runs f, and on PostgreSQL sends what f writes at once instead of waiting for the answer to each
// statement: that waiting is most of what a commit of many rows takes there. What f reads (Query, QueryRow,
// Changed) it reads after all it wrote before. An error of a statement may be returned by a later one, or
// by Together itself.
func (tx *Tx) Together(f func() error) error {
	if tx.conn == nil || tx.queue != nil {
		return f()
	}
	tx.queue = &pgx.Batch{}
	err := f()
	if err == nil {
		err = tx.flush()
	}
	tx.queue = nil
	return err
}

// enqueue keeps a statement for flush. check, where it is set, looks at what it did.
func (tx *Tx) enqueue(q string, args []any, check func(pgconn.CommandTag) error) error {
	if tx.broken != nil {
		return tx.broken
	}
	tx.queue.Queue(q, args...).Exec(func(did pgconn.CommandTag) error {
		if check != nil {
			return check(did)
		}
		return nil
	})
	return nil
}

// flush sends the statements that wait.
func (tx *Tx) flush() error {
	if tx.broken != nil || tx.queue == nil || tx.queue.Len() == 0 {
		return tx.broken
	}
	all := tx.queue
	tx.queue = &pgx.Batch{}
	err := tx.conn.Raw(func(c any) error {
		pg, ok := c.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("the connection is a %T", c)
		}
		return pg.Conn().SendBatch(tx.ctx, all).Close()
	})
	if err != nil {
		tx.broken = errors.Join(errTogether, err)
	}
	return err
}

// Hold is Fence for writers that only go on where they own the lease: where l is no longer the newest
// claim, it, or Together around it, returns errs.Unavailable.
func (tx *Tx) Hold(l Lease) error {
	lost := errs.New(errs.Unavailable, "another %s has taken over (epoch %d is over)", l.Name, l.Epoch)
	if tx.queue != nil {
		return tx.enqueue(tx.db.rebind(fmt.Sprintf(fenceUpdate, tx.db.service)), []any{l.Name, l.Epoch, l.Holder}, func(did pgconn.CommandTag) error {
			if did.RowsAffected() != 1 {
				return lost
			}
			return nil
		})
	}
	stale, err := tx.Fence(l)
	if err == nil && stale {
		return lost
	}
	return err
}

// begin begins a transaction. On PostgreSQL it keeps hold of the connection, for Together.
func (db *DB) begin(ctx context.Context) (tx *Tx, end func(), err error) {
	tx = &Tx{db: db, ctx: ctx}
	end = func() { _ = tx.tx.Rollback() } // no effect after a commit
	if !db.postgres {
		tx.tx, err = db.write.BeginTx(ctx, nil)
		return tx, end, err
	}
	if tx.conn, err = db.write.Conn(ctx); err != nil {
		return nil, nil, err
	}
	if tx.tx, err = tx.conn.BeginTx(ctx, nil); err != nil {
		return nil, nil, errors.Join(err, tx.conn.Close())
	}
	return tx, func() { _, _ = tx.tx.Rollback(), tx.conn.Close() }, nil
}
