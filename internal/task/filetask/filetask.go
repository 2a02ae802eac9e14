// Package filetask has the task types file.put, which stores text or a value as a file of the
// namespace, and file.get, which reads one. Bytes go to and come from the blob store; what a file is
// and who may have it is the file service's to say.
package filetask

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/blob"
	"tutti/internal/task"
	"tutti/sdk"
)

const (
	// maxPut and maxGet bound what is stored and read, in bytes.
	maxPut = 16 << 20
	maxGet = 1 << 20

	typeJSON = "application/json"
	typeText = "text/plain; charset=utf-8"

	failCorrupt = "file.corrupt"
	failBinary  = "file.binary"
)

type putWith struct {
	Name    string          `json:"name" doc:"Name of the file, without folders" minLength:"1" maxLength:"255"`
	Content json.RawMessage `json:"content" doc:"What is in it: text as it is, anything else as JSON"`
	Type    string          `json:"type,omitempty" doc:"Media type; by default text/plain or application/json, by the content" maxLength:"200"`
}

// File is what both types say of a file.
type File struct {
	ID     string `json:"id" doc:"ID of the file"`
	Name   string `json:"name" doc:"Name of the file"`
	Type   string `json:"type" doc:"Media type"`
	Digest string `json:"digest" doc:"SHA-256 of the content, as sha256:…"`
	Size   int64  `json:"size" doc:"Size in bytes"`
}

type getWith struct {
	ID string `json:"id" doc:"ID of the file, or the digest of its content" minLength:"1" maxLength:"200"`
}

type content struct {
	File
	Content json.RawMessage `json:"content" doc:"What is in it: a value where the media type is JSON, else text"`
}

type store struct {
	bus   *bus.Bus
	blobs blob.Store
}

// NewPut returns the task type file.put.
func NewPut(b *bus.Bus, blobs blob.Store) sdk.TaskType {
	return task.Define(api.TaskType{
		Name: "file.put", Title: "Store a file", Doc: "Stores text or a value as a file. A repeated attempt gives the same file.", Errors: task.Called(nil),
	}, store{b, blobs}.put)
}

// NewGet returns the task type file.get.
func NewGet(b *bus.Bus, blobs blob.Store) sdk.TaskType {
	return task.Define(api.TaskType{
		Name: "file.get", Title: "Read a file", Doc: "Reads a file of at most 1 MiB.",
		Errors: task.Called(map[string]string{
			failCorrupt: "the stored content is not what was stored; the disk, or somebody, changed it",
			failBinary:  "the file is neither text nor JSON",
		}),
	}, store{b, blobs}.get)
}

func (s store) put(ctx context.Context, t *sdk.Task, in putWith) (File, error) {
	if strings.ContainsAny(in.Name, "/\\") || strings.ContainsFunc(in.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return File{}, errs.New(errs.Invalid, "with.name %q has folders or control characters in it", in.Name)
	}
	kind := cmp.Or(in.Type, typeJSON)
	body := []byte(in.Content)
	var text string
	if len(body) > 0 && body[0] == '"' && json.Unmarshal(body, &text) == nil {
		body, kind = []byte(text), cmp.Or(in.Type, typeText)
	}
	if _, _, err := mime.ParseMediaType(kind); err != nil {
		return File{}, errs.New(errs.Invalid, "with.type %q is no media type", in.Type).WithHint("write text/csv, or leave it out")
	}
	if err := ctx.Err(); err != nil {
		return File{}, err
	}
	digest, size, err := s.blobs.Put(ctx, bytes.NewReader(body), maxPut)
	if err != nil {
		return File{}, err
	}
	f, err := api.AddFile.Call(ctx, s.bus, api.AddFileIn{NS: api.NS{Namespace: t.Namespace}, Key: t.Key, Name: in.Name, Type: kind, Digest: string(digest), Size: size})
	if err != nil {
		return File{}, err
	}
	return shown(f), nil
}

func shown(f api.File) File { return File{f.ID, f.Name, f.Type, f.Digest, f.Size} }

func (s store) get(ctx context.Context, t *sdk.Task, in getWith) (content, error) {
	f, err := api.GetFile.Call(ctx, s.bus, api.FileIn{NS: api.NS{Namespace: t.Namespace}, ID: in.ID})
	if err != nil {
		return content{}, err
	}
	if f.Size > maxGet {
		return content{}, errs.New(errs.TooLarge, "file %s (%s) has %d bytes; a task reads at most %d", f.ID, f.Name, f.Size, maxGet)
	}
	digest, err := blob.ParseDigest(f.Digest)
	if err != nil {
		return content{}, err
	}
	body, err := s.read(ctx, digest)
	if errors.Is(err, blob.ErrCorrupt) {
		return content{}, sdk.Fail(failCorrupt, "file %s (%s): %v", f.ID, f.Name, err).WithHint("restore it from a backup")
	}
	if err != nil {
		return content{}, err
	}
	out := content{File: shown(f)}
	kind, _, _ := mime.ParseMediaType(f.Type)
	switch {
	case (kind == typeJSON || strings.HasSuffix(kind, "+json")) && json.Valid(body):
		out.Content = body
	case !utf8.Valid(body):
		return content{}, sdk.Fail(failBinary, "file %s (%s, %s) is neither text nor JSON", f.ID, f.Name, f.Type)
	default:
		out.Content, err = json.Marshal(string(body))
	}
	return out, err
}

func (s store) read(ctx context.Context, d blob.Digest) ([]byte, error) {
	r, _, err := s.blobs.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
