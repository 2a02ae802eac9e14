package cli

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli/output"
)

// Flaw is something wrong with what a server keeps.
type Flaw struct {
	Service string `json:"service"`
	Text    string `json:"text"`
}

func (l *line) fsckCommand() *cobra.Command {
	var data, db string
	cmd := l.command("fsck", "Check what a stopped server keeps: databases, journals, files, logs, repositories", func(ctx context.Context, _ []string) error {
		if l.Verify == nil {
			return errs.New(errs.Internal, "this program was built without the server")
		}
		found, err := l.Verify(ctx, data, cmp.Or(db, l.Env("TUTTI_DB")))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			l.note("Nothing is wrong with %s.", data)
		}
		cols := []output.Column[Flaw]{
			col("SERVICE", func(f Flaw) string { return f.Service }),
			col("FOUND", func(f Flaw) string { return f.Text }),
		}
		if len(found) == 0 && l.format == "table" {
			return nil
		}
		if err := list(l, api.Page[Flaw]{Items: found}, cols, func(f Flaw) string { return f.Service }, ""); err != nil {
			return err
		}
		if len(found) > 0 {
			return exit{code: ExitError}
		}
		return nil
	})
	cmd.Long = "Read all that a server keeps, and say what is wrong with it: damaged pages, numbers that are missing from outbox and audit\n" +
		"trail, runs whose journal breaks the rules of the engine or does not agree with what is shown of them, files, logs and commits that\n" +
		"are missing or not what was stored. The server must be stopped. Nothing is changed, but that what an older version left is brought\n" +
		"up to date. Exit code 1 where something is wrong."
	cmd.Example = "  tutti fsck --data /var/lib/tutti"
	cmd.Flags().StringVar(&data, "data", cmp.Or(l.Env("TUTTI_DATA"), "tutti-data"), "data folder of the server")
	cmd.Flags().StringVar(&db, "db", "", "PostgreSQL that the server uses instead of SQLite: postgres://user@host/database")
	return cmd
}
