package request

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"tutti/api"
)

func vm() row {
	return row{Request: api.Request{ID: "req_1", Namespace: "default", Trace: "0af7", Entry: "small-vm", Type: "virtual-machine", Name: "web-01",
		Params: json.RawMessage(`{"cpu":2}`), Workflow: "vm.build", Requester: "user:anna", Run: "run_1"}, Endings: 1}
}

func TestMails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(*row)
		mail    func(row) letter
		key     string
		subject string
		text    []string
		not     string
	}{
		"received": {func(*row) {}, receipt, "received", "Received: virtual-machine web-01 (req_1)",
			[]string{"anna asked for virtual-machine web-01 in namespace default", "req_1", "0af7", `"cpu": 2`, "tutti watch req_1"}, "user:anna"},
		"succeeded": {func(r *row) { r.State, r.Outputs = api.Succeeded, json.RawMessage(`{"address":"10.0.0.7"}`) }, completion, "finished", "Succeeded: virtual-machine web-01 (req_1)",
			[]string{"is ready", `"address": "10.0.0.7"`, `"cpu": 2`}, "resubmit"},
		"failed": {func(r *row) {
			r.State, r.Failure = api.Failed, &api.RunFail{Task: "build.apply", Failure: api.Failure{Message: "no space", Hint: "choose another storage"}}
		}, completion, "finished", "Failed: virtual-machine web-01 (req_1)",
			[]string{"In task build.apply: no space", "choose another storage", "tutti run retry run_1", "tutti request resubmit req_1"}, "is ready"},
		"not started": {func(r *row) {
			r.State, r.Run, r.Failure = api.Failed, "", &api.RunFail{Failure: api.Failure{Message: "the run was not started"}}
		}, completion, "finished", "Failed",
			[]string{"the run was not started", "tutti request resubmit"}, "run retry"},
		"cancelled, the second time": {func(r *row) { r.State, r.Endings = api.Cancelled, 2 }, completion, "finished/2", "Cancelled", []string{"was cancelled"}, "retry"},
		"undone":                     {func(r *row) { r.State, r.Flags = api.Failed, []api.Flag{api.Undone} }, completion, "finished", "Failed", []string{"was undone"}, ""},
		"degraded":                   {func(r *row) { r.State, r.Flags = api.Succeeded, []api.Flag{api.Degraded} }, completion, "finished", "Succeeded", []string{"may fail did fail"}, ""},
		"a hostile name":             {func(r *row) { r.Name = "x\r\nBcc: y@example.com" }, receipt, "received", "Received: virtual-machine x  Bcc: y@example.com (req_1)", nil, "\r"},
	} {
		r := vm()
		c.change(&r)
		got := c.mail(r)
		if got.key != c.key || !strings.HasPrefix(got.subject, c.subject) || strings.ContainsAny(got.subject, "\r\n") {
			t.Errorf("%s: key %q, subject %q; want %q, %q", name, got.key, got.subject, c.key, c.subject)
		}
		for _, want := range c.text {
			if !strings.Contains(got.text, want) {
				t.Errorf("%s: the text lacks %q:\n%s", name, want, got.text)
			}
		}
		if c.not != "" && strings.Contains(got.text, c.not) {
			t.Errorf("%s: the text has %q:\n%s", name, c.not, got.text)
		}
	}
}

func TestMailsAreBounded(t *testing.T) {
	t.Parallel()
	r := vm()
	r.Params = json.RawMessage(`{"a":"` + strings.Repeat("ü", 100_000) + `"}`)
	if got := receipt(r).text; len(got) > 2*maxQuoted || !utf8.ValidString(got) {
		t.Errorf("a mail has %d bytes, valid %v; want it cut between characters", len(got), utf8.ValidString(got))
	}
}

func FuzzDepth(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":"[["}]}`, `"\"["`, `]]`, `[[[[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var v any
		if json.Unmarshal(raw, &v) != nil {
			_ = depth(raw) // must only end
			return
		}
		if got, want := depth(raw), levels(v); got < want { // the text may hold a key twice
			t.Errorf("depth(%s) = %d; want at least %d", raw, got, want)
		}
	})
}

// levels is depth, of the decoded value.
func levels(v any) (n int) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			n = max(n, levels(e))
		}
		return n + 1
	case map[string]any:
		for _, e := range v {
			n = max(n, levels(e))
		}
		return n + 1
	}
	return 0
}
