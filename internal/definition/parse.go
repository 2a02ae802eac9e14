package definition

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
)

const (
	// maxBytes bounds the text of all files of one apply.
	maxBytes = 4 << 20
	// maxDocuments bounds the documents of one apply.
	maxDocuments = 1000
	// maxProblems bounds what one answer lists.
	maxProblems = 100
)

// doc is a document and the text it was written as.
type doc struct {
	*document.Document
	source string
}

// named returns files with a name each, for messages.
func named(files []api.SourceFile) []api.SourceFile {
	files = slices.Clone(files)
	for i := range files {
		if files[i].Name == "" {
			files[i].Name = fmt.Sprintf("files[%d]", i)
		}
	}
	return files
}

// parse reads all files and returns the sound documents with all that is wrong with the others. It
// returns errs.TooLarge where a limit is passed.
func parse(files []api.SourceFile) (docs []doc, problems []errs.Problem, err error) {
	size := 0
	for _, f := range files {
		if size += len(f.Text); size > maxBytes || len(f.Text) > document.MaxSize {
			return nil, nil, errs.New(errs.TooLarge, "%s is too much: a file may have %d bytes, all together %d", f.Name, document.MaxSize, maxBytes).
				WithHint("apply the files in several steps")
		}
		ds, ps := document.Parse(f.Name, []byte(f.Text))
		problems = append(problems, ps...)
		for _, d := range ds {
			docs = append(docs, doc{d, sourceOf(f.Text, d)})
		}
		if len(docs) > maxDocuments {
			return nil, nil, errs.New(errs.TooLarge, "there are more than %d documents", maxDocuments).WithHint("apply the files in several steps")
		}
	}
	return docs, append(problems, shared(docs)...), nil
}

// shared returns what is wrong with documents of whatever kind: kinds that do not exist, and names
// given twice.
func shared(docs []doc) (problems []errs.Problem) {
	first := map[[2]string]doc{}
	for _, d := range docs {
		if !slices.Contains(api.Kinds, d.Kind) {
			hint := "the kinds are " + strings.Join(api.Kinds, ", ")
			if near := document.Nearest(d.Kind, api.Kinds); near != "" {
				hint = "did you mean " + near + "? " + hint
			}
			problems = append(problems, errs.Problem{Location: d.At("/kind"), Message: fmt.Sprintf("there is no kind %q", d.Kind), Hint: hint})
		}
		id := [2]string{d.Kind, d.Name}
		if other, ok := first[id]; ok {
			problems = append(problems, errs.Problem{Location: d.At("/name"), Message: fmt.Sprintf("%s %q is given twice", d.Kind, d.Name), Hint: "the first is at " + other.At("")})
			continue
		}
		first[id] = d
	}
	return problems
}

// sourceOf returns the part of a file that d was written as.
func sourceOf(text string, d *document.Document) string {
	_, line := place(d.At(""))
	lines := strings.SplitAfter(text, "\n")
	from, to := 0, len(lines)
	for i, l := range lines {
		// At the beginning of a line --- ends a document wherever it stands.
		if l = strings.TrimRight(l, "\r\n \t"); l != "---" && !strings.HasPrefix(l, "--- ") {
			continue
		}
		if i+1 <= line {
			from = i + 1
			continue
		}
		to = i
		break
	}
	return strings.Join(lines[min(from, to):to], "")
}

// place takes a location apart: vm.yaml:12:9 is vm.yaml and line 12.
func place(location string) (file string, line int) {
	parts := strings.Split(location, ":")
	if len(parts) < 3 {
		return location, 0
	}
	line, _ = strconv.Atoi(parts[len(parts)-2])
	return strings.Join(parts[:len(parts)-2], ":"), line
}

// inOrder returns the problems in the order of the files and lines, each once, and not too many.
func inOrder(files []api.SourceFile, problems []errs.Problem) []errs.Problem {
	rank := map[string]int{}
	for i, f := range files {
		rank[f.Name] = i
	}
	slices.SortStableFunc(problems, func(a, b errs.Problem) int {
		fileA, lineA := place(a.Location)
		fileB, lineB := place(b.Location)
		if d := rank[fileA] - rank[fileB]; d != 0 {
			return d
		}
		return lineA - lineB
	})
	seen := map[[2]string]bool{}
	problems = slices.DeleteFunc(problems, func(p errs.Problem) bool {
		id := [2]string{p.Location, p.Message}
		defer func() { seen[id] = true }()
		return seen[id]
	})
	if more := len(problems) - maxProblems; more > 0 {
		problems = append(problems[:maxProblems:maxProblems], errs.Problem{Message: fmt.Sprintf("and %d more", more)})
	}
	return problems
}
