package app

import (
	"fmt"
	"os"

	"tutti/internal/task"
	"tutti/internal/task/all"
)

// types returns the task types that the server runs, and that the engine knows.
func (p *platform) types() (task.Registry, error) {
	shim := p.c.Shim
	if len(shim) == 0 {
		self, err := os.Executable()
		if err != nil {
			return task.Registry{}, fmt.Errorf("find this program: %w", err)
		}
		shim = []string{self, "shim"}
	}
	return all.Types(all.Deps{Guard: p.guard, Shim: shim, Work: p.path("work"), Bus: p.bus, Blobs: p.blobs}), nil
}
