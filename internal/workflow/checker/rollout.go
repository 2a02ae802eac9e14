package checker

import "strings"

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
