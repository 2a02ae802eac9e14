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
	d.say("Tutti runs at %s, ready after %s. All it keeps is in %s.", d.server.Address, ms(time.Since(d.began)), d.path())
	switch v := d.vcenter; {
	case v.Found:
		d.say("The vCenter at %s (a simulator with the real API, process %d) has been running all along.", v.URL, v.PID)
	case v.Lost:
		d.say("A new, empty vCenter runs at %s (a simulator with the real API, process %d): the one before ended, and its machines with it.", v.URL, v.PID)
	default:
		d.say("A vCenter runs at %s (a simulator with the real API, process %d).", v.URL, v.PID)
	}
	d.say("A mail server keeps what it gets in %s.\n", d.path("mail"))
}

// report shows what came of r, each thing as the system says that holds it.
func (d *demo) report(ctx context.Context, r api.Request) error {
	d.say("")
	all, err := d.vcenter.Machines(ctx)
	if err != nil {
		return err
	}
	names, err := namesOf(r)
	if err != nil {
		return err
	}
	machines := slices.DeleteFunc(slices.Clone(all), func(m vcenter.Machine) bool { return !slices.Contains(names, m.Name) })
	d.say("In the vCenter (read back through its own API):")
	for _, m := range machines {
		d.say("  %s", describe(m))
	}
	if len(machines) == 0 {
		d.say("  nothing for %s %s", r.Type, r.Name)
	}
	d.say("  It holds %s in all.", plural(len(all), "machine"))
	if err := d.reportCommits(ctx, r, names); err != nil {
		return err
	}
	if err := d.reportMail(ctx, r); err != nil {
		return err
	}
	d.say("Trace:    %s", r.Trace)
	d.say("Took:     %s", ms(r.Ended.Sub(r.Created)))
	return nil
}

// namesOf returns what the machines of a request are called.
func namesOf(r api.Request) ([]string, error) {
	var spec struct {
		Machines []struct {
			Name string `json:"name"`
		} `json:"machines"`
	}
	if err := json.Unmarshal(r.Spec, &spec); err != nil {
		return nil, fmt.Errorf("read the machines of %s: %w", r.ID, err)
	}
	if len(spec.Machines) == 0 {
		return []string{r.Name}, nil
	}
	var names []string
	for _, m := range spec.Machines {
		names = append(names, m.Name)
	}
	return names, nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func describe(m vcenter.Machine) string {
	disks := make([]string, len(m.DiskGB))
	for i, gb := range m.DiskGB {
		disks[i] = fmt.Sprintf("%d GB", gb)
	}
	return fmt.Sprintf("%s (%s)   %d CPU   %d GB memory   disk %s   network %s   %s / %s   %s",
		m.Name, m.ID, m.CPU, m.MemoryMB/1024, strings.Join(disks, " + "), strings.Join(m.Networks, ", "), m.Cluster, m.Datastore, m.Power)
}

// maxShown bounds how many files of a commit are shown.
const maxShown = 3

// reportCommits shows the commits of a request with the files of its machines, read from the repository
// itself.
func (d *demo) reportCommits(ctx context.Context, r api.Request, names []string) error {
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
			d.showFiles(repo, c.Hash, r, names)
		}
	}
	return nil
}

// showFiles shows the files of a commit that are of the machines of r.
func (d *demo) showFiles(repo *gitrepo.Repo, commit string, r api.Request, names []string) {
	var files []string
	for _, name := range names {
		path := "machines/" + name + "/" + string(r.Run) + ".json"
		if content, err := repo.Read(commit, path); err == nil { // not there where it was taken back
			files = append(files, fmt.Sprintf("%s (%d bytes)", path, len(content)))
		}
	}
	for _, f := range files[:min(len(files), maxShown)] {
		d.say("    %s", f)
	}
	if more := len(files) - maxShown; more > 0 {
		d.say("    and %s more", plural(more, "file"))
	}
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
		letters = slices.DeleteFunc(d.mail.letters(), func(l letter) bool { return l.Trace != r.Trace })
		ended := slices.ContainsFunc(sent.Items, func(m api.Message) bool { return !m.Created.Before(r.Ended) })
		if ended && !waits || !pause(ctx, 20*time.Millisecond) {
			break
		}
	}
	for _, l := range letters {
		d.say("  to %-22s %s", l.To, l.Subject)
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
