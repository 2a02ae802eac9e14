package presence_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/presence"
	"tutti/internal/service"
	"tutti/internal/service/servicetest"
)

// states lists what is known, as "name state".
func states(t *testing.T, e *servicetest.Env) string {
	t.Helper()
	p, err := api.ListPresence.Call(servicetest.As(t, "user:anna", "default", api.Viewer), e.Deps.Bus, api.Nothing{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, i := range p.Items {
		out = append(out, i.Name+" "+i.State)
	}
	return strings.Join(out, ", ")
}

func TestAnnounce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := servicetest.SQLite(t, "presence", nil)
		stopPresence := e.Start(t, presence.New, api.ListPresence)
		announce := func(name string, beats *int) context.CancelFunc {
			ctx, cancel := context.WithCancel(t.Context())
			d := e.Deps
			d.Name = name
			go service.Announce(ctx, d, "v1", func() map[string]any { *beats++; return map[string]any{"runs": *beats} })
			return cancel
		}
		var a, b int
		stopA := announce("workflow", &a)
		announce("request", &b)
		synctest.Wait()
		if got := states(t, e); got != "request up, workflow up" {
			t.Errorf("at once: %s", got)
		}
		time.Sleep(time.Hour + time.Second)
		if got := states(t, e); got != "request up, workflow up" || a < 700 || a > 725 {
			t.Errorf("after an hour: %s with %d beats; want both up with one each 5 s", got, a)
		}
		p, _ := api.ListPresence.Call(servicetest.System(t), e.Deps.Bus, api.Nothing{})
		if i := p.Items[0]; i.Version != "v1" || i.PID == 0 || !strings.HasPrefix(i.Platform, "go") || i.Load["runs"] == nil || time.Since(i.Started) < time.Hour || time.Since(i.Seen) > api.BeatEvery {
			t.Errorf("presence = %+v", i)
		}
		stopA()
		synctest.Wait()
		if got := states(t, e); got != "request up, workflow down" {
			t.Errorf("after it stopped: %s", got)
		}
		time.Sleep(11 * time.Minute)
		if got := states(t, e); got != "request up" {
			t.Errorf("long after: %s; want what is down forgotten", got)
		}
		stopPresence()
		time.Sleep(time.Minute)
		e.Start(t, presence.New, api.ListPresence)
		time.Sleep(api.BeatEvery)
		if got := states(t, e); got != "request up" {
			t.Errorf("after presence itself restarted: %q", got)
		}
	})
}

func TestDownWithoutGoodbye(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := servicetest.SQLite(t, "presence", nil)
		e.Start(t, presence.New, api.ListPresence)
		beat := func(p api.Presence) error {
			_, err := api.Beat.Call(servicetest.System(t), e.Deps.Bus, p)
			return err
		}
		// The clock of the sender does not matter.
		if err := beat(api.Presence{ID: "w1", Name: "pool", Seen: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(api.BeatTTL)
		if got := states(t, e); got != "pool up" {
			t.Errorf("after 15 s: %s", got)
		}
		time.Sleep(time.Second)
		if got := states(t, e); got != "pool down" {
			t.Errorf("after 16 s: %s", got)
		}
		for _, p := range []api.Presence{{}, {ID: "x"}, {ID: strings.Repeat("x", 201), Name: "y"}} {
			if err := beat(p); !errs.Is(err, errs.Invalid) {
				t.Errorf("Beat(%+v) = %v; want invalid", p, err)
			}
		}
		if _, err := api.Beat.Call(servicetest.As(t, "user:eve", "*", api.Admin), e.Deps.Bus, api.Presence{ID: "x", Name: "y"}); !errs.Is(err, errs.Denied) {
			t.Errorf("a user beating: %v; want denied", err)
		}
		for i := range 20_000 {
			_ = beat(api.Presence{ID: fmt.Sprint(i), Name: "flood"})
		}
		if err := beat(api.Presence{ID: "one more", Name: "flood"}); !errs.Is(err, errs.Limited) {
			t.Errorf("past the bound: %v; want limited", err)
		}
		if err := beat(api.Presence{ID: "w1", Name: "pool"}); err != nil {
			t.Errorf("a known one past the bound: %v", err)
		}
	})
}
