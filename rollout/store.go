package rollout

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
)

// Key names an entity in a namespace. Neither is empty; both may hold any text.
type Key struct {
	Namespace string `json:"namespace"`
	Entity    string `json:"entity"`
}

// String returns "namespace/entity".
func (k Key) String() string { return k.Namespace + "/" + k.Entity }

// ErrConflict is what Save returns when an entity is no longer at the revision it was read at.
var ErrConflict = errors.New("somebody else changed it")

// Store keeps rollouts. Engine uses the key {namespace, ""} for the namespace's budgets. Implementations
// pass rollouttest.Run.
type Store interface {
	// Load returns what is stored of an entity: all of it, but only the revision where that is
	// still since. An entity that was never stored has revision 0, one that was deleted no Head.
	Load(ctx context.Context, key Key, since uint64) (Stored, error)
	// Save writes every change in one transaction, or none. Where an entity is not at the revision of
	// its write any more it returns an error that is ErrConflict. Each write makes the revision greater.
	Save(ctx context.Context, writes ...Write) error
	// Keys returns the stored keys of a namespace, or with "" of all, sorted.
	Keys(ctx context.Context, namespace string) ([]Key, error)
	// History returns up to limit events of an entity, the latest first; before, where it is not
	// 0, is the Seq to go on before.
	History(ctx context.Context, key Key, before uint64, limit int) ([]Entry, error)
	// Delete removes an entity with its history. Only its revision stays, and goes on rising, so that
	// nobody takes a new entity of the same name for the old one. One that is not there is no error.
	Delete(ctx context.Context, key Key) error
}

// Stored is what Load returns.
type Stored struct {
	Revision uint64 // 0 where nothing was ever stored
	Head     []byte
	Targets  []Record
}

// Write changes one entity from the revision at which it was read, 0 for one that is new.
type Write struct {
	Key      Key
	Revision uint64
	Change   Change
}

// Entry is an event in the history of an entity.
type Entry struct {
	Seq   uint64 `json:"seq"` // rising by one
	Event Event  `json:"event"`
}

// maxHistory is how many events of an entity a Memory keeps, or a tenth more; the oldest are forgotten.
const maxHistory = 10_000

// Memory is a Store in memory. Its zero value is empty and ready for use, by any number of
// goroutines. Of the history of an entity it keeps the last ten thousand events.
type Memory struct {
	mu   sync.Mutex
	rows map[Key]*row
}

// row is one stored entity.
type row struct {
	revision uint64
	head     []byte
	targets  map[Target][]byte
	events   []Event
	deleted  uint64 // events before these, forgotten or of an entity that was deleted
}

// Load implements Store.
func (m *Memory) Load(_ context.Context, key Key, since uint64) (Stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	row := m.rows[key]
	switch {
	case row == nil:
		return Stored{}, nil
	case row.revision == since:
		return Stored{Revision: since}, nil
	}
	s := Stored{Revision: row.revision, Head: row.head, Targets: make([]Record, 0, len(row.targets))}
	for t, data := range row.targets {
		s.Targets = append(s.Targets, Record{t, data})
	}
	return s, nil
}

// Save implements Store.
func (m *Memory) Save(_ context.Context, writes ...Write) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range writes {
		var revision uint64
		if row := m.rows[w.Key]; row != nil {
			revision = row.revision
		}
		if revision != w.Revision {
			return ErrConflict
		}
	}
	if m.rows == nil {
		m.rows = map[Key]*row{}
	}
	for _, w := range writes {
		r := m.rows[w.Key]
		if r == nil {
			r = &row{targets: map[Target][]byte{}}
			m.rows[w.Key] = r
		}
		r.revision++
		r.head = w.Change.Head
		for _, t := range w.Change.Targets {
			if t.Data == nil {
				delete(r.targets, t.Target)
			} else {
				r.targets[t.Target] = t.Data
			}
		}
		r.events = append(r.events, w.Change.Events...)
		if over := len(r.events) - maxHistory; over > maxHistory/10 {
			r.events = slices.Clone(r.events[over:])
			r.deleted += uint64(over)
		}
	}
	return nil
}

// Keys implements Store.
func (m *Memory) Keys(_ context.Context, namespace string) ([]Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := slices.Collect(maps.Keys(m.rows))
	keys = slices.DeleteFunc(keys, func(k Key) bool { return namespace != "" && k.Namespace != namespace || m.rows[k].head == nil })
	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Entity, b.Entity))
	})
	return keys, nil
}

// History implements Store.
func (m *Memory) History(_ context.Context, key Key, before uint64, limit int) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	row := m.rows[key]
	if row == nil {
		return nil, nil
	}
	from := row.deleted + uint64(len(row.events))
	if before > 0 {
		from = min(from, before-1)
	}
	var entries []Entry
	for seq := from; seq > row.deleted && len(entries) < limit; seq-- {
		entries = append(entries, Entry{seq, row.events[seq-row.deleted-1]})
	}
	return entries, nil
}

// Delete implements Store.
func (m *Memory) Delete(_ context.Context, key Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.rows[key]; r != nil && r.head != nil {
		m.rows[key] = &row{revision: r.revision + 1, targets: map[Target][]byte{}, deleted: r.deleted + uint64(len(r.events))}
	}
	return nil
}
