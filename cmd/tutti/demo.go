package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"tutti/internal/cli"
	"tutti/internal/demo"
)

// demoCommands are `tutti demo` and its process of a vCenter. What a demo shows of a request is what
// `tutti watch` shows.
func demoCommands(c cli.Config) []*cobra.Command {
	watch := func(ctx context.Context, server, token, request string) int {
		w := cli.System()
		w.Args = []string{"watch", request}
		w.Env = func(name string) string {
			switch name {
			case "TUTTI_SERVER":
				return server
			case "TUTTI_TOKEN":
				return token
			case "TUTTI_NAMESPACE", "TUTTI_CONTEXT":
				return ""
			}
			return os.Getenv(name)
		}
		return cli.Main(ctx, w)
	}
	return demo.Commands(demo.Program{Watch: watch, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr}, cli.Exit)
}
