package awx

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tutti/errs"
	"tutti/internal/ansible"
	"tutti/sdk"
)

const (
	// patience is how many calls in a row may fail while a job is followed: it goes on meanwhile.
	patience = 8
	maxPause = 15 * time.Second
	// processing is how long events are waited for once a job has ended.
	processing = 2 * time.Minute
	pageSize   = 200
)

// follower follows one job.
type follower struct {
	*driver
	id    string
	sum   ansible.Tally
	see   func(ansible.Event)
	last  int // counter of the last event
	notes []string
}

// Follow follows a job; see ansible.Driver.
func (d *driver) Follow(ctx context.Context, handle string, see func(ansible.Event)) (ansible.Result, error) {
	if err := checkHandle(handle); err != nil {
		return ansible.Result{}, err
	}
	f := &follower{driver: d, id: handle, see: see}
	j, err := f.toTheEnd(ctx)
	if err != nil {
		return ansible.Result{}, err
	}
	r := f.sum.Result(d.digestKey(), j.inputs())
	if len(r.Values) == 0 && len(j.Artifacts) > 0 {
		r.Values = j.Artifacts
	}
	return r, f.outcome(ctx, j, r)
}

func checkHandle(handle string) error {
	if id, err := strconv.Atoi(handle); err != nil || id <= 0 {
		return errs.New(errs.Invalid, "%.80q is no job of AWX", handle)
	}
	return nil
}

// toTheEnd tells all events and returns the job as it ended.
func (f *follower) toTheEnd(ctx context.Context) (j job, err error) {
	failed, ended := 0, time.Time{}
	for {
		err := f.look(ctx, &j)
		switch {
		case err == nil:
			failed = 0
			if j.ended() {
				if ended.IsZero() {
					ended = time.Now()
				}
				if j.Processed == nil || *j.Processed || time.Since(ended) > processing {
					return j, nil
				}
			}
		case ctx.Err() != nil:
			return j, ctx.Err()
		case !retryable(err) || failed >= patience:
			return j, err
		default:
			failed++
		}
		if err := pause(ctx, min(f.Poll<<failed, max(maxPause, f.Poll))); err != nil {
			return j, err
		}
	}
}

