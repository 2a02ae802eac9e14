package main

import (
	"github.com/spf13/cobra"

	"tutti/internal/app"
	"tutti/internal/cli"
)

// runnerCommands are the hidden commands below which tofu, terraform and ansible-playbook run.
func runnerCommands() []*cobra.Command {
	return []*cobra.Command{
		runnerCommand("terraform-run", "Run a plan or an apply (for Tutti itself)", app.RunTerraform),
		runnerCommand("ansible-run", "Run a playbook (for Tutti itself)", app.RunAnsible),
	}
}

func runnerCommand(use, short string, run func() int) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs, Hidden: true,
		RunE: func(*cobra.Command, []string) error {
			if n := run(); n != 0 {
				return cli.Exit(n)
			}
			return nil
		},
	}
}
