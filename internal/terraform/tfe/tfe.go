// Package tfe runs Terraform at HCP Terraform or Terraform Enterprise, over their API. It is the driver
// tfe of package terraform.
//
// A run there is found again by the tag of its task's key, which stands in its message: so it is begun
// once, even if whoever began it died before it could note the run's ID. A run that waits to be confirmed
// and was begun by another task of Tutti holds up the workspace; it is discarded by the next one, whose
// plan would differ after it.
//
// It owns no state. Tokens go to the host of the connection's URL alone: uploads and logs, which the API
// has elsewhere, are called without.
package tfe

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	api "github.com/hashicorp/go-tfe"

	"tutti/errs"
	"tutti/internal/terraform"
	"tutti/sdk"
)

// Config says how the API is reached.
type Config struct {
	// Dial connects; it is where addresses are refused that must not be reached.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Poll is how often a run is looked at; 0 is 1s.
	Poll time.Duration
}

// New returns what opens the driver.
func New(c Config) terraform.Open {
	c.Poll = cmp.Or(c.Poll, time.Second)
	return func(_ string, conn terraform.Connection) (terraform.Driver, error) {
		u, err := url.Parse(conn.URL)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || strings.Trim(u.Path, "/") != "":
			return nil, errs.New(errs.Invalid, "with.backend.url is not of the form https://host")
		case u.Scheme == "http" && !loopback(u.Hostname()):
			return nil, errs.New(errs.Invalid, "with.backend.url is http, over which everybody can read the token").WithHint("use https")
		case !nameForm.MatchString(conn.Organization):
			return nil, errs.New(errs.Invalid, "with.backend.organization is %.100q, which cannot be one", conn.Organization)
		case conn.Token == "":
			return nil, errs.New(errs.Invalid, "with.backend has no token").WithHint("give ${{ secrets.NAME }}")
		}
		return &driver{Config: c, conn: conn, host: u.Host, refused: &refusal{}}, nil
	}
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,89}$`)

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

type driver struct {
	Config
	conn    terraform.Connection
	host    string
	refused *refusal
}

// client returns a client of the API. It asks the API what it is, so it can fail as a call can.
func (d *driver) client() (*api.Client, error) {
	c, err := api.NewClient(&api.Config{
		Address: d.conn.URL, BasePath: api.DefaultBasePath, RegistryBasePath: api.DefaultRegistryPath, Token: d.conn.Token,
		HTTPClient: d.http(), Headers: http.Header{"User-Agent": []string{"tutti"}},
	})
	if err != nil {
		return nil, d.failure("reach the API", err)
	}
	return c, nil
}

// named returns a workspace by its name.
func (d *driver) named(ctx context.Context, c *api.Client, name string) (*api.Workspace, error) {
	if !nameForm.MatchString(name) {
		return nil, errs.New(errs.Invalid, "%.100q is no name for a workspace", name).WithHint("use letters, digits, - and _, at most 90")
	}
	w, err := c.Workspaces.Read(ctx, d.conn.Organization, name)
	if errors.Is(err, api.ErrResourceNotFound) {
		return nil, errs.New(errs.NotFound, "there is no workspace %q in organization %s, or the token does not show it", name, d.conn.Organization)
	}
	if err != nil {
		return nil, d.failure("read workspace "+name, err)
	}
	return w, nil
}

// Ensure returns a workspace, made where it is missing; see terraform.Driver.
func (d *driver) Ensure(ctx context.Context, name string) (terraform.Workspace, error) {
	c, err := d.client()
	if err != nil {
		return terraform.Workspace{}, err
	}
	w, err := d.named(ctx, c, name)
	created := errs.Is(err, errs.NotFound)
	if created {
		o := api.WorkspaceCreateOptions{Name: &name, AutoApply: api.Bool(false), QueueAllRuns: api.Bool(false), Description: api.String("Made by Tutti"), SourceName: api.String("Tutti")}
		if o.Project, err = d.project(ctx, c); err != nil {
			return terraform.Workspace{}, err
		}
		w, err = c.Workspaces.Create(ctx, d.conn.Organization, o)
		if err != nil && d.status() == http.StatusUnprocessableEntity { // somebody else was quicker
			created = false
			w, err = c.Workspaces.Read(ctx, d.conn.Organization, name)
		}
		if err != nil {
			err = d.failure("make workspace "+name, err)
		}
	}
	if err != nil {
		return terraform.Workspace{}, err
	}
	return terraform.Workspace{Name: name, ID: w.ID, Created: created, URL: d.page(name)}, nil
}

func (d *driver) page(workspace string, more ...string) string {
	u, err := url.JoinPath(d.conn.URL, append([]string{"app", d.conn.Organization, "workspaces", workspace}, more...)...)
	if err != nil {
		return ""
	}
	return u
}

func (d *driver) project(ctx context.Context, c *api.Client) (*api.Project, error) {
	if d.conn.Project == "" {
		return nil, nil
	}
	list, err := c.Projects.List(ctx, d.conn.Organization, &api.ProjectListOptions{Name: d.conn.Project})
	if err != nil {
		return nil, d.failure("find project "+d.conn.Project, err)
	}
	for _, p := range list.Items {
		if p.Name == d.conn.Project {
			return p, nil
		}
	}
	return nil, sdk.Fail(terraform.FailMissing, "there is no project %q in organization %s", d.conn.Project, d.conn.Organization)
}

// PutVariables makes vars those of the workspace; see terraform.Driver. What is sensitive cannot be read
// back, so it is written each time.
func (d *driver) PutVariables(ctx context.Context, name string, vars []terraform.Variable) error {
	c, err := d.client()
	if err != nil {
		return err
	}
	w, err := d.named(ctx, c, name)
	if err != nil {
		return err
	}
	have := map[string]*api.Variable{}
	for page := 1; page != 0; {
		list, err := c.Variables.List(ctx, w.ID, &api.VariableListOptions{ListOptions: api.ListOptions{PageNumber: page, PageSize: 100}})
		if err != nil {
			return d.failure("list the variables of workspace "+name, err)
		}
		for _, v := range list.Items {
			if v.Description == ours {
				have[string(v.Category)+"/"+v.Key] = v
			}
		}
		if page = 0; list.Pagination != nil {
			page = list.NextPage
		}
	}
	for _, v := range vars {
		category, value, hcl, err := written(v)
		if err != nil {
			return err
		}
		key := string(category) + "/" + v.Name
		was := have[key]
		delete(have, key)
		switch {
		case was == nil:
			_, err = c.Variables.Create(ctx, w.ID, api.VariableCreateOptions{Key: &v.Name, Value: &value, Category: &category, HCL: &hcl, Sensitive: &v.Sensitive, Description: api.String(ours)})
		case !was.Sensitive && !v.Sensitive && was.Value == value && was.HCL == hcl:
		default:
			_, err = c.Variables.Update(ctx, w.ID, was.ID, api.VariableUpdateOptions{Value: &value, HCL: &hcl, Sensitive: &v.Sensitive})
		}
		if err != nil {
			return d.failure("set variable "+v.Name, err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if err := c.Variables.Delete(ctx, w.ID, have[key].ID); err != nil && !errors.Is(err, api.ErrResourceNotFound) {
			return d.failure("remove variable "+have[key].Key, err)
		}
	}
	return nil
}

// ours marks the variables that Tutti set: others are left alone.
const ours = "Set by Tutti"

// written returns a variable as the API takes it: text as it is; anything else as an expression, in which
// nothing is evaluated.
func written(v terraform.Variable) (category api.CategoryType, value string, hcl bool, err error) {
	if v.Env {
		err = json.Unmarshal(v.Value, &value)
		return api.CategoryEnv, value, false, err
	}
	if len(v.Value) > 0 && v.Value[0] == '"' {
		err = json.Unmarshal(v.Value, &value)
		return api.CategoryTerraform, value, false, err
	}
	return api.CategoryTerraform, strings.NewReplacer("${", "$${", "%{", "%%{").Replace(string(v.Value)), true, nil
}

// Upload stores a configuration; see terraform.Driver.
func (d *driver) Upload(ctx context.Context, name string, conf terraform.Config) (string, error) {
	if err := conf.Check(); err != nil {
		return "", err
	}
	c, err := d.client()
	if err != nil {
		return "", err
	}
	w, err := d.named(ctx, c, name)
	if err != nil {
		return "", err
	}
	archive, err := pack(conf)
	if err != nil {
		return "", fmt.Errorf("pack the configuration: %w", err)
	}
	v, err := c.ConfigurationVersions.Create(ctx, w.ID, api.ConfigurationVersionCreateOptions{AutoQueueRuns: api.Bool(false)})
	if err != nil {
		return "", d.failure("begin the upload", err)
	}
	if err := c.ConfigurationVersions.UploadTarGzip(ctx, v.UploadURL, bytes.NewReader(archive)); err != nil {
		return "", d.uploadFailure(ctx, err)
	}
	for {
		if v, err = c.ConfigurationVersions.Read(ctx, v.ID); err != nil {
			return "", d.failure("read the configuration", err)
		}
		switch v.Status {
		case api.ConfigurationUploaded:
			return v.ID, nil
		case api.ConfigurationErrored, api.ConfigurationArchived:
			return "", sdk.Fail(terraform.FailUpload, "the configuration did not arrive whole: %s", cmp.Or(v.ErrorMessage, v.Error, "the API does not say why")).Again()
		}
		if err := d.pause(ctx); err != nil {
			return "", err
		}
	}
}

func (d *driver) uploadFailure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f := d.failure("upload the configuration", err)
	if t, ok := errors.AsType[*sdk.TaskError](f); ok && t.Type == terraform.FailDenied && d.refused.get() == nil {
		return f
	} else if d.refused.get() != nil {
		return f
	}
	return sdk.Fail(terraform.FailUpload, "%v", f).Again()
}

// pack makes the archive of a configuration: the same bytes for the same files.
func pack(c terraform.Config) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	t := tar.NewWriter(z)
	dirs := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		for _, dir := range parents(name) {
			if !dirs[dir] {
				dirs[dir] = true
				if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}); err != nil {
					return nil, err
				}
			}
		}
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(c.Files[name]))}); err != nil {
			return nil, err
		}
		if _, err := t.Write(c.Files[name]); err != nil {
			return nil, err
		}
	}
	err := errors.Join(t.Close(), z.Close())
	return out.Bytes(), err
}

func parents(name string) (out []string) {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		out = append([]string{dir}, out...)
	}
	return out
}

// pause waits until a run is looked at again.
func (d *driver) pause(ctx context.Context) error {
	t := time.NewTimer(d.Poll)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Outputs reads them from the current state; see terraform.Driver.
func (d *driver) Outputs(ctx context.Context, name string) (out terraform.Outputs, err error) {
	c, err := d.client()
	if err != nil {
		return out, err
	}
	w, err := d.named(ctx, c, name)
	if err != nil {
		return out, err
	}
	out = terraform.Outputs{Values: map[string]json.RawMessage{}, Sensitive: []string{}}
	list, err := c.StateVersionOutputs.ReadCurrent(ctx, w.ID)
	if errors.Is(err, api.ErrResourceNotFound) { // there is no state yet
		out.Resources = []string{}
		return out, nil
	}
	if err != nil {
		return out, d.failure("read the outputs of workspace "+name, err)
	}
	for _, o := range list.Items {
		if o.Sensitive {
			out.Sensitive = append(out.Sensitive, o.Name)
			continue
		}
		if out.Values[o.Name], err = json.Marshal(o.Value); err != nil {
			return out, fmt.Errorf("output %s: %w", o.Name, err)
		}
	}
	slices.Sort(out.Sensitive)
	if v, err := c.StateVersions.ReadCurrent(ctx, w.ID); err == nil { // where the token may not, the outputs do
		out.Serial = v.Serial
	}
	return out, nil
}

// Remove deletes a workspace that manages nothing; see terraform.Driver.
func (d *driver) Remove(ctx context.Context, name string) error {
	c, err := d.client()
	if err != nil {
		return err
	}
	err = c.Workspaces.SafeDelete(ctx, d.conn.Organization, name)
	switch {
	case err == nil, errors.Is(err, api.ErrResourceNotFound):
		return nil
	case errors.Is(err, api.ErrWorkspaceLockedCannotDelete):
		return sdk.Fail(terraform.FailLocked, "workspace %s is locked", name).Again()
	case errors.Is(err, api.ErrWorkspaceStillProcessing):
		return sdk.Fail(terraform.FailLocked, "workspace %s is still being looked at after its last run", name).Again()
	case errors.Is(err, api.ErrWorkspaceNotSafeToDelete):
		return sdk.Fail(terraform.FailConflict, "workspace %s still manages resources", name).WithHint("destroy them first")
	}
	return d.failure("remove workspace "+name, err)
}
