package logs

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"tutti/api"
	"tutti/internal/blob"
)

const (
	chunkBytes = 512 << 10 // of text, before compression
	chunkLines = 2_000
	// inline is up to which compressed size a chunk stays in the database: a file costs more.
	inline = 16 << 10
)

// chunk is a part of a packed log.
type chunk struct {
	first, last int64
	digest      blob.Digest // where it is in the blob store
	data        string      // or itself, in base64
}

// makeChunk compresses lines, and puts the result into the blob store where it is large. The same
// lines always give the same chunk.
func (s *Service) makeChunk(ctx context.Context, lines []api.LogLine) (chunk, error) {
	c := chunk{first: lines[0].Pos, last: lines[len(lines)-1].Pos}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	e := json.NewEncoder(z)
	for _, l := range lines {
		if err := e.Encode(l); err != nil {
			return c, err
		}
	}
	if err := z.Close(); err != nil {
		return c, err
	}
	if b.Len() <= inline {
		c.data = base64.StdEncoding.EncodeToString(b.Bytes())
		return c, nil
	}
	var err error
	c.digest, _, err = s.blobs.Put(ctx, &b, -1)
	return c, err
}

// lines returns the lines of a chunk.
func (s *Service) lines(ctx context.Context, c chunk) (lines []api.LogLine, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("log lines %d to %d: %w", c.first, c.last, err)
		}
	}()
	var r io.Reader = base64.NewDecoder(base64.StdEncoding, bytes.NewReader([]byte(c.data)))
	if c.digest != "" {
		f, _, err := s.blobs.Open(ctx, c.digest)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(z); ; {
		var l api.LogLine
		err := d.Decode(&l)
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
}
