package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tutti/bus"
	"tutti/errs"
)

// TrailQuery is the one language in which events and the audit trail are searched: words that have to occur
// somewhere, and key:value for what stands in a place. "quotes" hold words together.
type TrailQuery struct {
	Query string `query:"q" doc:"Words and key:value, such as \"disk trace:4bf9 state:failed after:2h\"; keys are trace, type, object, by, state, service, from, after and before" maxLength:"500"`
}

// TrailFilter is a TrailQuery as it is read. An empty field is no condition; texts match without regard to
// case.
type TrailFilter struct {
	Words   []string  `json:"words,omitempty"`   // each occurs somewhere
	Trace   string    `json:"trace,omitempty"`   // how the trace begins
	Type    string    `json:"type,omitempty"`    // how the type of an event or the action of an act begins, without "tutti."
	Object  string    `json:"object,omitempty"`  // how the ID or name of what it is about begins
	By      string    `json:"by,omitempty"`      // who did it: "user:anna" or "anna"
	State   State     `json:"state,omitempty"`   // that it tells of; only of events
	Service string    `json:"service,omitempty"` // that committed it
	From    string    `json:"from,omitempty"`    // how the address it was done from begins; only of acts
	After   time.Time `json:"after,omitzero"`
	Before  time.Time `json:"before,omitzero"`
}

// trailKeys are the keys of a TrailQuery, with those that mean the same.
var trailKeys = map[string]string{
	"trace": "trace", "type": "type", "kind": "type", "action": "type", "object": "object", "subject": "object", "by": "by",
	"state": "state", "service": "service", "from": "from", "host": "from", "after": "after", "before": "before",
}

const trailHint = "keys are trace, type, object, by, state, service, from, after and before; \"quotes\" make words of what looks like one"

// ParseTrail reads a query. now is what times such as 2h count back from. It returns errs.Invalid with a
// problem for each part that cannot be read.
func ParseTrail(query string, now time.Time) (f TrailFilter, err error) {
	var problems []errs.Problem
	for _, w := range trailWords(query) {
		key, value, ok := strings.Cut(w.text, ":")
		name := trailKeys[strings.ToLower(key)]
		switch {
		case w.quoted || !ok:
			f.Words = append(f.Words, strings.ToLower(w.text))
		case name == "":
			problems = append(problems, errs.Problem{Location: "query.q", Message: fmt.Sprintf("there is no key %q", key), Hint: trailHint})
		case value == "":
			problems = append(problems, errs.Problem{Location: "query.q", Message: fmt.Sprintf("%s: has no value", key), Hint: "write it without a space: " + key + ":value"})
		default:
			if p := f.set(name, value, now); p != nil {
				problems = append(problems, *p)
			}
		}
	}
	if len(problems) > 0 {
		return f, errs.New(errs.Invalid, "the search cannot be read").WithProblems(problems...).WithHint(trailHint)
	}
	return f, nil
}

func (f *TrailFilter) set(name, value string, now time.Time) *errs.Problem {
	switch name {
	case "trace":
		f.Trace = strings.ToLower(value)
	case "type":
		f.Type = strings.TrimPrefix(strings.ToLower(value), "tutti.")
	case "object":
		f.Object = strings.ToLower(value)
	case "by":
		f.By = strings.ToLower(value)
	case "service":
		f.Service = strings.ToLower(value)
	case "from":
		f.From = strings.ToLower(value)
	case "state":
		f.State = State(strings.ToLower(value))
		switch f.State {
		case Pending, Running, Waiting, Succeeded, Failed, Skipped, Cancelled:
		default:
			return &errs.Problem{Location: "query.q", Message: fmt.Sprintf("%q is no state", value), Hint: "states are pending, running, waiting, succeeded, failed, skipped and cancelled"}
		}
	default:
		at, ok := moment(value, now)
		if !ok {
			return &errs.Problem{Location: "query.q", Message: fmt.Sprintf("%s:%s is no time", name, value), Hint: "write how long ago, such as 2h or 7d, or 2026-01-31 or 2026-01-31T08:00:00Z"}
		}
		if name == "after" {
			f.After = at
		} else {
			f.Before = at
		}
	}
	return nil
}

