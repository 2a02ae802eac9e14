package tasktest

import (
	"strings"
	"testing"

	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/task"
	"tutti/sdk"
)

// Declare returns the task type that a document of kind TaskType declares for a driver; kind and title
// are put before text. The document must be sound.
func Declare(t *testing.T, d task.Driver, text string) sdk.TaskType {
	t.Helper()
	typ, problems := compile(t, d, text)
	for _, p := range problems {
		t.Errorf("%s: %s (%s)", p.Location, p.Message, p.Hint)
	}
	if typ == nil || len(problems) > 0 {
		t.FailNow()
	}
	return typ
}

// Refuses checks that a driver finds fault with a document, in words that contain want.
func Refuses(t *testing.T, d task.Driver, text, want string) {
	t.Helper()
	_, problems := compile(t, d, text)
	said := ""
	for _, p := range problems {
		said += p.Location + ": " + p.Message + " (" + p.Hint + ")\n"
	}
	if len(problems) == 0 || !strings.Contains(said, want) {
		t.Errorf("the document\n%s\nis said to have the problems %q; want %q among them", text, said, want)
	}
}

func compile(t *testing.T, d task.Driver, text string) (sdk.TaskType, []errs.Problem) {
	t.Helper()
	docs, problems := document.Parse("type.yaml", []byte("kind: TaskType\ntitle: A test\ndoc: For a test.\n"+text))
	if len(problems) > 0 || len(docs) != 1 {
		return nil, problems
	}
	typ, _, problems := task.Drivers{d}.Compile(docs[0])
	return typ, problems
}
