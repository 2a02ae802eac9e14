package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/sdk"
)

// The use case: a web developer wants a machine on the network INTRANET_DEV with 2 CPUs, 8 GB of memory
// and 100 GB of storage, and does not care about anything else.
const (
	entry    = "virtual-machine"
	network  = "INTRANET_DEV"
	cpus     = 2
	memoryGB = 8
	diskGB   = 100
)

// askedName keeps the name of the machine that was asked for and not shown yet: it is written before the
// request is made, so that a demo that was killed at any moment asks by the same key, and gets the same
// request.
const askedName = "asked"

// work has what an earlier demo left undone finished or, where there is nothing, asks for a machine. It
// returns the exit code of what came of it.
func (d *demo) work(ctx context.Context) (int, error) {
	undone, err := d.undone(ctx)
	if err != nil {
		return exitError, fmt.Errorf("look for requests that were left undone: %w", err)
	}
	if len(undone) > 0 {
		return d.resume(ctx, undone)
	}
	name, err := d.free(ctx)
	if err != nil {
		return exitError, fmt.Errorf("find a name for the machine: %w", err)
	}
	d.say("Anna, who develops for the web, wants a machine:\n")
	d.say("  $ %s request create %s -p name=%s -p network=%s -p cpu=%d -p memory_gb=%d -p disk_gb=%d --wait\n", d.Tutti, entry, name, network, cpus, memoryGB, diskGB)
	if err := d.folder.write(askedName, name); err != nil {
		return exitError, err
	}
	r, err := d.ask(ctx, name)
	if err != nil {
		return exitError, fmt.Errorf("ask for the machine: %w", err)
	}
	d.say("%s accepted   trace %s\n", r.ID, r.Trace)
	return d.follow(ctx, r)
}

// ask asks for a machine, once a name.
func (d *demo) ask(ctx context.Context, name string) (api.Request, error) {
	params, err := json.Marshal(map[string]any{"name": name, "network": network, "cpu": cpus, "memory_gb": memoryGB, "disk_gb": diskGB})
	if err != nil {
		return api.Request{}, err
	}
	return sdk.Call(ctx, d.anna.api, api.CreateRequest, api.CreateRequestIn{
		Key:  "demo/" + name,
		Body: api.CreateRequestBody{Entry: entry, Params: params, Notify: []string{"anna@example.com"}},
	})
}

// undone returns what an earlier demo left to be done, oldest first: the requests that were not finished,
// but for those that wait for a person, which are only named; and its own, which may have been finished
// since this one was started.
func (d *demo) undone(ctx context.Context) ([]api.Request, error) {
	all, err := d.unended(ctx)
	if err != nil {
		return nil, err
	}
	own := ""
	if name := d.folder.read(askedName); name != "" {
		r, err := d.ask(ctx, name)
		if err != nil && !errs.Is(err, errs.Conflict) && !errs.Is(err, errs.Invalid) { // of another version's demo
			return nil, err
		}
		if own = r.ID; err == nil && !slices.ContainsFunc(all, func(x api.Request) bool { return x.ID == own }) {
			all = append(all, r)
		}
	}
	var undone []api.Request
	for _, r := range all {
		asks, err := d.asks(ctx, r)
		if err != nil {
			return nil, err
		}
		if asks {
			d.say("Request %s for %s %s waits for somebody's approval: %s approval list\n", r.ID, r.Type, r.Name, d.Tutti)
			continue
		}
		undone = append(undone, r)
	}
	slices.SortFunc(undone, func(a, b api.Request) int { return a.Created.Compare(b.Created) })
	return undone, nil
}

// unended returns the requests that have not ended.
func (d *demo) unended(ctx context.Context) (all []api.Request, err error) {
	in := api.ListRequestsIn{Paging: api.Paging{Limit: 1000}}
	for {
		page, err := sdk.Call(ctx, d.olga.api, api.ListRequests, in)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Items {
			if !r.State.Ended() {
				all = append(all, r)
			}
		}
		if in.Cursor = page.Cursor; in.Cursor == "" {
			return all, nil
		}
	}
}

// resume follows requests that an earlier demo left undone.
func (d *demo) resume(ctx context.Context, undone []api.Request) (int, error) {
	code := exitOK
	for _, r := range undone {
		now := "It goes on"
		if r.State.Ended() {
			now = "By now it is"
		}
		d.say("Request %s for %s %s was not finished when the last demo ended. %s:\n", r.ID, r.Type, r.Name, now)
		one, err := d.follow(ctx, r)
		if err != nil || ctx.Err() != nil {
			return one, err
		}
		if one != exitOK {
			code = one
		}
	}
	return code, nil
}

// leaves reports whether there is something that goes on by itself at the next start, and says so.
func (d *demo) leaves(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	unended, err := d.unended(ctx)
	if err != nil {
		return true // nobody knows
	}
	n := 0
	for _, r := range unended {
		if asks, err := d.asks(ctx, r); err != nil || !asks {
			n++
		}
	}
	if n > 0 {
		d.say("\n%s not finished. The next start goes on with that: %s demo --data %s", plural(n, "request"), quoted(d.Tutti), quoted(d.Data))
		d.say("(The vCenter, process %d, waits for that, for a quarter of an hour.)", d.vcenter.PID)
	}
	return n > 0
}

// asks reports whether nothing but a person can take r further.
func (d *demo) asks(ctx context.Context, r api.Request) (bool, error) {
	if r.Run == "" {
		return false, nil
	}
	run, err := sdk.Call(ctx, d.olga.api, api.GetRun, api.GetRunIn{ID: r.Run})
	if err != nil {
		return false, err
	}
	return run.State == api.Waiting && run.Reason != nil && run.Reason.Kind == "approval", nil
}

// free returns a name that no machine has and nobody asked for.
func (d *demo) free(ctx context.Context) (string, error) {
	taken := map[string]bool{}
	machines, err := d.vcenter.Machines(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range machines {
		taken[m.Name] = true
	}
	in := api.ListRequestsIn{Type: entry, Paging: api.Paging{Limit: 1000}}
	for {
		page, err := sdk.Call(ctx, d.olga.api, api.ListRequests, in)
		if err != nil {
			return "", err
		}
		for _, r := range page.Items {
			taken[r.Name] = true
		}
		if in.Cursor = page.Cursor; in.Cursor == "" {
			break
		}
	}
	for i := 1; ; i++ {
		if name := fmt.Sprintf("web-dev-%02d", i); !taken[name] {
			return name, nil
		}
	}
}

// follow shows how r goes, and what was built when it ended.
func (d *demo) follow(ctx context.Context, r api.Request) (int, error) {
	code := exitOK
	if d.Watch != nil {
		code = d.Watch(ctx, d.server.Address, d.anna.token, r.ID)
	}
	if ctx.Err() != nil {
		return code, nil
	}
	r, err := d.settled(ctx, r.ID)
	if err != nil {
		return exitError, fmt.Errorf("read the request: %w", err)
	}
	if code == exitOK && r.State != api.Succeeded {
		return exitError, errs.New(errs.Internal, "request %s is %s, although it was followed to its end", r.ID, r.State)
	}
	if err := d.report(ctx, r); err != nil {
		return exitError, err
	}
	if r.Name == d.folder.read(askedName) {
		return code, d.folder.forget(askedName)
	}
	return code, nil
}

// settled returns a request that has ended, or the request after half a minute.
func (d *demo) settled(ctx context.Context, id string) (api.Request, error) {
	return sdk.Call(ctx, d.anna.api, api.GetRequest, api.RequestIn{ID: id, Wait: api.Duration(30 * time.Second)})
}
