package simulate

import (
	"maps"
	"slices"
	"strings"
)

// Patterns name tasks by their paths: `build.apply`, `disks[data]`, `finally.note`, `reserve#undo`; a
// task of the sub-workflow that a task calls is `call/task`. `*` stands for any part of a name, or of a
// key in brackets; `**` for anything.

// matches says whether a path fits a pattern.
func matches(pattern, path string) bool {
	// reach[j] says that the pattern so far fits the first j bytes of path.
	reach := make([]bool, len(path)+1)
	reach[0] = true
	keyed := false
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		if c == '*' {
			all := i+1 < len(pattern) && pattern[i+1] == '*'
			if all {
				i++
			}
			for j := range path {
				reach[j+1] = reach[j+1] || reach[j] && (all || inName(path[j], keyed))
			}
			continue
		}
		switch c {
		case '[':
			keyed = true
		case ']':
			keyed = false
		}
		for j := len(path); j > 0; j-- {
			reach[j] = reach[j-1] && path[j-1] == c
		}
		reach[0] = false
	}
	return reach[len(path)]
}

// inName says whether `*` may stand for c: in a key, anything but its end; elsewhere, what ids have.
func inName(c byte, keyed bool) bool {
	if keyed {
		return c != ']'
	}
	return c != '.' && c != '/' && c != '[' && c != ']' && c != '#'
}

// pick returns the entry whose pattern fits path best: the path itself, else the pattern with the most
// letters, the first by the alphabet of several.
func pick[T any](entries map[string]T, path string) (key string, v T, ok bool) {
	if v, ok := entries[path]; ok {
		return path, v, true
	}
	best := -1
	for _, p := range slices.Sorted(maps.Keys(entries)) {
		letters := len(p) - strings.Count(p, "*")
		if letters > best && strings.Contains(p, "*") && matches(p, path) {
			key, v, ok, best = p, entries[p], true, letters
		}
	}
	return key, v, ok
}

// unkeyed returns a path or a pattern without its keys: disks[*].format is disks.format.
func unkeyed(path string) string {
	var b strings.Builder
	for path != "" {
		before, rest, found := strings.Cut(path, "[")
		b.WriteString(before)
		if !found {
			break
		}
		_, path, _ = strings.Cut(rest, "]")
	}
	return b.String()
}
