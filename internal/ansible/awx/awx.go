// Package awx runs playbooks at AWX or Automation Controller, over their API (version 2). It is the driver
// awx of package ansible.
//
// A job there is found again by the digest of its task's key, which is among its extra variables: so it is
// launched once, even if whoever launched it died before it could note the job's ID. What a template does
// not take at launch it would ignore; the driver looks first, and refuses.
//
// It owns no state. The token goes to the host of the connection's URL alone; redirects are not followed.
package awx

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tutti/errs"
	"tutti/internal/ansible"
	"tutti/sdk"
)

// Config says how the API is reached.
type Config struct {
	// Dial connects; it is where addresses are refused that must not be reached.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Poll is how often a job is looked at; 0 is 1s.
	Poll time.Duration
}

const (
	defaultPoll = time.Second
	defaultPath = "/api/v2"
)

var pathForm = regexp.MustCompile(`^(/[A-Za-z0-9._-]+)*/v2$`)

// New returns what opens the driver.
func New(c Config) ansible.Open {
	c.Poll = cmp.Or(c.Poll, defaultPoll)
	return func(_ string, conn ansible.Connection) (ansible.Driver, error) {
		u, err := url.Parse(conn.URL)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, errs.New(errs.Invalid, "with.backend.url is not of the form https://host")
		}
		switch at := cmp.Or(strings.TrimRight(u.Path, "/"), defaultPath); {
		case u.Scheme == "http" && !loopback(u.Hostname()):
			return nil, errs.New(errs.Invalid, "with.backend.url is http, over which everybody can read the token").WithHint("use https")
		case !pathForm.MatchString(at):
			return nil, errs.New(errs.Invalid, "with.backend.url has the path %.200q", u.Path).WithHint("leave it out, or write that of the API: /api/v2, or /api/controller/v2")
		case conn.Token == "":
			return nil, errs.New(errs.Invalid, "with.backend has no token").WithHint("give ${{ secrets.NAME }}")
		default:
			u.Path = at
		}
		return &driver{Config: c, base: u, token: conn.Token, http: client(c.Dial)}, nil
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

type driver struct {
	Config
	base  *url.URL
	token string
	http  *http.Client
}

// digestKey is the same for every worker that has the token, and unknown to who sees digests.
func (d *driver) digestKey() []byte {
	sum := sha256.Sum256([]byte("tutti check digest\x00" + d.token))
	return sum[:]
}

// job is a job as the API tells it.
type job struct {
	ID        int    `json:"id"`
	Status    string `json:"status"`
	ExtraVars string `json:"extra_vars"`
	// Processed says that all events are stored; absent where the API does not tell.
	Processed   *bool                      `json:"event_processing_finished"`
	Explanation string                     `json:"job_explanation"`
	Traceback   string                     `json:"result_traceback"`
	Artifacts   map[string]json.RawMessage `json:"artifacts"`

	Template json.Number `json:"job_template"`
	// What else it was asked for.
	Inventory   json.Number `json:"inventory"`
	Limit       string      `json:"limit"`
	Tags        string      `json:"job_tags"`
	SkipTags    string      `json:"skip_tags"`
	Branch      string      `json:"scm_branch"`
	Revision    string      `json:"scm_revision"`
	Environment json.Number `json:"execution_environment"`
}

func (j job) ended() bool {
	switch j.Status {
	case "successful", "failed", "error", "canceled":
		return true
	}
	return false
}

// inputs identifies what a job was asked for, but not under which key, and not whether it is a check.
func (j job) inputs() string {
	vars := map[string]any{}
	_ = json.Unmarshal([]byte(j.ExtraVars), &vars) // what is no JSON is not ours
	for _, ours := range []string{ansible.VarKey, ansible.VarRun, ansible.VarTask, ansible.VarTrace} {
		delete(vars, ours)
	}
	b, err := json.Marshal([]any{j.Template, j.Inventory, j.Limit, j.Tags, j.SkipTags, j.Branch, j.Revision, j.Environment, vars})
	if err != nil {
		return j.ExtraVars
	}
	return string(b)
}

// template finds a job template by ID or name.
func (d *driver) template(ctx context.Context, name string) (int, error) {
	return d.find(ctx, "job_templates", "job template", name)
}

// find returns the ID of something that is named by ID or by its name.
func (d *driver) find(ctx context.Context, kind, words, name string) (int, error) {
	if id, err := strconv.Atoi(name); err == nil && id > 0 {
		return id, nil
	}
	var found struct {
		Results []struct {
			ID int `json:"id"`
		} `json:"results"`
	}
	if err := d.get(ctx, "find "+words+" "+name, url.Values{"name": {name}}, &found, kind); err != nil {
		return 0, err
	}
	switch len(found.Results) {
	case 0:
		return 0, sdk.Fail(ansible.FailMissing, "there is no %s %q, or the token does not show it", words, name)
	case 1:
		return found.Results[0].ID, nil
	}
	return 0, sdk.Fail(ansible.FailConfig, "there are %d of the name %q: %s", len(found.Results), name, words).WithHint("give its ID")
}

// Launch begins a job; see ansible.Driver.
func (d *driver) Launch(ctx context.Context, j ansible.Job) (string, error) {
	if err := j.Validate(); err != nil {
		return "", err
	}
	if err := foreign(j); err != nil {
		return "", err
	}
	template, err := d.template(ctx, j.Template)
	if err != nil {
		return "", err
	}
	if had, err := d.launched(ctx, template, j); err != nil || had != 0 {
		return strconv.Itoa(had), err
	}
	in, err := d.launching(ctx, j)
	if err != nil {
		return "", err
	}
	if err := d.asks(ctx, template, j, in); err != nil {
		return "", err
	}
	var out struct {
		ID      int                        `json:"id"`
		Job     int                        `json:"job"`
		Ignored map[string]json.RawMessage `json:"ignored_fields"`
	}
	if err := d.call(ctx, "launch job template "+j.Template, http.MethodPost, nil, in, &out, "job_templates", strconv.Itoa(template), "launch"); err != nil {
		return "", err
	}
	return strconv.Itoa(cmp.Or(out.Job, out.ID)), nil
}

// foreign refuses what AWX has its own ways for.
func foreign(j ansible.Job) error {
	switch {
	case j.Template == "":
		return errs.New(errs.Invalid, "with.template does not say what to launch").WithHint("name a job template of AWX")
	case j.Playbook != "" || len(j.Project) > 0:
		return errs.New(errs.Invalid, "with.playbook is for the driver local: the template says which it is")
	case len(j.Secrets) > 0 || len(j.Environment) > 0 || j.Login != (ansible.Login{}):
		return errs.New(errs.Invalid, "with.secrets, environment and login are for the driver local: AWX shows extra variables to whoever sees the job").
			WithHint("keep them as credentials of the template in AWX")
	case len(j.Inventory.Hosts)+len(j.Inventory.Groups)+len(j.Inventory.Vars) > 0:
		return errs.New(errs.Invalid, "with.inventory is for the driver local: AWX keeps its inventories").WithHint("name one with inventoryName, and hosts with limit")
	case j.Forks > 0:
		return errs.New(errs.Invalid, "with.forks is for the driver local: the template says it")
	}
	return nil
}

// skew is how far clocks may differ.
const skew = 15 * time.Minute

// launched returns the job of the key, 0 where there is none.
func (d *driver) launched(ctx context.Context, template int, j ansible.Job) (int, error) {
	const pages = 50
	tag := j.KeyTag()
	for page := 1; page <= pages; page++ {
		var list struct {
			Next    *string `json:"next"`
			Results []job   `json:"results"`
		}
		q := url.Values{"order_by": {"-id"}, "page_size": {"100"}, "page": {strconv.Itoa(page)}, "created__gte": {j.Since.Add(-skew).UTC().Format(time.RFC3339)}}
		if err := d.get(ctx, "list the jobs of template "+j.Template, q, &list, "job_templates", strconv.Itoa(template), "jobs"); err != nil {
			return 0, err
		}
		for _, x := range list.Results {
			var vars map[string]json.RawMessage
			if json.Unmarshal([]byte(x.ExtraVars), &vars) == nil && string(vars[ansible.VarKey]) == strconv.Quote(tag) {
				return x.ID, nil
			}
		}
		if list.Next == nil {
			return 0, nil
		}
	}
	return 0, nil
}

// launching is the body of the call. AWX marks variables given at launch as unsafe itself, so that they
// are not evaluated.
func (d *driver) launching(ctx context.Context, j ansible.Job) (map[string]any, error) {
	vars := map[string]any{ansible.VarKey: j.KeyTag(), ansible.VarRun: j.Run, ansible.VarTask: j.Task, ansible.VarTrace: j.Trace}
	for name, v := range j.Vars {
		vars[name] = v
	}
	in := map[string]any{"extra_vars": vars}
	set := func(name string, value any, given bool) {
		if given {
			in[name] = value
		}
	}
	set("limit", j.Limit, j.Limit != "")
	set("job_tags", strings.Join(j.Tags, ","), len(j.Tags) > 0)
	set("skip_tags", strings.Join(j.SkipTags, ","), len(j.SkipTags) > 0)
	set("scm_branch", j.Branch, j.Branch != "")
	set("job_type", "check", j.Check)
	set("diff_mode", true, j.Diff || j.Check)
	set("timeout", int(j.Timeout.Seconds()), j.Timeout > 0)
	if j.InventoryName != "" {
		id, err := d.find(ctx, "inventories", "inventory", j.InventoryName)
		if err != nil {
			return nil, err
		}
		in["inventory"] = id
	}
	return in, nil
}

// prompts are what has to be ticked in a template for a field of the launch, and what the page calls it.
var prompts = map[string][2]string{
	"extra_vars": {"ask_variables_on_launch", "Variables"}, "limit": {"ask_limit_on_launch", "Limit"}, "job_tags": {"ask_tags_on_launch", "Job tags"},
	"skip_tags": {"ask_skip_tags_on_launch", "Skip tags"}, "scm_branch": {"ask_scm_branch_on_launch", "Source control branch"}, "job_type": {"ask_job_type_on_launch", "Job type"},
	"diff_mode": {"ask_diff_mode_on_launch", "Show changes"}, "inventory": {"ask_inventory_on_launch", "Inventory"}, "timeout": {"ask_timeout_on_launch", "Timeout"},
}

// asks refuses a launch of which the template would ignore a part, or that it cannot do without a person.
func (d *driver) asks(ctx context.Context, template int, j ansible.Job, in map[string]any) error {
	var t map[string]any
	if err := d.get(ctx, "read job template "+j.Template, nil, &t, "job_templates", strconv.Itoa(template), "launch"); err != nil {
		return err
	}
	for _, field := range []string{"extra_vars", "job_type", "diff_mode", "limit", "inventory", "scm_branch", "job_tags", "skip_tags", "timeout"} {
		if _, given := in[field]; !given || t[prompts[field][0]] == true {
			continue
		}
		if field == "diff_mode" && !j.Check { // nothing depends on it
			delete(in, field)
			continue
		}
		return sdk.Fail(ansible.FailConfig, "job template %s does not take %s at launch", j.Template, field).
			WithDetails(map[string]any{"field": field, "setting": prompts[field][0]}).WithHint("tick Prompt on launch beside %s in the template", prompts[field][1])
	}
	for _, needs := range []string{"passwords_needed_to_start", "variables_needed_to_start"} {
		var missing []string
		list, _ := t[needs].([]any)
		for _, n := range list {
			name := fmt.Sprint(n)
			if _, given := j.Vars[name]; !given {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			return sdk.Fail(ansible.FailConfig, "job template %s cannot start without %s", j.Template, strings.Join(missing, ", ")).WithDetails(map[string]any{needs: missing}).
				WithHint("give variables in with.variables, and passwords as credentials of the template")
		}
	}
	return nil
}

// get reads something.
func (d *driver) get(ctx context.Context, what string, q url.Values, out any, elements ...string) error {
	return d.call(ctx, what, http.MethodGet, q, nil, out, elements...)
}

// at is the address of something. AWX wants the slash at the end.
func (d *driver) at(q url.Values, elements ...string) string {
	u := *d.base
	u.Path = path.Join(append([]string{u.Path}, elements...)...) + "/"
	u.RawQuery = q.Encode()
	return u.String()
}
