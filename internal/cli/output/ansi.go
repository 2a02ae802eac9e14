package output

import "strings"

// Colored makes text of a log safe for a terminal and keeps its colours: of all that steers a terminal
// only SGR sequences, which set colours and weights, stay, and what they set ends with the line.
func Colored(s string) string { return ansi(s, true) }

// Uncolored makes text of a log safe to print, without its colours.
func Uncolored(s string) string { return ansi(s, false) }

func ansi(s string, keep bool) string {
	if !strings.Contains(s, "\x1b") {
		return Lines(s)
	}
	var b strings.Builder
	colored := false
	for s != "" {
		i := strings.IndexByte(s, '\x1b')
		if i < 0 {
			break
		}
		b.WriteString(Lines(s[:i]))
		s = s[i:]
		n := sgrLen(s)
		if n == 0 {
			b.WriteRune('�')
			s = s[1:]
			continue
		}
		if keep {
			b.WriteString(s[:n])
			colored = true
		}
		s = s[n:]
	}
	b.WriteString(Lines(s))
	if colored {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}

// sgrLen returns the length of the SGR sequence that s begins with, or 0.
func sgrLen(s string) int {
	if !strings.HasPrefix(s, "\x1b[") {
		return 0
	}
	const longest = 32
	for i := 2; i < len(s) && i < longest; i++ {
		switch c := s[i]; {
		case c == 'm':
			return i + 1
		case (c < '0' || c > '9') && c != ';' && c != ':':
			return 0
		}
	}
	return 0
}
