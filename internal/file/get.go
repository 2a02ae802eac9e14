package file

import (
	"context"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/id"
	"tutti/internal/blob"
	"tutti/internal/store"
)

// get returns a file by ID, or the newest with a digest.
func (s *Service) get(ctx context.Context, in api.FileIn) (api.File, error) {
	if blob.Digest(in.ID).Valid() {
		return s.selectByDigest(ctx, in.Namespace, in.ID)
	}
	return s.selectByID(ctx, in.Namespace, in.ID)
}

func (s *Service) list(ctx context.Context, in api.ListFilesIn) (api.Page[api.File], error) {
	from, err := store.ParseMark(in.Cursor)
	if err != nil {
		return api.Page[api.File]{}, err
	}
	fs, err := s.selectPage(ctx, in.Namespace, in.Trace, from, in.Size()+1)
	p := api.Page[api.File]{Items: fs}
	if len(fs) > in.Size() {
		p.Items = fs[:in.Size()]
		last := p.Items[in.Size()-1]
		p.Cursor = store.At(last.Created, last.ID).String()
	}
	return p, err
}

// delete removes a file, and its blob if no other file of any namespace has it.
func (s *Service) delete(ctx context.Context, in api.FileIn) (api.Nothing, error) {
	if !id.Valid("file", in.ID) {
		return api.Nothing{}, errs.New(errs.Invalid, "%.80q is not a file ID", in.ID).WithHint("name the file by its ID, file_…: several may have the same content")
	}
	return api.Nothing{}, s.db.Tx(ctx, func(tx *store.Tx) error {
		d, err := deleteFile(tx, in.Namespace, in.ID)
		if err != nil {
			return err
		}
		free, err := markUnused(tx, d)
		if err != nil {
			return err
		}
		if free {
			tx.AfterCommit(func() {
				select {
				case s.freed <- struct{}{}:
				default:
				}
			})
		}
		return tx.Audit(store.Act{Namespace: in.Namespace, Action: "file.delete", Object: in.ID, Detail: map[string]any{"digest": d}})
	})
}

// find returns files whose ID begins with a prefix, with or without file_.
func (s *Service) find(ctx context.Context, in api.FindIn) (api.Page[api.Found], error) {
	out := api.Page[api.Found]{Items: []api.Found{}}
	rest := strings.TrimPrefix(in.Prefix, "file_")
	if rest == "" || strings.Trim(rest, "0123456789abcdefghjkmnpqrstvwxyz") != "" {
		return out, nil
	}
	fs, err := s.selectPrefix(ctx, in.Namespace, "file_"+rest, 20)
	for _, f := range fs {
		out.Items = append(out.Items, api.Found{Kind: "file", ID: f.ID, Title: f.Name})
	}
	return out, err
}
