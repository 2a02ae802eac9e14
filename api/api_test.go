package api_test

import (
	"strings"
	"testing"
	"time"

	"tutti/api"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "15m": 15 * time.Minute, "2d": 48 * time.Hour, "1h30m": 90 * time.Minute, "500ms": 500 * time.Millisecond, "0s": 0,
	} {
		if got, err := api.ParseDuration(s); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %s, %v; want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "5", "s", "5 m", "-5s", "5w", "1.5h", "99999999999999999999d", "200000d", "99999d99999d"} {
		if got, err := api.ParseDuration(s); err == nil {
			t.Errorf("ParseDuration(%q) = %s; want it refused", s, got)
		}
	}
	for _, s := range []string{"200000d", "99999d99999d"} {
		if _, err := api.ParseDuration(s); err == nil || !strings.Contains(err.Error(), "a hundred years") {
			t.Errorf("ParseDuration(%q) = %v; want it called too long", s, err)
		}
	}
}

func TestDurationText(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{0: "0s", 90 * time.Second: "1m30s", 36 * time.Hour: "1d12h", 1500 * time.Millisecond: "1s500ms"} {
		if got := api.Duration(d).String(); got != want {
			t.Errorf("Duration(%d) = %s; want %s", d, got, want)
		}
		back, err := api.ParseDuration(api.Duration(d).String())
		if err != nil || back != d {
			t.Errorf("ParseDuration(%s) = %v, %v; want it back", api.Duration(d), back, err)
		}
	}
}
