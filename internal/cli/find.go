package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/id"
	"tutti/internal/cli/output"
)

// prefixes are those of the IDs of a kind.
func prefixes(kind string) string {
	switch kind {
	case "request":
		return "req"
	case "run":
		return "run"
	default:
		return kind
	}
}

// leastPrefix is how many characters of an ID are enough, after its kind.
const leastPrefix = 4

// resolve finds the one object of some kinds that an ID, or a prefix of one with or without its kind,
// means. It returns errs.NotFound, or errs.Conflict with the candidates.
func (l *line) resolve(ctx context.Context, word string, kinds ...string) (api.Found, error) {
	for _, k := range kinds {
		if id.Valid(prefixes(k), word) {
			return api.Found{Kind: k, ID: word}, nil
		}
	}
	var ask []string
	if head, rest, ok := strings.Cut(word, "_"); ok {
		known := slices.IndexFunc(kinds, func(k string) bool { return prefixes(k) == head }) >= 0
		if !known {
			return api.Found{}, errs.New(errs.Invalid, "%q is not the ID of a %s", word, strings.Join(kinds, " or a "))
		}
		if len(rest) < leastPrefix {
			return api.Found{}, errs.New(errs.Invalid, "%q is too short for an ID", word).WithHint("give at least %d characters after %s_", leastPrefix, head)
		}
		ask = []string{word}
	} else {
		if len(word) < leastPrefix {
			return api.Found{}, errs.New(errs.Invalid, "%q is too short for an ID", word).WithHint("give at least %d characters of it", leastPrefix)
		}
		for _, k := range kinds {
			ask = append(ask, prefixes(k)+"_"+word)
		}
	}
	var found []api.Found
	for _, a := range ask {
		page, err := call(ctx, l, api.Search, api.SearchIn{ID: a})
		if err != nil {
			return api.Found{}, err
		}
		for _, f := range page.Items {
			if slices.Contains(kinds, f.Kind) && strings.HasPrefix(f.ID, a) {
				found = append(found, f)
			}
		}
	}
	return one(word, kinds, found)
}

// one returns the only object found.
func one(word string, kinds []string, found []api.Found) (api.Found, error) {
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return api.Found{}, errs.New(errs.NotFound, "no %s %q", strings.Join(kinds, " or "), word).WithHint("list them: tutti %s list", kinds[0])
	}
	e := errs.New(errs.Conflict, "%q is the beginning of %d IDs", word, len(found)).WithHint("give more of it")
	for _, f := range found[:min(len(found), 10)] {
		e.Problems = append(e.Problems, errs.Problem{Location: f.ID, Message: strings.TrimSpace(fmt.Sprintf("%s %s", f.State, f.Title))})
	}
	return api.Found{}, e
}

// runID resolves the ID of a run, or of a request to its run.
func (l *line) runID(ctx context.Context, word string) (api.RunID, error) {
	f, err := l.resolve(ctx, word, "run", "request")
	if err != nil || f.Kind == "run" {
		return api.RunID(f.ID), err
	}
	r, err := call(ctx, l, api.GetRequest, api.RequestIn{ID: f.ID})
	if err == nil && r.Run == "" {
		err = errs.New(errs.NotFound, "request %s has no run yet", r.ID).WithHint("see: tutti request show %s", r.ID)
	}
	return r.Run, err
}

// requestID resolves the ID of a request.
func (l *line) requestID(ctx context.Context, word string) (string, error) {
	f, err := l.resolve(ctx, word, "request")
	return f.ID, err
}

// completeTime is how long completion may take; what is not there by then is left out.
const completeTime = 300 * time.Millisecond

// complete returns a completion of the first argument that asks the server, silent on failure.
func (l *line) complete(suggest func(ctx context.Context) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 || suggest == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
		defer cancel()
		return suggest(ctx), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// describe joins a completion and what it is.
func describe(word, format string, args ...any) string {
	return word + "\t" + output.Cut(output.Clean(strings.TrimSpace(fmt.Sprintf(format, args...))), 60)
}

func (l *line) watchables(ctx context.Context) []string {
	return append(l.requestIDs(ctx), l.runIDs(ctx)...)
}

func (l *line) requestIDs(ctx context.Context) []string {
	page, err := call(ctx, l, api.ListRequests, api.ListRequestsIn{Paging: api.Paging{Limit: 20}})
	if err != nil {
		return nil
	}
	var out []string
	for _, r := range page.Items {
		out = append(out, describe(r.ID, "%s %s %s", r.State, r.Entry, r.Name))
	}
	return out
}

func (l *line) runIDs(ctx context.Context) []string {
	page, err := call(ctx, l, api.ListRuns, api.ListRunsIn{Paging: api.Paging{Limit: 20}})
	if err != nil {
		return nil
	}
	var out []string
	for _, r := range page.Items {
		out = append(out, describe(string(r.ID), "%s %s %s", r.State, r.Workflow, r.Title))
	}
	return out
}

func (l *line) entryNames(ctx context.Context) []string {
	page, err := call(ctx, l, api.ListEntries, api.ListEntriesIn{})
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range page.Items {
		out = append(out, describe(e.Name, "%s", e.Title))
	}
	return out
}

func (l *line) definitionNames(kind string) func(context.Context) []string {
	return func(ctx context.Context) []string {
		page, err := call(ctx, l, api.ListDefinitions, api.ListDefinitionsIn{Kind: kind, Paging: api.Paging{Limit: 200}})
		if err != nil {
			return nil
		}
		var out []string
		for _, d := range page.Items {
			out = append(out, describe(d.Name, "%s", d.Title))
		}
		return out
	}
}

// completeGlobals completes the values of the global flags.
func (l *line) completeGlobals(root *cobra.Command) {
	for name, values := range map[string][]string{"output": output.Formats, "color": {"auto", "always", "never"}, "time": output.Times} {
		must(root.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
	}
	must(root.RegisterFlagCompletionFunc("context", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		f, err := l.contexts()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f.Names(), cobra.ShellCompDirectiveNoFileComp
	}))
}

// must panics on an error that only a misspelt flag name in this package can give.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
