package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/id"
	"tutti/internal/cli/output"
	"tutti/internal/document"
	"tutti/internal/workflow/definition"
)

func (l *line) versionCommand() *cobra.Command {
	type built struct {
		Version  string `json:"version"`
		Go       string `json:"go"`
		Platform string `json:"platform"`
	}
	return l.command("version", "Print the version of this program", func(context.Context, []string) error {
		v := built{l.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
		if l.printer().Structured() {
			return output.One(l.printer(), v, nil, v.Version)
		}
		_, err := fmt.Fprintf(l.Stdout, "tutti %s %s %s\n", v.Version, v.Go, v.Platform)
		return err
	})
}

func (l *line) schemaCommand() *cobra.Command {
	kinds := slices.Sorted(maps.Keys(l.Schemas))
	var online bool
	cmd := l.command("schema [KIND]", "Print the JSON Schema of a kind of definition, for editors", func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			for _, k := range kinds {
				if _, err := fmt.Fprintln(l.Stdout, k); err != nil {
					return err
				}
			}
			return nil
		}
		i := slices.IndexFunc(kinds, func(k string) bool { return strings.EqualFold(k, args[0]) })
		if i < 0 {
			u := usage("no kind %q", args[0])
			if near := document.Nearest(args[0], kinds); near != "" {
				return u.WithHint("did you mean %s?", near)
			}
			return u.WithHint("there are %s", strings.Join(kinds, ", "))
		}
		if !online || kinds[i] != api.KindWorkflow {
			return l.printer().Data(l.Schemas[kinds[i]])
		}
		types, err := l.taskTypes(ctx)
		if err != nil {
			return err
		}
		return l.printer().Data(definition.EditorSchema(types))
	})
	cmd.Flags().BoolVar(&online, "online", false, "of workflows: with the task types of the server, those declared there among them")
	cmd.Example = "  tutti schema Workflow > .tutti/workflow.json\n  then, as the first line of a file: # yaml-language-server: $schema=.tutti/workflow.json"
	cmd.ValidArgsFunction = l.complete(func(context.Context) []string { return kinds })
	return cmd
}

func (l *line) apiCommand() *cobra.Command {
	var body, key string
	cmd := l.command("api METHOD PATH", "Make any call of the API; {namespace} in the path is filled in", func(ctx context.Context, args []string) error {
		c, err := l.client()
		if err != nil {
			return err
		}
		var in io.Reader
		header := http.Header{}
		if body != "" {
			data := []byte(body)
			if path, ok := strings.CutPrefix(body, "@"); ok {
				if _, data, err = l.read(path); err != nil {
					return err
				}
			} else if body == "-" {
				if _, data, err = l.read("-"); err != nil {
					return err
				}
			}
			in = strings.NewReader(string(data))
			header.Set("Content-Type", "application/json")
		}
		verb := strings.ToUpper(args[0])
		if verb == http.MethodPost {
			if key == "" {
				key = id.New("key")
			}
			header.Set("Idempotency-Key", key)
		}
		path := strings.ReplaceAll(args[1], "{namespace}", url.PathEscape(c.Namespace()))
		resp, err := c.Raw(ctx, verb, path, header, in)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return l.answer(resp)
	})
	cmd.Example = "  tutti api GET /v1/namespaces/{namespace}/runs --jq '.items[].id'\n  tutti api POST /v1/namespaces/{namespace}/runs -d '{\"workflow\":\"vm.build\"}'"
	cmd.Flags().StringVarP(&body, "data", "d", "", "body; @FILE reads a file, - stdin")
	cmd.Flags().StringVar(&key, "key", "", "idempotency key; a fresh one by default")
	return cmd
}

// answer prints a raw answer as it is, or through --jq and -o, and gives the exit code of its status.
func (l *line) answer(resp *http.Response) error {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	p := l.printer()
	isJSON := err == nil && (kind == "application/json" || kind == "application/problem+json")
	if good := resp.StatusCode < 300; isJSON && (good && p.Structured() || l.Terminal.Out) {
		b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		if !good {
			p.JQ, p.Fields = "", nil
		}
		if json.Valid(b) {
			err = p.Data(json.RawMessage(b))
		} else {
			_, err = l.Stdout.Write(b)
		}
		if err != nil {
			return err
		}
	} else if _, err := io.Copy(l.Stdout, resp.Body); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode < 300 {
		return nil
	}
	l.note("%s", resp.Status)
	for _, k := range []errs.Kind{errs.Invalid, errs.Unauthenticated, errs.Denied, errs.NotFound, errs.Conflict, errs.TooLarge} {
		if k.Status() == resp.StatusCode {
			return exit{code: code(errs.New(k, "%s", resp.Status))}
		}
	}
	if resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != errs.Limited.Status() {
		return exit{code: ExitRefused}
	}
	return exit{code: ExitError}
}

func (l *line) completionCommand(root *cobra.Command) *cobra.Command {
	shells := map[string]func(io.Writer) error{
		"bash":       func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh":        root.GenZshCompletion,
		"fish":       func(w io.Writer) error { return root.GenFishCompletion(w, true) },
		"powershell": root.GenPowerShellCompletionWithDesc,
	}
	names := slices.Sorted(maps.Keys(shells))
	cmd := l.command("completion SHELL", "Print the completion script of a shell", func(_ context.Context, args []string) error {
		gen := shells[args[0]]
		if gen == nil {
			return usage("no shell %q", args[0]).WithHint("there are %s", strings.Join(names, ", "))
		}
		return gen(l.Stdout)
	})
	cmd.Example = "  source <(tutti completion bash)\n  tutti completion zsh > \"${fpath[1]}/_tutti\"\n  tutti completion fish > ~/.config/fish/completions/tutti.fish"
	cmd.ValidArgsFunction = l.complete(func(context.Context) []string { return names })
	return cmd
}