// look reads how the job stands, and the events until then.
func (f *follower) look(ctx context.Context, j *job) error {
	if err := f.get(ctx, "read job "+f.id, nil, j, "jobs", f.id); err != nil {
		return err
	}
	for {
		var list struct {
			Results []event `json:"results"`
		}
		q := url.Values{"order_by": {"counter"}, "counter__gt": {strconv.Itoa(f.last)}, "page_size": {strconv.Itoa(pageSize)}}
		if err := f.get(ctx, "read the events of job "+f.id, q, &list, "jobs", f.id, "job_events"); err != nil {
			return err
		}
		for _, e := range list.Results {
			if e.Counter <= f.last {
				continue
			}
			f.last = e.Counter
			f.tell(e)
		}
		if len(list.Results) < pageSize {
			return nil
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// event is one as the API tells it.
type event struct {
	Counter int    `json:"counter"`
	Event   string `json:"event"`
	Stdout  string `json:"stdout"`
	Data    struct {
		Play   string `json:"play"`
		Name   string `json:"name"`
		Task   string `json:"task"`
		Path   string `json:"task_path"`
		Action string `json:"task_action"`
		Host   string `json:"host"`
		// Loop is the name of the loop of a task that has one.
		Loop    json.RawMessage            `json:"event_loop"`
		Ignored bool                       `json:"ignore_errors"`
		Result  json.RawMessage            `json:"res"`
		Values  map[string]json.RawMessage `json:"artifact_data"`
		// Those of playbook_on_stats, by host.
		Processed map[string]int `json:"processed"`
		OK        map[string]int `json:"ok"`
		Changed   map[string]int `json:"changed"`
		Failures  map[string]int `json:"failures"`
		Dark      map[string]int `json:"dark"`
		Skipped   map[string]int `json:"skipped"`
		Rescued   map[string]int `json:"rescued"`
		Ignores   map[string]int `json:"ignored"`
	} `json:"event_data"`
}

// results are the events that are results, with their status.
var results = map[string]string{
	"runner_on_ok": ansible.OK, "runner_on_failed": ansible.Failed, "runner_on_unreachable": ansible.Unreachable, "runner_on_skipped": ansible.Skipped,
	"runner_item_on_ok": ansible.OK, "runner_item_on_failed": ansible.Failed, "runner_item_on_skipped": ansible.Skipped,
}

// tell passes an event on.
func (f *follower) tell(e event) {
	out := ansible.Event{Play: e.Data.Play, Task: e.Data.Task, Action: e.Data.Action, At: e.Data.Path}
	status, result := results[e.Event]
	switch {
	case e.Event == "playbook_on_play_start":
		out = ansible.Event{Kind: ansible.KindPlay, Play: cmp.Or(e.Data.Name, e.Data.Play)}
	case e.Event == "playbook_on_task_start" || e.Event == "playbook_on_handler_task_start":
		out.Kind, out.Task = ansible.KindTask, cmp.Or(e.Data.Task, e.Data.Name)
	case e.Event == "playbook_on_stats":
		out = ansible.Event{Kind: ansible.KindStats, Counts: e.counts(), Values: e.Data.Values}
	case result:
		f.result(&out, e, status)
	case e.Event == "verbose" || e.Event == "warning" || e.Event == "system_warning" || e.Event == "deprecated" || e.Event == "error":
		out = ansible.Event{Kind: ansible.KindNote, Message: plain(e.Stdout)}
		if out.Message == "" {
			return
		}
		f.notes = append(f.notes, out.Message)
	default:
		return
	}
	out.Trim()
	f.sum.Add(out)
	f.see(out)
}

func (f *follower) result(out *ansible.Event, e event, status string) {
	out.Kind, out.Host, out.Status, out.Ignored = ansible.KindResult, e.Data.Host, status, e.Data.Ignored
	var a ansible.Answer
	var more struct {
		Label json.RawMessage `json:"_ansible_item_label"`
		Item  json.RawMessage `json:"item"`
	}
	_ = json.Unmarshal(e.Data.Result, &a) // what is no answer says nothing
	_ = json.Unmarshal(e.Data.Result, &more)
	if status == ansible.OK && a.Changed {
		out.Status = ansible.Changed
	}
	if strings.HasPrefix(e.Event, "runner_item_") {
		item := words(more.Label)
		if item == "" {
			item = words(more.Item)
		}
		out.Item = &item
	} else if len(e.Data.Loop) > 0 && string(e.Data.Loop) != "null" {
		out.Loop = true
	}
	a.Into(out, f.digestKey())
}

func words(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

func (e event) counts() map[string]ansible.Counts {
	out := map[string]ansible.Counts{}
	for host := range e.Data.Processed {
		out[host] = ansible.Counts{
			OK: e.Data.OK[host], Changed: e.Data.Changed[host], Failed: e.Data.Failures[host], Unreachable: e.Data.Dark[host], Skipped: e.Data.Skipped[host],
			Rescued: e.Data.Rescued[host], Ignored: e.Data.Ignores[host],
		}
	}
	return out
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// plain takes colours out of what was printed.
func plain(s string) string { return strings.TrimSpace(colours.ReplaceAllString(s, "")) }

// outcome says how a job ended; nil where all went well.
func (f *follower) outcome(ctx context.Context, j job, r ansible.Result) error {
	details := map[string]any{"hosts": r.Hosts}
	why := cmp.Or(strings.TrimSpace(j.Explanation), lastLine(j.Traceback))
	switch {
	case j.Status == "canceled":
		return sdk.Fail(ansible.FailCancelled, "job %s was cancelled", f.id).WithDetails(details)
	case j.Status == "failed" && strings.Contains(strings.ToLower(why), "timeout"):
		return sdk.Fail(ansible.FailTimeout, "job %s took longer than it may", f.id).WithDetails(details)
	case j.Status == "error" || j.Status == "failed" && why != "" && len(r.Hosts) == 0:
		return sdk.Fail(ansible.FailProgram, "job %s could not be run: %s", f.id, cmp.Or(why, "the API does not say why")).WithHint("see the job's page in AWX")
	case j.Status == "successful":
		return ansible.Judge(ansible.Ended{}, r)
	}
	said := strings.Join(f.notes[max(0, len(f.notes)-20):], "\n")
	if !strings.Contains(said, "ERROR") { // of what is no event the output alone knows
		if all, err := f.Output(ctx, f.id); err == nil {
			said = string(all)
		}
	}
	return ansible.Judge(ansible.Ended{Code: -1, Output: said}, r)
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// maxShown bounds what Output returns, in bytes.
const maxShown = 64 << 10

// Output returns what a job printed; see ansible.Driver.
func (d *driver) Output(ctx context.Context, handle string) ([]byte, error) {
	if err := checkHandle(handle); err != nil {
		return nil, err
	}
	var b []byte
	if err := d.get(ctx, "read the output of job "+handle, url.Values{"format": {"txt"}}, &b, "jobs", handle, "stdout"); err != nil {
		return nil, err
	}
	b = colours.ReplaceAll(b, nil)
	return b[max(0, len(b)-maxShown):], nil
}

// Cancel ends a job; see ansible.Driver.
func (d *driver) Cancel(ctx context.Context, handle string) error {
	if err := checkHandle(handle); err != nil {
		return err
	}
	for asked := false; ; {
		var j job
		if err := d.get(ctx, "read job "+handle, nil, &j, "jobs", handle); err != nil {
			return err
		}
		if j.ended() {
			return nil
		}
		if !asked {
			err := d.call(ctx, "cancel job "+handle, http.MethodPost, nil, map[string]any{}, nil, "jobs", handle, "cancel")
			if f, ok := errors.AsType[*sdk.TaskError](err); err != nil && !(ok && f.Type == ansible.FailConflict) {
				return err // a conflict (405) says that it ends just now
			}
			asked = true
		}
		if err := pause(ctx, d.Poll); err != nil {
			return err
		}
	}
}
