// Package gittask is the task type git.commit: files written to a repository of the namespace as one
// commit, with the task's key, so that a repeated attempt finds the commit instead of making another.
package gittask

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/task"
	"tutti/sdk"
)

type with struct {
	Repository string                     `json:"repository" doc:"Name of the repository" minLength:"1" maxLength:"200"`
	Message    string                     `json:"message" doc:"What people read in the history; the first line is the subject" minLength:"1" maxLength:"16384"`
	Files      map[string]json.RawMessage `json:"files,omitempty" doc:"What to write, by path: text as it is, anything else as indented JSON" maxProperties:"10000"`
	Remove     []string                   `json:"remove,omitempty" doc:"Paths to remove; what is not there is passed over" maxItems:"10000"`
}

type out struct {
	Commit     string `json:"commit" doc:"Hash of the commit"`
	Repository string `json:"repository" doc:"Name of the repository"`
}

// New returns the task type; it calls over b.
func New(b *bus.Bus) sdk.TaskType {
	return task.Define(api.TaskType{
		Name: "git.commit", Title: "Commit files", Doc: "Writes and removes files of a repository as one commit that names trace, request and run. A repeated attempt gives the same commit.",
		Errors: task.Called(nil),
	}, committer{b}.do)
}

type committer struct{ bus *bus.Bus }

func (c committer) do(ctx context.Context, t *sdk.Task, in with) (out, error) {
	if len(in.Files) == 0 && len(in.Remove) == 0 {
		return out{}, errs.New(errs.Invalid, "the commit would change nothing").WithHint("give with.files or with.remove")
	}
	if strings.TrimSpace(in.Message) == "" {
		return out{}, errs.New(errs.Invalid, "with.message is blank")
	}
	files := make(map[string]string, len(in.Files))
	for path, raw := range in.Files {
		text, err := fileText(raw)
		if err != nil {
			return out{}, errs.New(errs.Invalid, "with.files[%q]: %w", path, err)
		}
		files[path] = text
	}
	trailers := map[string]string{}
	for name, value := range map[string]string{"Trace": t.Trace, "Request": t.Request, "Run": string(t.Run)} {
		if value != "" {
			trailers[name] = value
		}
	}
	commit, err := api.CommitFiles.Call(ctx, c.bus, api.CommitIn{
		NS: api.NS{Namespace: t.Namespace}, Repository: in.Repository, Key: t.Key, Message: in.Message, Author: t.Requester,
		Trailers: trailers, Files: files, Remove: in.Remove,
	})
	if err != nil {
		return out{}, err
	}
	t.Logf("commit %s in %s: %d written, %d removed", commit.Hash, in.Repository, len(files), len(in.Remove))
	return out{Commit: commit.Hash, Repository: in.Repository}, nil
}

// fileText returns text as it is, and a value as JSON that reads and compares well: indented, sorted by
// name, with a line break at the end.
func fileText(raw json.RawMessage) (string, error) {
	var text string
	if raw[0] == '"' {
		err := json.Unmarshal(raw, &text)
		return text, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // numbers stay as they were written
	var v any
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.String(), err
}
