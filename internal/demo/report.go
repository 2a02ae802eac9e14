package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/demo/vcenter"
	"tutti/internal/gitrepo"
	"tutti/sdk"
)

// repository is where vm.build and vm.group keep their files.
const repository = "machines"

// welcome says what runs.
func (d *demo) welcome() {
	d.say("Tutti runs at %s, in %s since %s.", d.server.Address, d.path(), ms(time.Since(d.began)))
	switch v := d.vcenter; {
	case v.Found:
		d.say("The vCenter at %s (a simulator with the real API, process %d) has been running all along.", v.URL, v.PID)
	case v.Lost:
		d.say("The vCenter that was here is gone, with its machines; a new one runs at %s (a simulator with the real API, process %d).", v.URL, v.PID)
	default:
		d.say("A vCenter runs at %s (a simulator with the real API, process %d).", v.URL, v.PID)
	}
	d.say("A mail server keeps what it gets in %s.\n", d.path("mail"))
}

// report shows what came of r, each thing as the system says that holds it.
func (d *demo) report(ctx context.Context, r api.Request, took time.Duration) error {
	d.say("")
	machines, err := d.machinesOf(ctx, r)
	if err != nil {
		return err
	}
	d.say("In the vCenter (read back through its own API):")
	for _, m := range machines {
		d.say("  %s", describe(m))
	}
	if len(machines) == 0 {
		d.say("  nothing for %s %s", r.Type, r.Name)
	}
	if err := d.reportCommits(ctx, r); err != nil {
		return err
	}
	if err := d.reportMail(ctx, r); err != nil {
		return err
	}
	d.say("Trace:    %s", r.Trace)
	d.say("Took:     %s", ms(took))
	return nil
}

// machinesOf returns the machines of a request, as the vCenter has them.
func (d *demo) machinesOf(ctx context.Context, r api.Request) ([]vcenter.Machine, error) {
	all, err := d.vcenter.Machines(ctx)
	if err != nil {
		return nil, err
	}
	var spec struct {
		Machines []struct {
			Name string `json:"name"`
		} `json:"machines"`
	}
	if err := json.Unmarshal(r.Spec, &spec); err != nil {
		return nil, fmt.Errorf("read the machines of %s: %w", r.ID, err)
	}
	names := []string{r.Name}
	for _, m := range spec.Machines {
		names = append(names, m.Name)
	}
	return slices.DeleteFunc(all, func(m vcenter.Machine) bool { return !slices.Contains(names, m.Name) }), nil
}

func describe(m vcenter.Machine) string {
	disks := make([]string, len(m.DiskGB))
	for i, gb := range m.DiskGB {
		disks[i] = fmt.Sprintf("%d GB", gb)
	}
	return fmt.Sprintf("%s (%s)   %d CPU   %d GB memory   disk %s   network %s   %s / %s   %s",
		m.Name, m.ID, m.CPU, m.MemoryMB/1024, strings.Join(disks, " + "), strings.Join(m.Networks, ", "), m.Cluster, m.Datastore, m.Power)
}

// reportCommits shows the commits of a request, read from the repository itself.
func (d *demo) reportCommits(ctx context.Context, r api.Request) error {
	dir := d.path("server", "repositories", r.Namespace, repository+".git")
	d.say("In git (%s):", dir)
	repo, err := gitrepo.Open(dir, "")
	if errs.Is(err, errs.NotFound) {
		d.say("  nothing")
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the repository: %w", err)
	}
	log, err := repo.Log(ctx, "", 1000)
	if err != nil {
		return fmt.Errorf("read the repository: %w", err)
	}
	for _, c := range log {
		if c.Trailers["Request"] == r.ID {
			d.say("  %s   %s   Trace: %s", c.Hash, firstLine(c.Message), c.Trailers["Trace"])
		}
	}
	return nil
}

// mailTime is how long mail may take to arrive.
const mailTime = 3 * time.Second

// reportMail shows the mail of a request that arrived, once all of it has.
func (d *demo) reportMail(ctx context.Context, r api.Request) error {
	d.say("In the mailbox (%s):", d.path("mail"))
	ctx, cancel := context.WithTimeout(ctx, mailTime)
	defer cancel()
	var letters []letter
	for {
		sent, err := sdk.Call(ctx, d.olga.api, api.ListMessages, api.ListMessagesIn{Trace: r.Trace})
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("list the mails: %w", err)
		}
		waits := slices.ContainsFunc(sent.Items, func(m api.Message) bool { return m.State == api.Pending })
		letters = slices.DeleteFunc(d.mail.letters(), func(l letter) bool { return !strings.Contains(l.Subject+l.Text, r.ID) })
		ended := slices.ContainsFunc(sent.Items, func(m api.Message) bool { return !m.Created.Before(r.Ended) })
		if ended && !waits || !pause(ctx, 20*time.Millisecond) {
			break
		}
	}
	for _, l := range letters {
		d.say("  to %-22s %s", l.names(), l.Subject)
	}
	return nil
}

// pause waits; it returns false where ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func ms(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
