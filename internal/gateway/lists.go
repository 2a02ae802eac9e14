package gateway

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/internal/service"
)

// How long the topics that are made of lists wait between two readings.
const (
	traceEvery    = 250 * time.Millisecond
	runsEvery     = 500 * time.Millisecond
	countsEvery   = time.Second
	rolloutEvery  = 500 * time.Millisecond
	presenceEvery = api.BeatEvery
	// maxChanged is how many changed runs are sent at once; more are a gap.
	maxChanged = 200
)

// everyRun is the subject on which all runs announce changes.
var everyRun = api.RunChanged("*")

// summarySource is a topic that says how something is, whenever it is otherwise than before.
func summarySource(topic, share string, every time.Duration, read func(context.Context) (any, error), wakes ...string) *source {
	return &source{topic: topic, key: topic, share: topic + " " + share, wakes: wakes, every: every, snapshot: true,
		read: func(ctx context.Context, last int64) ([]item, bool, bool, error) {
			v, err := read(ctx)
			if err != nil {
				return nil, false, false, err
			}
			b, err := json.Marshal(v)
			if err != nil {
				return nil, false, false, err
			}
			sum := sumOf(b)
			if sum == last {
				return nil, false, false, nil
			}
			return []item{{sum, topic, json.RawMessage(b)}}, false, false, nil
		}}
}

// sumOf is a positive number that tells texts apart.
func sumOf(b []byte) int64 {
	h := fnv.New64a()
	_, _ = h.Write(b) // never fails
	return int64(h.Sum64()>>1) | 1
}

// counts follows what the caller wants to see beside the names of pages.
func (g *Gateway) counts(ctx context.Context, ns string) *source {
	c, _ := bus.CallerFrom(ctx)
	share, _ := json.Marshal(c.Grants) // strings
	return summarySource("counts", ns+" "+c.Subject+" "+string(share), countsEvery, func(ctx context.Context) (any, error) {
		return api.GetCounts.Call(bus.WithCaller(ctx, c), g.bus, api.HomeIn{NS: api.NS{Namespace: ns}})
	}, everyRun, service.WakeSubject("request"))
}

// asked is an approval as the list of those that wait is followed.
type asked struct {
	Run       api.RunID `json:"run"`
	Task      string    `json:"task"`
	Workflow  string    `json:"workflow"`
	Requester string    `json:"requester"`
	Text      string    `json:"text,omitempty"`
	Asked     time.Time `json:"asked"`
	Expires   time.Time `json:"expires,omitzero"`
	By        []string  `json:"by,omitempty"`
}

// approvals follows what waits for a decision.
func (g *Gateway) approvals(ns string) *source {
	return summarySource("approvals", ns, countsEvery, func(ctx context.Context) (any, error) {
		page, err := api.ListApprovals.Call(ctx, g.bus, api.ListApprovalsIn{NS: api.NS{Namespace: ns}, Paging: api.Paging{Limit: maxChanged}})
		out := struct {
			Items []asked `json:"items"`
			More  bool    `json:"more,omitempty"`
		}{[]asked{}, page.Cursor != ""}
		for _, a := range page.Items {
			out.Items = append(out.Items, asked{a.Run, a.Task, a.Workflow, a.Requester, a.Text, a.Asked, a.Expires, a.By})
		}
		return out, err
	}, everyRun)
}

// presence follows which services and workers are there.
func (g *Gateway) presence() *source {
	return summarySource("presence", "", presenceEvery, func(ctx context.Context) (any, error) {
		return api.ListPresence.Call(ctx, g.bus, api.Nothing{})
	})
}

// requests follows the requests of a namespace: each as it is after it was received, moved or finished.
func (g *Gateway) requests(ns string) *source {
	const owner = "request"
	return &source{topic: "requests", key: "requests", share: "requests " + ns, wakes: []string{service.WakeSubject(owner)}, every: batchEvery, last: g.newest(owner),
		read: func(ctx context.Context, after int64) ([]item, bool, bool, error) {
			p, err := service.Events(owner).Call(bus.AsService(ctx, "gateway"), g.bus, service.ReadEvents{After: after, Limit: streamPage})
			if err != nil {
				return nil, false, false, err
			}
			items := make([]item, len(p.Records))
			for i, r := range p.Records {
				items[i].pos = r.Pos
				var v api.Request
				if r.Namespace != ns || json.Unmarshal(r.Data, &v) != nil || v.ID == "" {
					continue
				}
				v.Params, v.Spec, v.Outputs = nil, nil, nil
				items[i].typ, items[i].data = "request", v
			}
			return items, p.More, false, nil
		}}
}

// changedRuns gathers the IDs of runs that changed.
type changedRuns struct {
	mu  sync.Mutex
	ids map[api.RunID]bool
}

func (c *changedRuns) heard(subject string) bool {
	id := api.RunID(strings.TrimPrefix(subject, api.RunChanged("")))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ids == nil {
		c.ids = map[api.RunID]bool{}
	}
	if len(c.ids) <= maxChanged {
		c.ids[id] = true
	}
	return true
}

