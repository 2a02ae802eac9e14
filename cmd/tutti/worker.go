package main

import (
	"slices"

	"tutti/internal/netguard"
	"tutti/internal/task/all"
	"tutti/sdk"
)

// inside are the task types that need the server's own bus, or run programs where it keeps their
// state; a worker elsewhere has neither.
var inside = []string{"exec", "mail", "file.put", "file.get", "git.commit", "rollout"}

// workerTypes returns the task types of `tutti worker`.
func workerTypes(allowDial []string) ([]sdk.TaskType, error) {
	guard, err := netguard.Parse(allowDial)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all.Types(all.Deps{Guard: guard}).Types(), func(t sdk.TaskType) bool {
		return slices.Contains(inside, t.Spec().Name)
	}), nil
}
