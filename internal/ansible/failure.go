package ansible

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"tutti/internal/task"
	"tutti/sdk"
)

// The failure types of drivers and task types.
const (
	FailHosts       = "ansible.failed"
	FailOffline     = "ansible.offline"
	FailHostKey     = "ansible.host_key"
	FailUnreachable = "ansible.unreachable"
	FailDenied      = "ansible.denied"
	FailMissing     = "ansible.missing"
	FailConflict    = "ansible.conflict"
	FailLimited     = "ansible.limited"
	FailServer      = "ansible.server"
	FailConfig      = "ansible.config"
	FailProgram     = "ansible.program"
	FailTimeout     = "ansible.timeout"
	FailCancelled   = "ansible.cancelled"
	FailLost        = "ansible.lost"
	FailRejected    = "ansible.rejected"
	FailStale       = "ansible.stale"
	FailRepository  = "ansible.repository"
)

// Failures explains every failure type, and those a call to a slice may end in.
func Failures() map[string]string {
	return maps.Clone(task.Called(map[string]string{
		FailHosts:       "a task failed on a host; details.hosts says which, and what was done on the others",
		FailOffline:     "a host could not be reached, and nothing failed on the others; worth another attempt",
		FailHostKey:     "a host has another key than the known one, or none is known; nothing was sent to it",
		FailUnreachable: "the API could not be reached, or broke off; worth another attempt",
		FailDenied:      "the API does not know the token, or does not let it do this",
		FailMissing:     "something named is not there: template, inventory or job",
		FailConflict:    "it contradicts what is there; details say what",
		FailLimited:     "the API was asked too much at a time; worth another attempt",
		FailServer:      "the API failed; worth another attempt",
		FailConfig:      "the playbook, the inventory or the variables are not valid; details say where",
		FailProgram:     "there is no program to run, or it could not be started",
		FailTimeout:     "it took longer than it may; what was done until then is in details.hosts",
		FailCancelled:   "somebody stopped it outside of Tutti, or it was stopped with its task",
		FailLost:        "the program vanished with its machine or its shim; what it had done is not known",
		FailRejected:    "what the check showed was not approved; nothing was changed",
		FailStale:       "the check does not say any more what was approved, and what it says now was not agreed to",
		FailRepository:  "the repository, the commit or the file cannot be had; worth another attempt where it was the network",
	}))
}

// Ended is how a job ended, as its place says it.
type Ended struct {
	// Code is ansible-playbook's exit status; -1 where it is not known.
	Code int
	// Output is the end of what was printed, without what hosts answered.
	Output string
}

// Judge returns the failure of a job that came to its end with a result; nil where it went well.
func Judge(e Ended, r Result) error {
	var failed, away, strange []Host
	for _, h := range r.Hosts {
		switch {
		case h.Failed > 0:
			failed = append(failed, h)
		case h.Unreachable > 0 && hostKey(h.Message):
			strange = append(strange, h)
		case h.Unreachable > 0:
			away = append(away, h)
		}
	}
	details := map[string]any{"hosts": r.Hosts}
	switch {
	case len(failed) > 0:
		return sdk.Fail(FailHosts, "%s", first("failed", failed)).WithDetails(details).WithHint("the task's log has all of it")
	case len(strange) > 0:
		return sdk.Fail(FailHostKey, "%s", first("has another key than the known one, or none is known", strange)).WithDetails(details).
			WithHint("put the host's key into with.login.knownHosts once you have it from a source you trust: ssh-keyscan alone is none")
	case len(away) > 0:
		return sdk.Fail(FailOffline, "%s", first("could not be reached", away)).Again().WithDetails(details)
	case e.Code == 0:
		return nil
	}
	said := strings.TrimSpace(e.Output)
	if said != "" {
		details["output"] = said
	}
	return sdk.Fail(FailConfig, "Ansible ended with status %d: %s", e.Code, because(said)).WithDetails(details).WithHint("check the playbook, the inventory and the limit")
}

// first says what happened to the first of some hosts.
func first(what string, hosts []Host) string {
	h := hosts[0]
	said := "host " + h.Host + " " + what
	if h.Task != "" {
		said += " in " + h.Task
	}
	if m := oneLine(h.Message, 300); m != "" {
		said += ": " + m
	}
	if n := len(hosts) - 1; n > 0 {
		said += fmt.Sprintf(" (and %d more)", n)
	}
	return said
}

func hostKey(message string) bool {
	for _, words := range []string{"Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED", "No ED25519 host key is known", "host key is known for"} {
		if strings.Contains(message, words) {
			return true
		}
	}
	return false
}

// because returns the line of an output that says what is wrong.
func because(output string) string {
	lines := strings.Split(output, "\n")
	for i, l := range lines {
		if _, words, ok := strings.Cut(l, "ERROR! "); ok {
			if strings.TrimSpace(words) == "" && i+1 < len(lines) {
				words = lines[i+1]
			}
			return oneLine(words, 300)
		}
	}
	return oneLine(lines[len(lines)-1], 300)
}

func oneLine(s string, n int) string {
	return cut(strings.Join(strings.Fields(s), " "), n)
}

// cut returns the beginning of s, of at most n bytes and an ellipsis, up to the end of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// Final reports whether an error of Follow says how the job ended: another one would have to be launched.
func Final(err error) bool {
	f, ok := errors.AsType[*sdk.TaskError](err)
	if !ok {
		return false
	}
	switch f.Type {
	case FailHosts, FailOffline, FailHostKey, FailConfig, FailTimeout, FailCancelled, FailLost, FailProgram:
		return true
	}
	return false
}
