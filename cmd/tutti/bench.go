package main

import (
	"github.com/spf13/cobra"

	"tutti/internal/bench"
	"tutti/internal/cli"
	"tutti/sdk"
)

// benchCommands are `tutti bench`.
func benchCommands(c cli.Config) []*cobra.Command {
	return bench.Commands(c, func() ([]sdk.TaskType, error) { return workerTypes(nil) })
}
