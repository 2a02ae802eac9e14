package file

import (
	"context"
	"fmt"
	"io"

	"tutti/internal/blob"
	"tutti/internal/store"
)

// Verify reads the content of every file and returns what is missing or is not what was put, in words.
// It changes nothing. The error is of the reading of the database.
func Verify(ctx context.Context, db *store.DB, blobs blob.Store) (wrong []string, err error) {
	rows, err := db.Query(ctx, `SELECT digest, min(size), max(size), min(id), count(*) FROM file_files GROUP BY digest`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var digest, id string
		var low, high, n int64
		if err := rows.Scan(&digest, &low, &high, &id, &n); err != nil {
			return wrong, err
		}
		size, err := read(ctx, blobs, blob.Digest(digest))
		if err == nil && (size != low || size != high) {
			err = fmt.Errorf("it has %d bytes; %d to %d are recorded", size, low, high)
		}
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("the content of file %s (%d in all) cannot be read: %v", id, n, err))
		}
		if err := ctx.Err(); err != nil {
			return wrong, err
		}
	}
	return wrong, rows.Err()
}

// read reads a blob to its end, where its digest is checked.
func read(ctx context.Context, blobs blob.Store, d blob.Digest) (int64, error) {
	in, _, err := blobs.Open(ctx, d)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	return io.Copy(io.Discard, in)
}
