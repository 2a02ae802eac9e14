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
	names := f.Names()
	required := func(n string) bool { return slices.Contains(f.root.Required, n) }
	slices.SortStableFunc(names, func(a, b string) int {
		return slices.Index([]bool{true, false}, required(a)) - slices.Index([]bool{true, false}, required(b))
	})
	for _, name := range names {
		if _, given := values[name]; given {
			continue
		}
		s, _ := f.at(f.root, []string{name})
		if s.Const != nil {
			continue
		}
		q := Question{Name: name, Title: s.Title, Doc: s.Description, Type: s.kind(), Required: required(name), Values: s.values()}
		if len(s.Default) > 0 {
			var d any
			if json.Unmarshal(s.Default, &d) == nil {
				q.Default = show(d)
			}
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
