package output

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"tutti/api"
)

// Glyph returns the sign of a state; state is always sign and word, never colour alone.
func Glyph(s api.State) string {
	switch s {
	case api.Pending:
		return "○"
	case api.Running:
		return "◐"
	case api.Waiting:
		return "⏸"
	case api.Succeeded:
		return "✓"
	case api.Failed:
		return "✕"
	case api.Skipped:
		return "–"
	case api.Cancelled:
		return "⊘"
	default:
		return " "
	}
}

// sgr is the colour of a state as the terminal's palette has it.
func sgr(s api.State) string {
	switch s {
	case api.Running:
		return "34"
	case api.Waiting:
		return "33"
	case api.Succeeded:
		return "32"
	case api.Failed:
		return "31"
	case api.Cancelled:
		return "35"
	default:
		return "90"
	}
}

// Paint returns s between the SGR codes that set a style and end it.
func Paint(code, s string) string {
	if s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// PaintState returns text in the colour of a state.
func PaintState(s api.State, text string) string { return Paint(sgr(s), text) }

// plain returns the text of a cell, on one line and safe to print.
func (p *Printer) plain(c Cell) string {
	switch {
	case c.State != "":
		if p.Terminal {
			return Glyph(c.State) + " " + Clean(string(c.State))
		}
		return Clean(string(c.State))
	case !c.Time.IsZero():
		return p.time(c.Time)
	default:
		return Clean(c.Text)
	}
}

// paint puts a cell's text in its colour.
func (p *Printer) paint(c Cell, text string) string {
	if !p.Color || c.State == "" {
		return text
	}
	return PaintState(c.State, text)
}

func (p *Printer) time(t time.Time) string {
	style := p.Time
	if style == "" {
		style = "iso"
		if p.Terminal {
			style = "rel"
		}
	}
	switch style {
	case "unix":
		return strconv.FormatInt(t.Unix(), 10)
	case "rel":
		return Relative(t, p.Now)
	default:
		return t.UTC().Format("2006-01-02T15:04:05.000Z")
	}
}

// Relative says how long ago t was, or how long it is until then, seen from now.
func Relative(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case d < 0 && d > -time.Second, d >= 0 && d < time.Second:
		return "now"
	case d < 0:
		return "in " + Length(-d)
	default:
		return Length(d) + " ago"
	}
}

// Length writes a length of time for people, in two units at most: "0.4s", "18s", "1m52s", "3h5m", "2d4h".
func Length(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	two := func(n time.Duration, unit string, m time.Duration, small string) string {
		if m == 0 {
			return fmt.Sprintf("%d%s", n, unit)
		}
		return fmt.Sprintf("%d%s%d%s", n, unit, m, small)
	}
	switch {
	case d < 10*time.Second:
		return strconv.FormatFloat(float64(d.Truncate(100*time.Millisecond))/float64(time.Second), 'f', -1, 64) + "s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return two(d/time.Minute, "m", d%time.Minute/time.Second, "s")
	case d < 24*time.Hour:
		return two(d/time.Hour, "h", d%time.Hour/time.Minute, "m")
	default:
		return two(d/(24*time.Hour), "d", d%(24*time.Hour)/time.Hour, "h")
	}
}

// Size writes a number of bytes for people: "512 B", "1.5 KiB".
func Size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, units := float64(n), []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	i := -1
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// Clean makes s fit to be shown on one line: line breaks and tabs become spaces, and control characters,
// with which a name or message could steer a terminal or turn text around, become a visible sign.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case Unsafe(r):
			return '�'
		default:
			return r
		}
	}, strings.TrimRight(s, "\n"))
}

// Lines makes s fit to be shown on several lines, as Clean does otherwise.
func Lines(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && Unsafe(r) {
			return '�'
		}
		return r
	}, s)
}

// Unsafe reports whether r does something to a terminal instead of being shown by it: controls, and
// the marks that change the direction of text.
func Unsafe(r rune) bool {
	return unicode.IsControl(r) || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\u2028' || r == '\u2029'
}

// Width returns how many cells of a terminal s takes.
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// runeWidth knows what terminals agree on: combining marks take no cell, East Asian wide letters and
// most pictures two.
func runeWidth(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	default:
		return 1
	}
}

// Cut shortens s to w cells, ending in … where something was left out.
func Cut(s string, w int) string {
	if Width(s) <= w {
		return s
	}
	if w <= 0 {
		return ""
	}
	n := 0
	for i, r := range s {
		if n += runeWidth(r); n > w-1 {
			return s[:i] + "…"
		}
	}
	return s
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
