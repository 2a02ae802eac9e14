package demo

import (
	"context"
	"fmt"
	"strings"

	"tutti/api"
	"tutti/sdk"
)

// hint is something to try: commands that work as they stand.
type hint struct{ what, command string }

// next says what to try.
func (d *demo) next(ctx context.Context) {
	d.say("")
	d.say("Browse %s   user %s, password %s", d.server.Address, d.olga.name, d.olga.password)
	if link, err := sdk.Call(ctx, d.admin, api.MakeLink, api.MakeLinkIn{Body: api.MakeLinkBody{User: d.olga.name}}); err == nil {
		d.say("or, once and within 10 minutes, without a password: %s/login#link=%s", d.server.Address, link.Secret)
	}
	d.say("")
	d.say("Try, in another terminal in this folder:")
	d.say("  export TUTTI_SERVER=%s TUTTI_TOKEN=$(cat %s) OLGA=$(cat %s)", d.server.Address, quoted(d.path("anna.token")), quoted(d.path("olga.token")))
	for _, h := range d.hints(d.fresh(ctx)) {
		d.say("%s:", h.what)
		for line := range strings.Lines(h.command) {
			d.say("  %s", strings.TrimSpace(line))
		}
	}
}

// hints are what to try; the names of what they make end in n.
func (d *demo) hints(n string) []hint {
	t := quoted(d.Tutti)
	as := "TUTTI_TOKEN=$OLGA " + t
	newest := func(state string) string { return "$(" + t + " request list" + state + " -o name | head -1)" }
	return []hint{
		{"What can be ordered, and what was", t + " catalogue; " + t + " request list; " + t + " resource list"},
		{"A network that is not permitted", t + " request create virtual-machine -p name=outside" + n + " -p network=DMZ"},
		{"Only a name; the rest is decided", t + " request create small-dev-vm -p name=small" + n + " --wait"},
		{"Twenty machines, by one request and one commit", t + " request create vm-group -p name=many" + n + " -p count=20 --wait"},
		{"The same, killed in the middle: started again, it is finished, and no machine is made twice",
			t + " request create vm-group -p name=burst" + n + " -p count=20; kill -9 $(cat " + quoted(d.path(lockName)) + ")\n" +
				t + " demo --data " + quoted(d.Data)},
		{"A machine for production, which needs an approval: Anna may not give it, Olga may",
			t + " request create prod-vm -p name=shop" + n + " --wait --no-wait-for-approval\n" +
				t + " request approve " + newest("") + "\n" +
				as + " request approve " + newest("") + "; " + t + " watch " + newest("")},
		{"One that is cancelled instead",
			t + " request create prod-vm -p name=never" + n + " --wait --no-wait-for-approval\n" +
				t + " request cancel " + newest("")},
		{"The vCenter has another password: the request fails, and what was done is undone; with the right one it is tried again",
			"echo wrong | " + as + " secret set vcenter_password; " + t + " request create small-dev-vm -p name=again" + n + " --wait\n" +
				as + " secret set vcenter_password < " + quoted(d.path("vcenter", "password")) + "\n" +
				t + " request retry " + newest(" --state failed") + "; " + t + " watch " + newest("")},
		{"What is in git, and what was mailed",
			"git --git-dir " + quoted(d.path("server", "repositories", sdk.DefaultNamespace, repository+".git")) + " log --stat; grep -h ^Subject " + quoted(d.path("mail")) + "/*"},
	}
}

// fresh returns the end of names that were not used before.
func (d *demo) fresh(ctx context.Context) string {
	n, in := 1, api.ListRequestsIn{Paging: api.Paging{Limit: 1000}}
	for {
		page, err := sdk.Call(ctx, d.olga.api, api.ListRequests, in)
		if err != nil {
			return fmt.Sprintf("-%02d", n) // good enough for a suggestion
		}
		n += len(page.Items)
		if in.Cursor = page.Cursor; in.Cursor == "" {
			return fmt.Sprintf("-%02d", n)
		}
	}
}

// quoted returns s as a word of the shell.
func quoted(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@%+,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
