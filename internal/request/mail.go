package request

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"tutti/api"
)

// letter is a mail to be sent; key tells it from the others of its request.
type letter struct{ key, subject, text string }

// maxQuoted bounds the JSON that a mail quotes, in bytes.
const maxQuoted = 8 << 10

// receipt tells that r was accepted.
func receipt(r row) letter {
	var b strings.Builder
	fmt.Fprintf(&b, "%s asked %s %s in namespace %s.\n\n", who(r), verbs[r.Action], what(r), r.Namespace)
	ids(&b, r)
	parts(&b, r)
	quote(&b, "What was asked:", r.Params)
	fmt.Fprintf(&b, "\nFollow it with: tutti watch %s\n", r.ID)
	return letter{"received", "Received: " + headline(r), b.String()}
}

// completion tells how r ended.
func completion(r row) letter {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s in namespace %s.\n\n", what(r), outcome(r), r.Namespace)
	if r.State == api.Failed {
		failure(&b, r)
	}
	if slices.Contains(r.Flags, api.Degraded) {
		fmt.Fprintf(&b, "Something that may fail did fail: tutti status %s tells what.\n\n", r.Run)
	}
	ids(&b, r)
	parts(&b, r)
	if len(r.Outputs) > 0 && r.State == api.Succeeded {
		quote(&b, "What was made:", r.Outputs)
	}
	quote(&b, "What was asked:", r.Params)
	key := "finished"
	if r.Endings > 1 {
		key = fmt.Sprintf("finished/%d", r.Endings)
	}
	word := strings.ToUpper(string(r.State[:1])) + string(r.State[1:])
	return letter{key, word + ": " + headline(r), b.String()}
}

// verbs are the actions in a receipt.
var verbs = map[string]string{"": "for", api.ActionCreate: "for", api.ActionModify: "to modify", api.ActionDelete: "to delete"}

// what names what r is about.
func what(r row) string {
	if len(r.Items) > 0 {
		return fmt.Sprintf("%d resources", len(r.Items))
	}
	return r.Type + " " + plain(r.Name)
}

// parts lists the resources of a request for several.
func parts(b *strings.Builder, r row) {
	if len(r.Items) == 0 {
		return
	}
	b.WriteString("\nThe resources:\n")
	for _, it := range r.Items {
		fmt.Fprintf(b, "  %-10s %-8s %s %s", it.State, it.Action, it.Type, plain(it.Name))
		if it.Failure != nil {
			fmt.Fprintf(b, ": %s", clip(plain(it.Failure.Message), 300))
		}
		b.WriteString("\n")
	}
}

// outcome says in words how r ended.
func outcome(r row) string {
	switch {
	case slices.Contains(r.Flags, api.Undone):
		return "was undone; the request had " + string(r.State)
	case r.State == api.Succeeded && len(r.Items) > 0:
		return "are done"
	case r.State == api.Succeeded && r.Action == api.ActionDelete:
		return "is deleted"
	case r.State == api.Succeeded:
		return "is ready"
	case r.State == api.Cancelled:
		return "was cancelled"
	}
	if len(r.Items) > 0 {
		return "were not all done"
	}
	switch r.Action {
	case api.ActionModify:
		return "was not modified"
	case api.ActionDelete:
		return "was not deleted"
	}
	return "was not made"
}

// failure says what failed and what can be done.
func failure(b *strings.Builder, r row) {
	if f := r.Failure; f != nil {
		where := ""
		if f.Task != "" {
			where = "In task " + f.Task + ": "
		}
		fmt.Fprintf(b, "%s%s\n", where, clip(f.Message, 2000))
		if f.Hint != "" {
			fmt.Fprintf(b, "What to do: %s\n", clip(f.Hint, 1000))
		}
		b.WriteString("\n")
	}
	if r.Run != "" {
		fmt.Fprintf(b, "Retry what failed, keeping the rest: tutti run retry %s\n", r.Run)
	}
	fmt.Fprintf(b, "Submit it again, with the same trace: tutti request resubmit %s\n\n", r.ID)
}

func ids(b *strings.Builder, r row) {
	for _, line := range [][2]string{{"Request", r.ID}, {"Of", r.Of}, {"Run", string(r.Run)}, {"Trace", r.Trace}, {"Workflow", r.Workflow}, {"Entry", r.Entry}} {
		if line[1] != "" {
			fmt.Fprintf(b, "%-10s%s\n", line[0], line[1])
		}
	}
}

// quote adds JSON, indented and of bounded length.
func quote(b *strings.Builder, title string, v json.RawMessage) {
	var out bytes.Buffer
	if len(v) == 0 || json.Indent(&out, v, "  ", "  ") != nil {
		return
	}
	fmt.Fprintf(b, "\n%s\n  %s\n", title, clip(out.String(), maxQuoted))
}

// who is the requester without the kind of subject.
func who(r row) string { return plain(strings.TrimPrefix(r.Requester, "user:")) }

func headline(r row) string {
	about := what(r)
	if r.Action == api.ActionDelete || r.Action == api.ActionModify {
		about = r.Action + " " + about
	}
	return clip(plain(about), 120) + " (" + r.ID + ")"
}

// plain takes out of a text what does not belong in one line.
func plain(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, s)
}

// clip cuts a text to at most n bytes, between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
