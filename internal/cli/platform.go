package cli

import (
	"context"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli/output"
	"tutti/sdk"
)

func fileColumns() []output.Column[api.File] {
	return []output.Column[api.File]{
		col("ID", func(f api.File) string { return f.ID }),
		col("NAME", func(f api.File) string { return f.Name }),
		right(col("SIZE", func(f api.File) string { return output.Size(f.Size) })),
		col("BY", func(f api.File) string { return f.By }),
		when("CREATED", func(f api.File) time.Time { return f.Created }),
		wide("TYPE", func(f api.File) string { return f.Type }),
		wide("DIGEST", func(f api.File) string { return f.Digest }),
		wide("TRACE", func(f api.File) string { return f.Trace }),
	}
}

func (l *line) fileCommands() *cobra.Command {
	return l.group("file", "Upload and download files", "  tutti file put report.pdf\n  tutti file get file_7k2m… > report.pdf",
		l.filePut(), l.fileGet(), l.fileList())
}

func (l *line) filePut() *cobra.Command {
	var name, kind string
	cmd := l.command("put PATH", "Upload a file; - is stdin", func(ctx context.Context, args []string) error {
		u := sdk.Upload{Name: name, Type: kind, Body: l.Stdin}
		if args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return errs.New(errs.Invalid, "read %s: %w", args[0], reasonOf(err))
			}
			defer f.Close()
			u.Body = f
			if u.Name == "" {
				u.Name = filepath.Base(args[0])
			}
		}
		if u.Name == "" {
			return usage("what is it called?").WithHint("give --name")
		}
		if u.Type == "" {
			u.Type = mime.TypeByExtension(filepath.Ext(u.Name))
		}
		c, err := l.client()
		if err != nil {
			return err
		}
		f, err := c.Upload(ctx, u)
		if err != nil {
			return err
		}
		return output.One(l.printer(), f, fileColumns(), f.ID)
	})
	cmd.Flags().StringVar(&name, "name", "", "what it is called; the file's own name by default")
	cmd.Flags().StringVar(&kind, "type", "", "its media type; by the name's extension by default")
	cmd.ValidArgsFunction = nil // complete with files
	return cmd
}

func (l *line) fileGet() *cobra.Command {
	var to string
	cmd := l.command("get ID", "Download a file to stdout or a path", func(ctx context.Context, args []string) (err error) {
		id := args[0]
		if !strings.HasPrefix(id, "sha256:") {
			f, err := l.resolve(ctx, id, "file")
			if err != nil {
				return err
			}
			id = f.ID
		}
		c, err := l.client()
		if err != nil {
			return err
		}
		if to == "" && l.Terminal.Out {
			return usage("this would write a file to the terminal").WithHint("give --to PATH, or send stdout elsewhere")
		}
		body, err := c.Download(ctx, "", id)
		if err != nil {
			return err
		}
		defer body.Close()
		if to == "" {
			_, err = io.Copy(l.Stdout, body)
			return err
		}
		return save(to, body)
	})
	cmd.Flags().StringVar(&to, "to", "", "path to write to; it must not exist")
	return cmd
}

// save writes r to a new file; what could not be written whole is removed.
func save(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return errs.New(errs.Invalid, "write %s: %w", path, reasonOf(err))
	}
	_, err = io.Copy(f, r)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(path) // the error says why it is not there
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func (l *line) fileList() *cobra.Command {
	var trace string
	cmd := lister(l, "list", "List files, newest first", fileColumns(), func(f api.File) string { return f.ID },
		"No file. Upload one: tutti file put PATH",
		func(ctx context.Context, p api.Paging) (api.Page[api.File], error) {
			return call(ctx, l, api.ListFiles, api.ListFilesIn{Paging: p, Trace: trace})
		})
	cmd.Flags().StringVar(&trace, "trace", "", "only of this trace")
	return cmd
}

func (l *line) serviceCommands() *cobra.Command {
	return l.group("service", "See the services and workers that are up", "",
		l.command("list", "List services and workers with their last sign of life", func(ctx context.Context, _ []string) error {
			page, err := call(ctx, l, api.ListPresence, api.Nothing{})
			if err != nil {
				return err
			}
			cols := []output.Column[api.Presence]{
				col("NAME", func(p api.Presence) string { return p.Name }),
				col("STATE", func(p api.Presence) string { return p.State }),
				col("HOST", func(p api.Presence) string { return p.Host }),
				when("SEEN", func(p api.Presence) time.Time { return p.Seen }),
				when("SINCE", func(p api.Presence) time.Time { return p.Started }),
				col("VERSION", func(p api.Presence) string { return p.Version }),
				wide("ID", func(p api.Presence) string { return p.ID }),
				wide("PID", func(p api.Presence) string { return fmt.Sprint(p.PID) }),
				wide("PLATFORM", func(p api.Presence) string { return p.Platform }),
			}
			return list(l, page, cols, func(p api.Presence) string { return p.ID }, "Nothing is up.")
		}))
}
