package bus

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Event declares a fact that one service publishes: at least once to each follower, in the order it
// was committed. Its CloudEvents type is "tutti." and the name.
type Event[T any] struct {
	Name string // "workflow.run.finished": service, noun, participle
	Doc  string
}

// Record is an event as it is stored and read.
type Record struct {
	Pos       int64           `json:"pos"` // its number in the store of its service: from 1, without gaps
	Type      string          `json:"type"`
	Subject   string          `json:"subject"` // ID of the object it is about
	Namespace string          `json:"namespace"`
	Trace     string          `json:"trace,omitempty"`
	At        time.Time       `json:"at"`
	Data      json.RawMessage `json:"data,omitempty"`
}

// About says which object an event is about.
type About struct{ Subject, Namespace, Trace string }

// Emitter stores records in the transaction that makes them true. store.Tx is one.
type Emitter interface{ Emit(Record) error }

// Publish stores the event v in tx; followers get it after the commit.
func (e Event[T]) Publish(tx Emitter, about About, v T) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("event %s: %w", e.Name, err)
	}
	return tx.Emit(Record{Type: "tutti." + e.Name, Subject: about.Subject, Namespace: about.Namespace, Trace: about.Trace, Data: b})
}

// Service returns the name of the service that publishes e.
func (e Event[T]) Service() string {
	s, _, _ := strings.Cut(e.Name, ".")
	return s
}

// Type returns the CloudEvents type of e.
func (e Event[T]) Type() string { return "tutti." + e.Name }
