package identity

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"

	"tutti/errs"
)

// params cost about 20 ms and 19 MiB a password: OWASP's recommendation for argon2id.
var params = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

const (
	minPassword = 12 // characters
	maxPassword = 200
	// maxQueue bounds how many passwords wait to be checked, and queueFor how long.
	maxQueue = 64
	queueFor = 5 * time.Second
)

// passwords hashes and checks passwords, a few at a time: a flood of logins takes neither all memory
// nor all processors.
type passwords struct {
	slots   chan struct{}
	waiting atomic.Int32
	nobody  string // a hash to check against where there is none, so that it takes as long
}

func newPasswords() *passwords {
	return &passwords{slots: make(chan struct{}, max(2, runtime.GOMAXPROCS(0))), nobody: noHash()}
}

// noHash returns a hash in argon2id's usual form that no password has: its salt and key are random. To
// make one of a password would delay the start of the server.
func noHash() string {
	random := func(n uint32) string {
		b := make([]byte, n)
		_, _ = rand.Read(b) // it never fails
		return base64.RawStdEncoding.EncodeToString(b)
	}
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, params.Memory, params.Iterations, params.Parallelism,
		random(params.SaltLength), random(params.KeyLength))
}

// hash returns what is stored of a password, or errs.Invalid where it is too short or too long.
func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	if n := utf8.RuneCountInString(password); n < minPassword || n > maxPassword || !utf8.ValidString(password) {
		return "", errs.New(errs.Invalid, "the password has %d characters; it must have %d to %d", n, minPassword, maxPassword).
			WithHint("a few words in a row make a good one")
	}
	release, err := p.slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	h, err := argon2id.CreateHash(password, params)
	if err != nil {
		return "", fmt.Errorf("hash the password: %w", err)
	}
	return h, nil
}

// check reports whether password is the one that hash was made of; none is where hash is "".
func (p *passwords) check(ctx context.Context, password, hash string) (bool, error) {
	if utf8.RuneCountInString(password) > maxPassword {
		password, hash = "", ""
	}
	release, err := p.slot(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	against := hash
	if hash == "" {
		against = p.nobody
	}
	ok, err := argon2id.ComparePasswordAndHash(password, against)
	if err != nil {
		return false, fmt.Errorf("check the password: %w", err)
	}
	return ok && hash != "", nil
}

// slot waits for the right to hash; it returns errs.Limited where too many wait already.
func (p *passwords) slot(ctx context.Context) (release func(), err error) {
	busy := errs.New(errs.Limited, "too many log in at this moment")
	busy.Retry = 2 * time.Second
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > maxQueue {
		return nil, busy
	}
	t := time.NewTimer(queueFor)
	defer t.Stop()
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots }, nil
	case <-t.C:
		return nil, busy
	case <-ctx.Done():
		return nil, errs.New(errs.Unavailable, "log in: %w", ctx.Err())
	}
}
