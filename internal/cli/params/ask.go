package params

import (
	"encoding/json"
	"slices"
	"strings"

	"tutti/errs"
)

// Question is what a person is asked about a parameter.
type Question struct {
	Name, Title, Doc, Type string
	Required               bool
	// Default stands for an empty answer; Values are the only answers, where there are any.
	Default string
	Values  []string
}

// Ask asks for every parameter that values lacks, the required ones first, and puts the answers in.
// An answer that cannot be right is asked for again, with the reason. An error of ask ends it.
func (f *Form) Ask(values map[string]any, ask func(q Question, wrong error) (string, error)) error {
	for _, q := range f.Questions() {
		if _, given := values[q.Name]; given {
			continue
		}
		if err := f.answer(values, q, ask); err != nil {
			return err
		}
	}
	return nil
}

// answer asks q until the answer can be right. An empty one leaves the parameter out.
func (f *Form) answer(values map[string]any, q Question, ask func(Question, error) (string, error)) error {
	var wrong error
	for {
		text, err := ask(q, wrong)
		if err != nil {
			return err
		}
		switch text = strings.TrimSpace(text); {
		case text == "" && q.Required && q.Default == "":
			wrong = errs.New(errs.Invalid, "%s is required", q.Name)
		case text == "":
			return nil // the server fills the default in
		default:
			if wrong = f.set(values, q.Name, []string{q.Name}, text); wrong == nil {
				return nil
			}
		}
	}
}

// Questions lists what the form asks for, required parameters first. Nothing is asked.
func (f *Form) Questions() []Question {
	names := f.Names()
	required := func(n string) bool { return slices.Contains(f.root.Required, n) }
	slices.SortStableFunc(names, func(a, b string) int {
		return slices.Index([]bool{true, false}, required(a)) - slices.Index([]bool{true, false}, required(b))
	})
	var out []Question
	for _, name := range names {
		s, _ := f.at(f.root, []string{name})
		if s.Const != nil {
			continue
		}
		q := Question{Name: name, Title: s.Title, Doc: s.Description, Type: s.kind(), Required: required(name), Values: s.values()}
		var d any
		if len(s.Default) > 0 && json.Unmarshal(s.Default, &d) == nil {
			q.Default = show(d)
		}
		out = append(out, q)
	}
	return out
}
