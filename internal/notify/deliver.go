package notify

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"tutti/api"
	"tutti/internal/store"
)

const (
	// lookEvery is how often mails are looked for that are due again.
	lookEvery = 2 * time.Second
	// giveUpAfter is how long a mail is tried.
	giveUpAfter = 3 * 24 * time.Hour
	// parallel is how many mails are sent at once.
	parallel = 4
)

// deliverAll sends mails that are due until ctx ends.
func (s *Service) deliverAll(ctx context.Context) error {
	for {
		due, err := s.selectDue(ctx, time.Now(), 20)
		if err != nil && ctx.Err() == nil {
			s.log.Error("mails to send", "err", err)
		}
		var g errgroup.Group
		g.SetLimit(parallel)
		for _, m := range due {
			g.Go(func() error {
				if err := s.deliver(ctx, m); err != nil && ctx.Err() == nil {
					s.log.Error("mail not sent", "mail", m.ID, "err", err)
				}
				return nil
			})
		}
		_ = g.Wait() // its functions return nil
		if len(due) > 0 && ctx.Err() == nil {
			continue
		}
		pause, err := s.pause(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.Error("mails to send", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.added:
		case <-time.After(pause):
		}
	}
}

// pause returns how long there is nothing to do for sure, up to lookEvery: replicas add mails too.
func (s *Service) pause(ctx context.Context) (time.Duration, error) {
	next, err := s.selectNext(ctx)
	if err != nil || next == 0 {
		return lookEvery, err
	}
	return min(max(time.Until(store.Time(next)), time.Millisecond), lookEvery), nil
}

// again returns how long to wait after a number of failed tries.
func (s *server) again(tries int) time.Duration {
	d := s.retry
	for range min(tries-1, 40) {
		if d *= 2; d >= time.Hour {
			return time.Hour
		}
	}
	return d
}

// deliver tries one mail, each recipient by itself, and writes down after each what came of it.
func (s *Service) deliver(ctx context.Context, m mail) error {
	// Until then no other replica tries; time enough for the next recipient.
	lease := func() int64 { return store.Micros(time.Now().Add(s.server.timeout + time.Minute)) }
	// What came of a try must be written down even where the service stops at this moment.
	keep := context.WithoutCancel(ctx)
	mine, err := s.claim(keep, &m, lease())
	if err != nil || !mine {
		return err
	}
	for len(m.rest) > 0 && ctx.Err() == nil {
		to := m.rest[0]
		err := s.server.send(ctx, m.Message, to)
		switch {
		case err == nil:
			m.rest = m.rest[1:]
		case permanent(err):
			m.rest, m.refused = m.rest[1:], append(m.refused, to+": "+oneLine(err))
		default:
			if ctx.Err() != nil {
				return s.giveBack(keep, m)
			}
			return s.postpone(keep, m, err)
		}
		if len(m.rest) == 0 {
			break
		}
		m.next = lease()
		if err := s.save(keep, m); err != nil {
			return err
		}
	}
	if len(m.rest) > 0 {
		return s.giveBack(keep, m)
	}
	m.State, m.Error, m.Sent = api.Succeeded, "", time.Now().UTC()
	if len(m.refused) > 0 {
		m.State, m.Error = api.Failed, strings.Join(m.refused, "; ")
		if len(m.refused) == len(m.To) {
			m.Sent = time.Time{}
		}
		s.log.Warn("mail refused", "mail", m.ID, "trace", m.Trace, "err", m.Error)
	}
	return s.save(keep, m)
}

// giveBack lets the mail be tried again at once: the service stops in the middle of it.
func (s *Service) giveBack(ctx context.Context, m mail) error {
	m.next = store.Micros(time.Now())
	return s.save(ctx, m)
}

// postpone keeps a mail for later, or gives it up after a long time.
func (s *Service) postpone(ctx context.Context, m mail, cause error) error {
	m.Error = strings.Join(append(m.refused, oneLine(cause)), "; ")
	m.next = store.Micros(time.Now().Add(s.server.again(m.Tries)))
	if time.Since(m.Created) > giveUpAfter {
		m.State, m.Error = api.Failed, fmt.Sprintf("given up after %d tries: %s", m.Tries, m.Error)
		s.log.Warn("mail given up", "mail", m.ID, "trace", m.Trace, "err", m.Error)
	}
	return s.save(ctx, m)
}

// oneLine returns the text of an error for a list.
func oneLine(err error) string {
	text := strings.ToValidUTF8(strings.ReplaceAll(strings.Join(strings.Fields(err.Error()), " "), "\x00", ""), "")
	if len(text) > 500 {
		text = strings.ToValidUTF8(text[:500], "") + "…"
	}
	return text
}