// moment reads a time: how long ago, a day, or an instant.
func moment(s string, now time.Time) (time.Time, bool) {
	if d, err := ParseDuration(strings.ToLower(s)); err == nil {
		return now.Add(-d), true
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(layout, strings.ToUpper(s)); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// trailWord is a part of a query.
type trailWord struct {
	text   string
	quoted bool
}

// trailWords splits a query at spaces, but not within quotes.
func trailWords(query string) (out []trailWord) {
	for rest := strings.TrimSpace(query); rest != ""; rest = strings.TrimSpace(rest) {
		if rest[0] == '"' {
			text, after, _ := strings.Cut(rest[1:], `"`)
			if text = strings.TrimSpace(text); text != "" {
				out = append(out, trailWord{text, true})
			}
			rest = after
			continue
		}
		text, after, _ := strings.Cut(rest, " ")
		out = append(out, trailWord{text, false})
		rest = after
	}
	return out
}

// FoundEvent is a committed event that a search found.
type FoundEvent struct {
	ID      string    `json:"id"` // the service and its number there: "request/12"
	Service string    `json:"service"`
	Type    string    `json:"type"` // "tutti.request.request.finished"
	Subject string    `json:"subject"`
	At      time.Time `json:"at"`
	Trace   string    `json:"trace,omitempty"`
	// State, By, Run, Request and Title are those that its data tells of, where it does.
	State   State           `json:"state,omitempty"`
	By      string          `json:"by,omitempty"`
	Run     RunID           `json:"run,omitempty"`
	Request string          `json:"request,omitempty"`
	Title   string          `json:"title,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// SearchEventsIn asks for events.
type SearchEventsIn struct {
	NS
	Paging
	TrailQuery
	Buckets int `query:"buckets" doc:"Also count what matches over time, in so many parts: since after:, or the last 24 hours; 0 does not" minimum:"0" maximum:"200"`
}

// FoundEvents is a part of the events that match, newest first. One search looks at so many events; where
// that was not enough, Cursor goes on, also after a page without items.
type FoundEvents struct {
	Items  []FoundEvent `json:"items"`
	Cursor string       `json:"cursor,omitempty"`
	// Back is how far back was looked; zero where there is nothing further back.
	Back time.Time `json:"back,omitzero"`
	// Histogram counts what matches; nil where it was not asked for.
	Histogram *Histogram `json:"histogram,omitempty"`
}

// Histogram counts events over time.
type Histogram struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Since is from when on the counts are whole: later than From where too much happened to look at all of it.
	Since time.Time `json:"since"`
	// Buckets are equal parts of From to To; each counts by state, "" for events that tell none.
	Buckets []map[State]int `json:"buckets"`
}

// Act is a row of the audit trail.
type Act struct {
	At        time.Time       `json:"at"`
	Subject   string          `json:"subject"`
	From      string          `json:"from,omitempty"`
	Namespace string          `json:"namespace"`
	Action    string          `json:"action"`
	Object    string          `json:"object"`
	Trace     string          `json:"trace,omitempty"`
	Detail    json.RawMessage `json:"detail,omitempty"`
	Service   string          `json:"service"`
}

// ListAuditIn asks for the audit trail.
type ListAuditIn struct {
	NS
	Paging
	TrailQuery
}

// AuditPage is a part of the audit trail, newest first. Where a search did not look at all of it, Cursor goes
// on, also after a page without items.
type AuditPage struct {
	Items  []Act     `json:"items"`
	Cursor string    `json:"cursor,omitempty"`
	Back   time.Time `json:"back,omitzero"` // how far back was looked; zero at the end
}

// What was committed and done, by search.
var (
	SearchEvents = bus.Method[SearchEventsIn, FoundEvents]{Name: "event.search", HTTP: "GET /v1/namespaces/{namespace}/events", Perm: "run.read", Doc: "Search the events of the namespace, newest first."}
	ListAudit    = bus.Method[ListAuditIn, AuditPage]{Name: "audit.list", HTTP: "GET /v1/namespaces/{namespace}/audit", Perm: "audit.read", Doc: "List who did what, newest first."}
)
