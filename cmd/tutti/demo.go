package main

import (
	"github.com/spf13/cobra"

	"tutti/internal/cli"
	"tutti/internal/demo"
)

// demoCommands are `tutti demo` and its process of a vCenter. What a demo shows of a request is what
// `tutti watch` shows.
func demoCommands(c cli.Config) []*cobra.Command {
	return demo.Commands(demo.Program{Watch: c.Watch, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr}, cli.Exit)
}
