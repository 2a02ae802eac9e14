package demo

import (
	"os"
	"strings"
)

// next says what to try, as commands that work as they stand.
func (d *demo) next() {
	t, data := quoted(d.Tutti), quoted(d.Data)
	d.say("")
	d.say("Browse %s   user %s, password %s", d.server.Address, d.olga.name, d.olga.password)
	d.say("")
	d.say("Try, in another terminal of this folder, as Anna:")
	d.say("  export TUTTI_SERVER=%s TUTTI_TOKEN=$(cat %s)", d.server.Address, quoted(d.path("anna.token")))
	for _, x := range []struct{ what, command string }{
		{"What can be ordered, and what was", t + " catalogue; " + t + " request list; " + t + " resource list"},
		{"A network that is not permitted", t + " request create virtual-machine -p name=outside-01 -p network=DMZ"},
		{"Only a name, the rest is decided", t + " request create small-dev-vm -p name=small-01 --wait"},
		{"Twenty machines, one request, one commit", t + " request create vm-group -p name=load -p count=20 --wait"},
		{"The same cut short: killed in the middle, and started again", t + " request create vm-group -p name=burst -p count=20; kill -9 " + d.pid() + "; " + t + " demo --data " + data},
		{"A machine for production, which somebody must approve: Anna may not", t + " request create prod-vm -p name=shop-01; " + t + " approval list"},
		{"  … but Olga may", "TUTTI_TOKEN=$(cat " + quoted(d.path("olga.token")) + ") " + t + " request approve $(" + t + " request list --state waiting -o name | head -1)"},
		{"A request that fails (the name is taken), is taken back, and tried again", t + " request create virtual-machine -p name=" + "web-dev-01 -p network=INTRANET_DEV --wait"},
		{"A request that is cancelled before it is approved", t + " request create prod-vm -p name=shop-02 -o name; " + t + " request cancel $(" + t + " request list -o name | head -1)"},
		{"What is in the repository", "git --git-dir " + quoted(d.path("server", "repositories", "default", repository+".git")) + " log --stat"},
	} {
		d.say("%s:\n  %s", x.what, x.command)
	}
}

// pid is the process of the demo, as text.
func (d *demo) pid() string { return d.folder.read(lockName) }

// quoted returns s as a word of the shell.
func quoted(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@%+,"+string(os.PathSeparator), r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
