package service

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/internal/store"
)

// ReadTrail asks a service for what matches in one of its trails, newest first.
type ReadTrail struct {
	Namespace string // "" is all, of acts
	Filter    api.TrailFilter
	Before    int64 // a position; 0 is the end
	Limit     int
	// Buckets, if any, are parts of From to To in which what matches is counted. Only events are.
	Buckets  int
	From, To time.Time
}

// Trail is what was found in a part of a trail.
type Trail[T any] struct {
	Items []T
	Pos   []int64     // of each
	At    []time.Time // of each
	// Low is the position down to which Items are all that match, and LowAt its time; 1 is the beginning.
	Low   int64
	LowAt time.Time
	// Buckets are the counts that were asked for; they are whole from Counted on.
	Buckets []map[api.State]int
	Counted time.Time
}

// FindEvents is the method by which the events of a service are searched.
func FindEvents(service string) bus.Method[ReadTrail, Trail[api.FoundEvent]] {
	return bus.Method[ReadTrail, Trail[api.FoundEvent]]{Name: "events." + service, Perm: bus.System, Doc: "Search committed events."}
}

// FindActs is the method by which the audit trail of a service is read and searched.
func FindActs(service string) bus.Method[ReadTrail, Trail[store.AuditRow]] {
	return bus.Method[ReadTrail, Trail[store.AuditRow]]{Name: "audit." + service, Perm: bus.System, Doc: "Search the audit trail."}
}

const (
	// lookAt is how many positions of a trail are read at once, and maxLooked how many one search looks at.
	lookAt    = 500
	maxLooked = 20_000
	// disorder is by how much the times of a trail may be out of order.
	disorder = time.Minute
)

func findEvents(ctx context.Context, name string, db *store.DB, in ReadTrail) (out Trail[api.FoundEvent], err error) {
	out.Buckets = make([]map[api.State]int, in.Buckets)
	if in.Filter.Service != "" && !strings.HasPrefix(name, in.Filter.Service) {
		out.Low = 1
		return out, nil
	}
	size := 0
	l := looker[bus.Record]{
		trail: store.Outbox, at: func(r bus.Record) time.Time { return r.At },
		read: func(from, before int64) ([]bus.Record, error) {
			return db.EventsBetween(ctx, in.Namespace, from, before)
		},
		take: func(r bus.Record) (full bool) {
			e := found(name, r)
			if !matchesEvent(in.Filter, e) {
				return false
			}
			out.count(in, e)
			if size += len(e.Data); len(out.Items) < in.Limit && (size <= maxPage || len(out.Items) == 0) {
				out.Items, out.Pos, out.At = append(out.Items, e), append(out.Pos, r.Pos), append(out.At, r.At)
				return false
			}
			return true
		},
	}
	looked, err := l.look(ctx, db, in)
	out.Counted = looked.at
	out.upTo(looked)
	return out, err
}

// upTo sets how far down the items are all there are.
func (t *Trail[T]) upTo(l looked) {
	t.Low, t.LowAt = l.low, l.at
	if n := len(t.Items); l.full && n > 0 {
		t.Low, t.LowAt = t.Pos[n-1], t.At[n-1]
	}
	for _, at := range t.At {
		if t.Low > 1 && at.Before(t.LowAt) {
			t.LowAt = at // times may be a little out of order
		}
	}
}

// count puts an event into its bucket.
func (t *Trail[T]) count(in ReadTrail, e api.FoundEvent) {
	if in.Buckets == 0 || e.At.Before(in.From) || !e.At.Before(in.To) {
		return
	}
	i := min(in.Buckets-1, int(float64(in.Buckets)*float64(e.At.Sub(in.From))/float64(in.To.Sub(in.From))))
	if t.Buckets[i] == nil {
		t.Buckets[i] = map[api.State]int{}
	}
	t.Buckets[i][e.State]++
}

func findActs(ctx context.Context, name string, db *store.DB, in ReadTrail) (out Trail[store.AuditRow], err error) {
	if in.Filter.Service != "" && !strings.HasPrefix(name, in.Filter.Service) || in.Filter.State != "" {
		out.Low = 1
		return out, nil
	}
	size := 0
	l := looker[store.AuditRow]{
		trail: store.AuditTrail, at: func(r store.AuditRow) time.Time { return r.At },
		read: func(from, before int64) ([]store.AuditRow, error) {
			return db.ActsBetween(ctx, in.Namespace, from, before)
		},
		take: func(r store.AuditRow) (full bool) {
			if !matchesAct(in.Filter, name, r) {
				return false
			}
			if size += len(r.Detail); len(out.Items) < in.Limit && (size <= maxPage || len(out.Items) == 0) {
				out.Items, out.Pos, out.At = append(out.Items, r), append(out.Pos, r.Pos), append(out.At, r.At)
				return false
			}
			return true
		},
	}
	in.Buckets = 0
	looked, err := l.look(ctx, db, in)
	out.upTo(looked)
	return out, err
}

// looker reads a trail backwards.
type looker[T any] struct {
	trail store.Trail
	at    func(T) time.Time
	read  func(from, before int64) ([]T, error)
	// take is given each row, and says that what was asked for was found before it.
	take func(T) (full bool)
}

