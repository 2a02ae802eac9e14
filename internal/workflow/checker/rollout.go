package checker

import "strings"

// reopen lets the items of a paused `each` run again that did not succeed.
func (r *run) reopen(path string) {
	for p, n := range r.nodes {
		switch {
		case strings.HasPrefix(p, path) && r.aside(p):
			delete(r.nodes, p)
		case strings.HasPrefix(p, path+"[") && n.state.final() && n.state != succeeded:
			n.was, n.state = n.state, revived
		}
	}
}

// isChecks says whether a path is that of the checks of a rollout.
func (r *run) isChecks(path string) bool {
	each, found := strings.CutSuffix(path, ".checks")
	if !found || strings.HasSuffix(each, "]") {
		return false
	}
	t, _ := r.find(each)
	return t != nil && t.Each != nil && t.Each.Rollout != nil && t.Each.Rollout.Checks != nil
}

// aside says whether a path is that of something that stands beside the items of a rollout, or lies in it.
func (r *run) aside(path string) bool {
	if strings.HasSuffix(path, "#back") {
		return true
	}
	for at := 0; ; {
		i := strings.Index(path[at:], ".checks")
		if i < 0 {
			return false
		}
		if at += i + len(".checks"); r.isChecks(path[:at]) && (at == len(path) || path[at] == '.') {
			return true
		}
	}
}
