package app

import (
	"path/filepath"

	"tutti/internal/task"
	"tutti/internal/task/httptask"
	"tutti/internal/task/nooptask"
)

// types are the task types built into the server.
func (p *platform) types() task.Registry {
	return task.NewRegistry(
		httptask.New(p.guard),
		nooptask.New(),
	)
}

// tokenFile is where the one-time bootstrap token is.
func (p *platform) tokenFile() string { return p.path("bootstrap-token") }

// path returns where something is in the data folder.
func (p *platform) path(name string) string { return filepath.Join(p.c.Data, name) }
