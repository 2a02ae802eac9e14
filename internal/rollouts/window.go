package rollouts

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/rollout"
)

// days are the days of the week as the API writes them, in the order of time.Weekday.
var days = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// windowFrom reads a time in which nothing is asked, or says what is wrong with it.
func windowFrom(f api.RolloutFreeze) (rollout.Window, error) {
	w := rollout.Window{From: f.From, Until: f.Until, Why: f.Why}
	if len(f.Every) == 0 {
		if f.Start != "" || f.End != "" || f.Offset != "" {
			return w, fmt.Errorf("start, end and offset belong to a week; give every, or only from and until")
		}
		return w, nil
	}
	if !f.From.IsZero() || !f.Until.IsZero() {
		return w, fmt.Errorf("it is either each week (every) or once (from, until), not both")
	}
	for _, name := range f.Every {
		day := slices.Index(days, name)
		if day < 0 {
			return w, fmt.Errorf("every: %q is no day; the days are %s", name, strings.Join(days, ", "))
		}
		w.Every = append(w.Every, time.Weekday(day))
	}
	var err error
	if w.Start, err = clock(f.Start); err != nil {
		return w, fmt.Errorf("start: %w", err)
	}
	if w.End, err = clock(f.End); err != nil {
		return w, fmt.Errorf("end: %w", err)
	}
	if f.Offset != "" {
		if w.Offset, err = clock(f.Offset[1:]); err != nil || f.Offset[0] != '+' && f.Offset[0] != '-' {
			return w, fmt.Errorf("offset: %q is not like +02:00", f.Offset)
		}
		if f.Offset[0] == '-' {
			w.Offset = -w.Offset
		}
	}
	return w, nil
}

// clock reads a time of day, such as 22:30; "" is midnight.
func clock(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time of day such as 22:30", text)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// freezeOf is what windowFrom read.
func freezeOf(w rollout.Window) api.RolloutFreeze {
	f := api.RolloutFreeze{From: w.From, Until: w.Until, Why: w.Why}
	if len(w.Every) == 0 {
		return f
	}
	for _, day := range w.Every {
		f.Every = append(f.Every, days[day])
	}
	f.Start, f.End = clockOf(w.Start), clockOf(w.End)
	if w.Offset != 0 {
		sign := "+"
		if w.Offset < 0 {
			sign = "-"
		}
		f.Offset = sign + clockOf(w.Offset.Abs())
	}
	return f
}

func clockOf(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Hours())%24, int(d.Minutes())%60)
}
