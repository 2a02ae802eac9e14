package main

import (
	"github.com/spf13/cobra"

	"tutti/internal/app"
	"tutti/internal/cli"
)

// runnerCommand is the hidden command below which tofu or terraform runs.
func runnerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "terraform-run", Short: "Run a plan or an apply (for Tutti itself)", Args: cobra.NoArgs, Hidden: true,
		RunE: func(*cobra.Command, []string) error {
			if n := app.RunTerraform(); n != 0 {
				return cli.Exit(n)
			}
			return nil
		},
	}
}
