package gitrepo

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/revlist"

	"tutti/errs"
)

// MaxAsk bounds what a client may send to UploadPack, in bytes.
const MaxAsk = 1 << 20

// Advertise writes what `git fetch` over HTTP asks first: the branch and what the server can do. It can
// give any commit by its hash, alone (shallow) or with its history, and takes nothing.
func (r *Repo) Advertise(w io.Writer) error {
	head, err := r.head()
	if err != nil {
		return err
	}
	refs := packp.NewAdvRefs()
	refs.Prefix = [][]byte{[]byte("# service=git-upload-pack"), pktline.Flush}
	refs.Head = &head
	for _, c := range []capability.Capability{capability.OFSDelta, capability.Shallow, capability.AllowReachableSHA1InWant, capability.NoProgress} {
		if err := refs.Capabilities.Set(c); err != nil {
			return fmt.Errorf("advertise: %w", err)
		}
	}
	if err := refs.Capabilities.Add(capability.SymRef, "HEAD:"+r.ref.String()); err != nil {
		return fmt.Errorf("advertise: %w", err)
	}
	if err := refs.AddReference(plumbing.NewHashReference(r.ref, head)); err != nil {
		return fmt.Errorf("advertise: %w", err)
	}
	return refs.Encode(w)
}

// UploadPack answers what `git fetch` asks for: the wanted commits with all that is reachable and that
// the client does not have, or, at depth 1, the commits alone. Kind Invalid for what is no such question.
func (r *Repo) UploadPack(ctx context.Context, ask io.Reader, w io.Writer) error {
	text, err := io.ReadAll(io.LimitReader(ask, MaxAsk+1))
	if err != nil || len(text) > MaxAsk {
		return errs.New(errs.Invalid, "what is asked for broke off, or is too long")
	}
	req := packp.NewUploadPackRequest()
	if err := req.UploadRequest.Decode(bytes.NewReader(text)); err != nil {
		return errs.New(errs.Invalid, "this is no question that git asks: %w", err)
	}
	depth, ok := req.Depth.(packp.DepthCommits)
	if !ok || depth > 1 {
		return errs.New(errs.Invalid, "a history can be had whole, or of depth 1")
	}
	haves, done := haves(text)
	for _, h := range req.Wants {
		if _, err := r.commit(h.String()); err != nil {
			return err
		}
	}
	resp := &packp.ServerResponse{}
	var shallow packp.ShallowUpdate
	if depth == 1 {
		shallow.Shallows = req.Wants
		if err := shallow.Encode(w); err != nil {
			return err
		}
	}
	if !done { // the client tells more before it wants the pack
		if depth == 1 && len(haves) == 0 {
			return nil // it asked for what is shallow alone
		}
		return resp.Encode(w, false)
	}
	objects, err := r.objects(ctx, req.Wants, haves, depth == 1)
	if err != nil {
		return err
	}
	if err := resp.Encode(w, false); err != nil {
		return err
	}
	r.read.Lock() // the store is not made for concurrency
	defer r.read.Unlock()
	_, err = packfile.NewEncoder(w, r.store, false).Encode(objects, 10)
	return err
}

// haves reads the second half of a question: what the client has, and whether it is done telling.
func haves(text []byte) (out []plumbing.Hash, done bool) {
	lines := pktline.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		switch line := bytes.TrimSpace(lines.Bytes()); {
		case bytes.Equal(line, []byte("done")):
			done = true
		case bytes.HasPrefix(line, []byte("have ")):
			out = append(out, plumbing.NewHash(string(line[5:])))
		}
	}
	return out, done
}

// objects returns what a pack must hold.
func (r *Repo) objects(ctx context.Context, wants, haves []plumbing.Hash, alone bool) ([]plumbing.Hash, error) {
	if !alone {
		known := haves[:0:0]
		for _, h := range haves { // what only the client has is nothing to us
			if _, err := r.commit(h.String()); err == nil {
				known = append(known, h)
			}
		}
		r.read.Lock()
		defer r.read.Unlock()
		return revlist.Objects(r.store, wants, known)
	}
	seen := map[plumbing.Hash]bool{}
	var out []plumbing.Hash
	add := func(h plumbing.Hash) bool {
		if seen[h] {
			return false
		}
		seen[h] = true
		out = append(out, h)
		return true
	}
	var walk func(h plumbing.Hash) error
	walk = func(h plumbing.Hash) error {
		if err := ctx.Err(); err != nil || !add(h) {
			return err
		}
		t, err := r.tree(h)
		if err != nil {
			return err
		}
		for _, e := range t.Entries {
			if e.Mode.IsFile() {
				add(e.Hash)
			} else if err := walk(e.Hash); err != nil {
				return err
			}
		}
		return nil
	}
	for _, h := range wants {
		c, err := r.commit(h.String())
		if err == nil {
			add(h)
			err = walk(c.TreeHash)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
