// Package output prints what a command found: as a table for people, as JSON, YAML, JSON lines or names
// for programs, through a jq filter where asked. It owns how states, times and lengths look, and it
// takes control characters out of everything it did not draw itself, so that no name or message can
// steer the terminal it is shown on.
package output

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"tutti/errs"
)

// Formats are the values of -o.
var Formats = []string{"table", "wide", "json", "yaml", "jsonl", "name"}

// Times are the values of --time.
var Times = []string{"rel", "iso", "unix"}

// Printer prints to W as its fields say. The zero value of a field is the plainest choice.
type Printer struct {
	W io.Writer
	// Format is one of Formats; empty is "table".
	Format string
	// JQ filters the JSON of the object and prints what comes out; it wins over Format.
	JQ string
	// Fields choose columns of a table, or fields of each JSON object, by name or dotted path.
	Fields []string
	// NoHeaders leaves the heading of tables out.
	NoHeaders bool
	// Terminal aligns columns and cuts them to Width; elsewhere tabs separate them and nothing is cut.
	Terminal bool
	Width    int
	// Color allows colour.
	Color bool
	// Time is one of Times; empty is "rel" on a terminal and "iso" elsewhere.
	Time string
	// Now is the time that relative times count from.
	Now time.Time
}

// Check reports, as errs.Invalid, a choice that p cannot carry out.
func (p *Printer) Check() error {
	if p.Format != "" && !slices.Contains(Formats, p.Format) {
		return errs.New(errs.Invalid, "no output format %q", p.Format).WithHint("-o takes %s", strings.Join(Formats, ", "))
	}
	if p.Time != "" && !slices.Contains(Times, p.Time) {
		return errs.New(errs.Invalid, "no time format %q", p.Time).WithHint("--time takes %s", strings.Join(Times, ", "))
	}
	if p.JQ != "" {
		_, err := compile(p.JQ)
		return err
	}
	return nil
}

// Structured reports whether p prints data for programs instead of text for people.
func (p *Printer) Structured() bool {
	return p.JQ != "" || p.Format != "" && p.Format != "table" && p.Format != "wide"
}

// List prints a list: object is what the API answered, with the items under "items"; cols say what
// a row shows, and name what -o name prints of an item.
func List[T any](p *Printer, object any, items []T, cols []Column[T], name func(T) string) error {
	switch {
	case p.JQ == "" && p.Format == "name":
		for _, it := range items {
			if _, err := fmt.Fprintln(p.W, Clean(name(it))); err != nil {
				return err
			}
		}
		return nil
	case p.JQ == "" && p.Format == "jsonl":
		for _, it := range items {
			if err := p.line(it); err != nil {
				return err
			}
		}
		return nil
	case p.Structured():
		return p.Data(object)
	}
	t, err := tabulate(p, items, cols)
	if err != nil {
		return err
	}
	return p.table(t)
}

// One prints a single object: as facts, a label and a value each, for people.
func One[T any](p *Printer, object T, facts []Column[T], name string) error {
	if p.JQ == "" && p.Format == "name" {
		_, err := fmt.Fprintln(p.W, Clean(name))
		return err
	}
	if p.Structured() {
		return p.Data(object)
	}
	if len(p.Fields) > 0 {
		return List(p, object, []T{object}, facts, nil)
	}
	labels, cells := make([]string, len(facts)), make([]Cell, len(facts))
	for i, f := range facts {
		labels[i], cells[i] = f.Name, f.Get(object)
	}
	return p.factLines(labels, cells)
}

// Data prints object as JSON, YAML or a JSON line, or through the jq filter.
func (p *Printer) Data(object any) error {
	if p.JQ != "" {
		return p.jq(object)
	}
	object, err := p.project(object)
	if err != nil {
		return err
	}
	switch p.Format {
	case "yaml":
		return writeYAML(p.W, object)
	case "jsonl":
		return writeJSON(p.W, object, "")
	default:
		return writeJSON(p.W, object, "  ")
	}
}

func (p *Printer) line(object any) error {
	object, err := p.project(object)
	if err != nil {
		return err
	}
	return writeJSON(p.W, object, "")
}

// writeJSON writes v as it travels: no escapes for HTML, a line break at the end.
func writeJSON(w io.Writer, v any, indent string) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	return e.Encode(v)
}
