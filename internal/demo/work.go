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
	began := time.Now()
	d.say("Anna, who develops for the web, wants a machine:\n")
	d.say("  $ %s request create %s -p name=%s -p network=%s -p cpu=%d -p memory_gb=%d -p disk_gb=%d --wait\n", d.Tutti, entry, name, network, cpus, memoryGB, diskGB)
	params, err := json.Marshal(map[string]any{"name": name, "network": network, "cpu": cpus, "memory_gb": memoryGB, "disk_gb": diskGB})
	if err != nil {
		return exitError, err
	}
	r, err := sdk.Call(ctx, d.anna.api, api.CreateRequest, api.CreateRequestIn{
		Key:  "demo/" + name,
		Body: api.CreateRequestBody{Entry: entry, Params: params, Notify: []string{"anna@example.com"}},
	})
	if err != nil {
		return exitError, fmt.Errorf("ask for the machine: %w", err)
	}
	d.say("%s accepted   trace %s\n", r.ID, r.Trace)
	return d.follow(ctx, r, began)
}

// undone returns the requests that were not finished, oldest first.
func (d *demo) undone(ctx context.Context) (all []api.Request, err error) {
	for _, state := range []api.State{api.Pending, api.Running, api.Waiting} {
		page, err := sdk.Call(ctx, d.olga.api, api.ListRequests, api.ListRequestsIn{State: state, Paging: api.Paging{Limit: 100}})
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
	}
	slices.SortFunc(all, func(a, b api.Request) int { return a.Created.Compare(b.Created) })
	return all, nil
}

// resume follows requests that an earlier demo left undone. Those that wait for a person are only named.
func (d *demo) resume(ctx context.Context, undone []api.Request) (int, error) {
	code := exitOK
	for _, r := range undone {
		asks, err := d.asks(ctx, r)
		if err != nil {
			return exitError, fmt.Errorf("look at request %s: %w", r.ID, err)
		}
		if asks {
			d.say("Request %s for %s %s waits for somebody's approval: %s approval list\n", r.ID, r.Type, r.Name, d.Tutti)
			continue
		}
		d.say("Request %s for %s %s was not finished when the server ended. It goes on:\n", r.ID, r.Type, r.Name)
		one, err := d.follow(ctx, r, time.Now())
		if err != nil || ctx.Err() != nil {
			return one, err
		}
		if one != exitOK {
			code = one
		}
	}
	return code, nil
}

// asks reports whether nothing but a person can take r further.
func (d *demo) asks(ctx context.Context, r api.Request) (bool, error) {
	if r.Run == "" || r.State != api.Waiting {
		return false, nil
	}
	run, err := sdk.Call(ctx, d.olga.api, api.GetRun, api.GetRunIn{ID: r.Run})
	if err != nil {
		return false, err
	}
	return run.Reason != nil && run.Reason.Kind == "approval", nil
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
func (d *demo) follow(ctx context.Context, r api.Request, began time.Time) (int, error) {
	code := exitOK
	if d.Watch != nil {
		code = d.Watch(ctx, d.server.Address, d.anna.token, r.ID)
	}
	if ctx.Err() != nil {
		d.say("\nStopped. What was begun goes on at the next start: %s demo --data %s", d.Tutti, d.Data)
		return code, nil
	}
	r, err := d.settled(ctx, r.ID)
	if err != nil {
		return exitError, fmt.Errorf("read the request: %w", err)
	}
	if code == exitOK && r.State != api.Succeeded {
		return exitError, errs.New(errs.Internal, "request %s is %s, although it was followed to its end", r.ID, r.State)
	}
	return code, d.report(ctx, r, time.Since(began))
}

// settled returns a request that has ended, or the request after half a minute.
func (d *demo) settled(ctx context.Context, id string) (api.Request, error) {
	return sdk.Call(ctx, d.anna.api, api.GetRequest, api.RequestIn{ID: id, Wait: api.Duration(30 * time.Second)})
}