// looked says down to which position a trail was looked at, the time there, and whether there was more than
// was wanted. At position 1 nothing is before, and there is no time.
type looked struct {
	low  int64
	at   time.Time
	full bool
}

// look gives rows to take until it has what it wants, and goes on until what is counted is complete, but
// never looks at more than maxLooked positions.
func (l looker[T]) look(ctx context.Context, db *store.DB, in ReadTrail) (out looked, err error) {
	if out.low, err = l.start(ctx, db, in); err != nil {
		return out, err
	}
	for end := out.low - maxLooked; out.low > 1 && out.low > end && ctx.Err() == nil; {
		next := max(1, out.low-lookAt)
		rows, err := l.read(next, out.low)
		if err != nil {
			return out, err
		}
		for _, r := range rows {
			out.full = l.take(r) || out.full
		}
		if out.low = next; next == 1 {
			break
		}
		if out.at, err = db.TimeAt(ctx, l.trail, next); err != nil {
			return out, err
		}
		if out.at.Add(disorder).Before(in.Filter.After) {
			out.low, out.at = 1, time.Time{} // all before is older still
		}
		if out.full && (in.Buckets == 0 || out.at.Add(disorder).Before(in.From)) {
			break
		}
	}
	if out.low = max(1, out.low); out.low == 1 {
		out.at = time.Time{}
	}
	return out, ctx.Err()
}

// start returns the position to look before.
func (l looker[T]) start(ctx context.Context, db *store.DB, in ReadTrail) (int64, error) {
	newest, err := db.Newest(ctx, l.trail)
	if err != nil {
		return 0, err
	}
	before := newest + 1
	if in.Before > 0 {
		before = min(before, in.Before)
	}
	if !in.Filter.Before.IsZero() {
		at, err := db.Reached(ctx, l.trail, in.Filter.Before.Add(disorder))
		if err != nil {
			return 0, err
		}
		before = min(before, at)
	}
	return before, nil
}

// found is a record as a search returns it.
func found(service string, r bus.Record) api.FoundEvent {
	e := api.FoundEvent{ID: fmt.Sprintf("%s/%d", service, r.Pos), Service: service, Type: r.Type, Subject: r.Subject, At: r.At, Trace: r.Trace, Data: r.Data}
	var told struct {
		ID, State, By, Requester, Publisher, Owner, Run, Request, Title, Name, Workflow text
	}
	if json.Unmarshal(r.Data, &told) != nil {
		return e // it is no object, so it tells nothing
	}
	e.State, e.Title = api.State(told.State), first(told.Title, told.Name, told.Workflow)
	e.By = first(told.By, told.Requester, told.Publisher, told.Owner)
	e.Run, e.Request = api.RunID(told.Run), string(told.Request)
	switch id := string(told.ID); {
	case strings.HasPrefix(id, "run_"):
		e.Run = api.RunID(id)
	case strings.HasPrefix(id, "req_"):
		e.Request = id
	}
	return e
}

// text is a text of a document; anything else reads as none.
type text string

// UnmarshalJSON takes a text.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = text(s)
	}
	return nil
}

func first(all ...text) string {
	for _, t := range all {
		if t != "" {
			return string(t)
		}
	}
	return ""
}

// matchesEvent reports whether an event is what is looked for. An event knows no address.
func matchesEvent(f api.TrailFilter, e api.FoundEvent) bool {
	return f.From == "" && within(f, e.At) && (f.State == "" || f.State == e.State) &&
		begins(e.Trace, f.Trace) && begins(strings.TrimPrefix(e.Type, "tutti."), f.Type) && begins(e.Subject, f.Object) &&
		person(e.By, f.By) && says(f.Words, e.Type, e.Subject, e.Trace, e.Service, string(e.Data))
}

func matchesAct(f api.TrailFilter, service string, r store.AuditRow) bool {
	return within(f, r.At) && begins(r.Trace, f.Trace) && begins(r.Action, f.Type) && begins(r.Object, f.Object) && begins(r.Origin, f.From) &&
		person(r.Subject, f.By) && says(f.Words, r.Subject, r.Action, r.Object, r.Trace, r.Origin, service, string(r.Detail))
}

func within(f api.TrailFilter, at time.Time) bool {
	return !at.Before(f.After) && (f.Before.IsZero() || at.Before(f.Before))
}

// begins compares without regard to case; prefix is in lower case.
func begins(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.ToLower(s[:len(prefix)]) == prefix
}

// person reports whether subject, such as "user:anna", is who: "user:anna" or "anna".
func person(subject, who string) bool {
	if who == "" {
		return true
	}
	subject = strings.ToLower(subject)
	_, name, _ := strings.Cut(subject, ":")
	return subject == who || name == who
}

// says reports whether each word, in lower case, occurs in one of the texts.
func says(words []string, texts ...string) bool {
	if len(words) == 0 {
		return true
	}
	all := strings.ToLower(strings.Join(texts, "\n"))
	for _, w := range words {
		if !strings.Contains(all, w) {
			return false
		}
	}
	return true
}
