package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/service"
)

// topicHint names the topics there are.
const topicHint = "topics are run:ID, log:ID, trace:ID, events, requests, runs, approvals, counts, presence and rollout:ENTITY"

// batchEvery is how long what comes is gathered before it is sent.
const batchEvery = 50 * time.Millisecond

// topic returns the sources of a topic, after making sure that the caller may see it.
func (s *stream) topic(ctx context.Context, ns, topic string) ([]*source, error) {
	g := s.g
	switch topic {
	case "events":
		return g.events(ns), nil
	case "requests":
		return []*source{g.requests(ns)}, g.bus.Allow(ctx, api.ListRequests.Info().Perm, ns)
	case "runs":
		return []*source{g.runs(ns)}, nil
	case "approvals":
		return []*source{g.approvals(ns)}, nil
	case "counts":
		return []*source{g.counts(ctx, ns)}, nil
	case "presence":
		return []*source{g.presence()}, nil
	}
	kind, name, _ := strings.Cut(topic, ":")
	if name == "" || len(name) > 64 && kind != "rollout" {
		kind = ""
	}
	switch kind {
	case "trace":
		src, err := g.traced(ctx, ns, topic, name)
		return []*source{src}, err
	case "rollout":
		in := api.RolloutIn{NS: api.NS{Namespace: ns}, Entity: name}
		if _, err := api.GetRollout.Call(ctx, g.bus, in); err != nil {
			return nil, err
		}
		return []*source{summarySource(topic, ns, rolloutEvery, func(ctx context.Context) (any, error) {
			return api.GetRollout.Call(ctx, g.bus, in)
		}, api.RolloutChanged(ns, name))}, nil
	case "run", "log":
		run, err := api.GetRun.Call(ctx, g.bus, api.GetRunIn{NS: api.NS{Namespace: ns}, ID: api.RunID(name)})
		if err != nil {
			return nil, err
		}
		// What is sent holds the topic as it was named, so that is shared among those who named it alike.
		src := &source{topic: topic, key: kind + ":" + string(run.ID), share: topic + " " + string(run.ID), every: batchEvery}
		if kind == "run" {
			src.wakes, src.read = []string{api.RunChanged(run.ID)}, g.runEvents(ns, run.ID)
		} else {
			src.wakes, src.read = []string{api.LogChanged(run.ID)}, g.logLines(ns, run.ID)
		}
		return []*source{src}, nil
	}
	return nil, errs.New(errs.Invalid, "%q is no topic", clip(topic)).WithHint(topicHint)
}

// runEvents reads what happened in a run, as whoever follows.
func (g *Gateway) runEvents(ns string, run api.RunID) func(context.Context, int64) ([]item, bool, bool, error) {
	return func(ctx context.Context, after int64) ([]item, bool, bool, error) {
		p, err := api.RunEvents.Call(ctx, g.bus, api.RunEventsIn{NS: api.NS{Namespace: ns}, ID: run, After: after, Limit: streamPage})
		if err != nil {
			return nil, false, false, err
		}
		items := make([]item, len(p.Items))
		for i, e := range p.Items {
			items[i] = item{e.Seq, "run", e}
		}
		return items, len(items) >= streamPage, false, nil
	}
}

// logLines reads the log of a run, as whoever follows; it ends with the run.
func (g *Gateway) logLines(ns string, run api.RunID) func(context.Context, int64) ([]item, bool, bool, error) {
	return func(ctx context.Context, after int64) ([]item, bool, bool, error) {
		p, err := api.ReadLog.Call(ctx, g.bus, api.ReadLogIn{NS: api.NS{Namespace: ns}, ID: run, After: after, Limit: streamPage})
		if err != nil {
			return nil, false, false, err
		}
		items := make([]item, len(p.Lines))
		for i, l := range p.Lines {
			items[i] = item{l.Pos, "log", l}
		}
		return items, p.More, p.Ended && !p.More, nil
	}
}

// cloudEvent is an event of a service as it leaves, after CloudEvents 1.0 with the extensions
// namespace and trace.
type cloudEvent struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Subject     string          `json:"subject"`
	Time        time.Time       `json:"time"`
	ContentType string          `json:"datacontenttype"`
	Namespace   string          `json:"namespace"`
	Trace       string          `json:"trace,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"`
}

// events returns a source for each service: what it commits in the namespace. Followers need
// run.read, which was checked when the stream was opened.
func (g *Gateway) events(ns string) []*source {
	var all []*source
	for _, name := range g.c.Services {
		all = append(all, &source{topic: "events", key: "events/" + name, share: "events/" + name + " " + ns, wakes: []string{service.WakeSubject(name)}, every: batchEvery, last: g.newest(name),
			read: func(ctx context.Context, after int64) ([]item, bool, bool, error) {
				p, err := service.Events(name).Call(bus.AsService(ctx, "gateway"), g.bus, service.ReadEvents{After: after, Limit: streamPage})
				if err != nil {
					return nil, false, false, err
				}
				items := make([]item, len(p.Records))
				for i, r := range p.Records {
					items[i].pos = r.Pos
					if r.Namespace != ns {
						continue
					}
					items[i].typ = "event"
					items[i].data = cloudEvent{"1.0", fmt.Sprintf("%s/%d", name, r.Pos), "/tutti/" + name, r.Type, r.Subject, r.At,
						"application/json", r.Namespace, r.Trace, r.Data}
				}
				return items, p.More, false, nil
			}})
	}
	return all
}

// newest returns the position of the newest event of a service, 0 where it has none. Services only tell
// what comes after a position, so it is found by doubling, then by halving.
func (g *Gateway) newest(name string) func(context.Context) (int64, error) {
	return func(ctx context.Context) (int64, error) {
		past := func(pos int64) (bool, error) {
			p, err := service.Events(name).Call(bus.AsService(ctx, "gateway"), g.bus, service.ReadEvents{After: pos, Limit: 1})
			return len(p.Records) == 0, err
		}
		low, high := int64(0), int64(1)
		for {
			none, err := past(high)
			if err != nil {
				return 0, err
			}
			if none {
				break
			}
			low, high = high, high*2
		}
		for low < high {
			mid := low + (high-low)/2
			none, err := past(mid)
			switch {
			case err != nil:
				return 0, err
			case none:
				high = mid
			default:
				low = mid + 1
			}
		}
		return low, nil
	}
}
