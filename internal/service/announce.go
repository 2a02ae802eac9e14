package service

import (
	"context"
	"os"
	"runtime"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/id"
)

// Announce tells presence every api.BeatEvery, until ctx ends, that the service is up, and then that
// it is down. version is that of the program; load, which may be nil, gives figures worth showing.
// A beat that nobody takes is lost; the next one makes up for it.
func Announce(ctx context.Context, d Deps, version string, load func() map[string]any) {
	host, _ := os.Hostname()
	p := api.Presence{ID: id.New("proc"), Name: d.Name, Host: host, PID: os.Getpid(), Version: version,
		Platform: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH, Started: time.Now().UTC(), State: "up"}
	beat := func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(bus.AsService(ctx, d.Name), api.BeatEvery)
		defer cancel()
		if load != nil {
			p.Load = load()
		}
		if _, err := api.Beat.Call(ctx, d.Bus, p); err != nil && !errs.Is(err, errs.Unavailable) {
			d.Log.Warn("beat refused", "err", err)
		}
	}
	for {
		beat(ctx)
		if !wait(ctx, nil, api.BeatEvery) {
			p.State = "down"
			beat(context.WithoutCancel(ctx))
			return
		}
	}
}