func (c *changedRuns) take() (ids []api.RunID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.ids {
		ids = append(ids, id)
	}
	c.ids = nil
	slices.Sort(ids)
	return ids
}

// runs follows the runs of a namespace from now on. Where more change than can be sent, or one was away for
// longer than is kept, the client hears of a gap and lists them again.
func (g *Gateway) runs(ns string) *source {
	changed := &changedRuns{}
	last := func(context.Context) (int64, error) { return time.Now().UnixMicro(), nil }
	return &source{topic: "runs", key: "runs", share: "runs " + ns, wakes: []string{everyRun}, heard: changed.heard, every: runsEvery, live: true, last: last,
		read: func(ctx context.Context, after int64) ([]item, bool, bool, error) {
			ids := changed.take()
			if len(ids) == 0 {
				return nil, false, false, nil
			}
			now := max(time.Now().UnixMicro(), after+1)
			if len(ids) > maxChanged {
				return []item{{now, "gap", json.RawMessage("null")}}, false, false, nil
			}
			p, err := api.ListRuns.Call(ctx, g.bus, api.ListRunsIn{NS: api.NS{Namespace: ns}, IDs: ids, Paging: api.Paging{Limit: maxChanged}})
			if err != nil || len(p.Items) == 0 {
				return nil, false, false, err
			}
			return []item{{now, "runs", p}}, false, false, nil
		}}
}

// traced follows a trace: the rows that something happened to, whole.
func (g *Gateway) traced(ctx context.Context, ns, topic, name string) (*source, error) {
	in := api.GetTraceIn{NS: api.NS{Namespace: ns}, Trace: name, Limit: 1}
	v, err := api.GetTrace.Call(ctx, g.bus, in)
	if err != nil {
		return nil, err
	}
	in.Trace, in.Limit = v.Trace, 0
	t := &tracer{in: in, g: g, runs: map[string]bool{}, seen: map[string]int64{}}
	return &source{topic: topic, key: "trace:" + v.Trace, share: topic + " " + ns, every: traceEvery,
		wakes: []string{everyRun, service.WakeSubject("request"), service.WakeSubject("notify"), service.WakeSubject("file")},
		heard: t.heard, read: t.next, behind: t.everything,
		last: func(context.Context) (int64, error) { return v.Seq, nil }}, nil
}

// tracer reads what happens in a trace.
type tracer struct {
	g    *Gateway
	in   api.GetTraceIn
	seen map[string]int64 // the sum of each row as it was sent last

	mu   sync.Mutex
	runs map[string]bool // the subjects of its runs; empty until they are known
}

// heard reports whether a wake-up is about the trace: a run that it starts is known by then from the run
// that started it.
func (t *tracer) heard(subject string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.runs) == 0 || t.runs[subject] || !strings.HasPrefix(subject, api.RunChanged(""))
}

// everything returns all rows that something happened to since a time.
func (t *tracer) everything(ctx context.Context, after int64) ([]item, bool, bool, error) {
	v, err := t.since(ctx, after)
	if err != nil || v.Seq <= after {
		return nil, false, false, err
	}
	if len(v.Rows) == 0 {
		return []item{{pos: v.Seq}}, false, false, nil
	}
	return []item{{v.Seq, "trace", v}}, false, false, nil
}

// next is everything without what was sent before: readings overlap, so that nothing is missed that was
// committed late.
func (t *tracer) next(ctx context.Context, after int64) ([]item, bool, bool, error) {
	v, err := t.since(ctx, after)
	if err != nil || v.Seq <= after {
		return nil, false, false, err
	}
	v.Rows = slices.DeleteFunc(v.Rows, func(r api.TraceRow) bool { return !t.fresh(r) })
	if len(v.Rows) == 0 {
		return []item{{pos: v.Seq}}, false, false, nil
	}
	return []item{{v.Seq, "trace", v}}, false, false, nil
}

func (t *tracer) since(ctx context.Context, after int64) (api.TraceView, error) {
	in := t.in
	if after > 0 {
		in.Since = time.UnixMicro(after).UTC()
	}
	v, err := api.GetTrace.Call(bus.AsService(ctx, "gateway"), t.g.bus, in)
	v.Rows = slices.DeleteFunc(v.Rows, func(r api.TraceRow) bool { return r.Kind == "more" })
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range v.Rows {
		for _, id := range []api.RunID{r.Run, r.Sub} {
			if id != "" {
				t.runs[api.RunChanged(id)] = true
			}
		}
	}
	return v, err
}

// maxSeen bounds how many rows are remembered; when there are more, it begins anew.
const maxSeen = 20_000

func (t *tracer) fresh(r api.TraceRow) bool {
	r.Depth = 0
	b, err := json.Marshal(r)
	if err != nil {
		return false
	}
	sum := sumOf(b)
	if t.seen[r.ID] == sum {
		return false
	}
	if len(t.seen) >= maxSeen {
		clear(t.seen)
	}
	t.seen[r.ID] = sum
	return true
}
