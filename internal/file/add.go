package file

import (
	"context"
	"mime"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/id"
	"tutti/internal/blob"
	"tutti/internal/store"
)

// add records a file whose bytes are in the blob store. The same key gives the same file.
func (s *Service) add(ctx context.Context, in api.AddFileIn) (api.File, error) {
	if err := check(&in); err != nil {
		return api.File{}, err
	}
	f := api.File{ID: id.New("file"), Namespace: in.Namespace, Name: in.Name, Type: in.Type, Digest: in.Digest, Size: in.Size,
		Trace: bus.TraceFrom(ctx), By: bus.Subject(ctx), Created: time.Now().UTC().Truncate(time.Microsecond)}
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		d := blob.Digest(in.Digest)
		if err := holdBlob(tx, d); err != nil {
			return err
		}
		added, err := insertFile(tx, f, in.Key)
		if err != nil {
			return err
		}
		if !added {
			f, err = sameFile(tx, f, in.Key)
			return err
		}
		if err := s.verify(ctx, d, in.Size); err != nil {
			return err
		}
		return tx.Audit(store.Act{Namespace: in.Namespace, Action: "file.write", Object: f.ID,
			Detail: map[string]any{"name": f.Name, "digest": f.Digest, "size": f.Size}})
	})
	if err != nil {
		return api.File{}, err
	}
	return f, nil
}

// check refuses what is no file and fills in what was left out.
func check(in *api.AddFileIn) error {
	if in.Namespace == "" || in.Namespace == "*" {
		return errs.New(errs.Invalid, "a file is in one namespace, not in %q", in.Namespace)
	}
	if in.Name == "" || len(in.Name) > 255 || in.Name == "." || in.Name == ".." || !utf8.ValidString(in.Name) ||
		strings.ContainsFunc(in.Name, func(r rune) bool { return r == '/' || r == '\\' || unicode.IsControl(r) }) {
		return errs.New(errs.Invalid, "%.80q is not a file name", in.Name).WithHint("use up to 255 bytes without / and \\, such as vm.yaml")
	}
	if in.Type == "" {
		in.Type = "application/octet-stream"
	}
	if _, _, err := mime.ParseMediaType(in.Type); err != nil || len(in.Type) > 200 || strings.ContainsFunc(in.Type, unicode.IsControl) {
		return errs.New(errs.Invalid, "%.80q is not a media type", in.Type).WithHint("write it as application/json")
	}
	if len(in.Key) > 200 || !utf8.ValidString(in.Key) || strings.Contains(in.Key, "\x00") {
		return errs.New(errs.Invalid, "the idempotency key must be at most 200 bytes of text")
	}
	_, err := blob.ParseDigest(in.Digest)
	return err
}

// verify returns an error where the blob is not there with that size.
func (s *Service) verify(ctx context.Context, d blob.Digest, size int64) error {
	r, n, err := s.blobs.Open(ctx, d)
	if errs.Is(err, errs.NotFound) {
		return errs.New(errs.NotFound, "no content %s was uploaded", d).WithHint("upload it, again if it was there before")
	}
	if err != nil {
		return err
	}
	_ = r.Close() // nothing was read
	if n != size {
		return errs.New(errs.Invalid, "the content %s has %d bytes, not %d", d, n, size)
	}
	return nil
}

// sameFile returns the file that an idempotency key made before; another than f is a conflict.
func sameFile(tx *store.Tx, f api.File, key string) (api.File, error) {
	had, err := selectByKey(tx, f.Namespace, key)
	if err == nil && (had.Digest != f.Digest || had.Name != f.Name || had.Type != f.Type || had.Size != f.Size) {
		return api.File{}, errs.New(errs.Conflict, "the idempotency key %q was used for another file, %s", key, had.ID).WithHint("use a new key for a new file")
	}
	return had, err
}
