package rollout

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Amount is a number of targets: a count, or a percentage of some whole. The zero Amount is unset,
// which each field that holds one gives a meaning of its own. Amounts are comparable.
type Amount struct {
	n       int32 // the count, or the percentage in hundredths
	percent bool
	set     bool
}

// whole is 100 % in hundredths of a per cent, the resolution of a percentage.
const whole = 100_00

// Count returns the Amount of n targets. A negative n counts as 0.
func Count(n int) Amount { return Amount{n: int32(min(max(n, 0), 1<<31-1)), set: true} }

// Percent returns p per cent of the whole, to a hundredth of a per cent. What lies outside 0 to 100
// is taken as the nearer of the two.
func Percent(p float64) Amount {
	return Amount{n: int32(min(max(p, 0), 100)*100 + 0.5), percent: true, set: true}
}

// IsSet reports whether a is anything but the zero Amount.
func (a Amount) IsSet() bool { return a.set }

// Of returns how many of n targets a is, at most n: percentages are rounded down, but something of
// something is never nothing, so that 5 % of 10 is 1. Limits on how much may change are read this way.
func (a Amount) Of(n int) int {
	if n <= 0 || !a.set || a.n == 0 {
		return 0
	}
	if !a.percent {
		return min(int(a.n), n)
	}
	return max(1, int(int64(a.n)*int64(n)/whole))
}

// AtLeast is Of with percentages rounded up. Limits on how much must remain are read this way.
func (a Amount) AtLeast(n int) int {
	if n <= 0 || !a.set {
		return 0
	}
	if !a.percent {
		return min(int(a.n), n)
	}
	return int((int64(a.n)*int64(n) + whole - 1) / whole)
}

// AtMost is Of with percentages rounded down even to nothing. Failures are tolerated this way.
func (a Amount) AtMost(n int) int {
	if n <= 0 || !a.set {
		return 0
	}
	if !a.percent {
		return min(int(a.n), n)
	}
	return int(int64(a.n) * int64(n) / whole)
}

// String returns "12", "10%", "0.25%", or "" for the zero Amount.
func (a Amount) String() string {
	switch {
	case !a.set:
		return ""
	case !a.percent:
		return strconv.Itoa(int(a.n))
	}
	return strconv.FormatFloat(float64(a.n)/100, 'f', -1, 64) + "%"
}

// ParseAmount reads what String writes.
func ParseAmount(s string) (Amount, error) {
	if s == "" {
		return Amount{}, nil
	}
	digits, percent := strings.CutSuffix(s, "%")
	if !percent {
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil {
			return Amount{}, fmt.Errorf("amount %q is neither a count nor a percentage such as 10%%", s)
		}
		return Count(int(n)), nil
	}
	p, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if err != nil || !(p >= 0 && p <= 100) {
		return Amount{}, fmt.Errorf("amount %q is not a percentage from 0%% to 100%%", s)
	}
	return Percent(p), nil
}

// MarshalJSON writes a count as a number, a percentage as a string, the zero Amount as null.
func (a Amount) MarshalJSON() ([]byte, error) {
	switch {
	case !a.set:
		return []byte("null"), nil
	case a.percent:
		return []byte(`"` + a.String() + `"`), nil
	}
	return []byte(a.String()), nil
}

// UnmarshalJSON reads a number, or a string that ParseAmount reads, or null.
func (a *Amount) UnmarshalJSON(data []byte) error {
	text := string(data)
	switch {
	case text == "null":
		*a = Amount{}
		return nil
	case strings.HasPrefix(text, `"`):
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	parsed, err := ParseAmount(text)
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

// IsZero reports the zero Amount, for encoding/json's omitzero.
func (a Amount) IsZero() bool { return !a.set }
