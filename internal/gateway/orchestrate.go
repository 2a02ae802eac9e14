package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
)

// The routes below let controllers that were written for another orchestrator go on unchanged: its paths and its
// JSON, on the rollouts of this one, behind its authentication. What that system got wrong is not imitated:
// docs/guides/rollouts.md says what differs.

const orchestrateBase = "/v1/orchestrate/"

// bare lets those controllers send a token as the whole Authorization header, as they do.
func bare(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if token := r.Header.Get("Authorization"); token != "" && !strings.Contains(token, " ") {
			r = r.Clone(r.Context())
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return h(w, r)
	}
}

// orchestrateRoutes are those routes, each with the permission it needs in the namespace of its path.
func (g *Gateway) orchestrateRoutes() []ownRoute {
	const base = orchestrateBase
	const entity = base + "{namespace}/{entity}"
	read, report, control, hooks := api.GetRollout.Info().Perm, api.Orchestrate.Info().Perm, api.CommandRollout.Info().Perm, api.SetRolloutHooks.Info().Perm
	return []ownRoute{
		{"POST " + entity, report, g.old(report, g.oldOrchestrate)},
		{"POST " + entity + "/status", report, g.old(report, g.oldReport)},
		{"POST " + entity + "/version", control, g.old(control, g.oldVersion)},
		{"POST " + entity + "/options", control, g.old(control, g.oldOptions)},
		{"POST " + entity + "/target/controller", hooks, g.old(hooks, g.oldTargetController)},
		{"POST " + entity + "/monitoring/controller", hooks, g.old(hooks, g.oldMonitoringController)},
		{"GET " + base + "namespaces", api.ListNamespaces.Info().Perm, g.old("", g.oldNamespaces)},
		{"GET " + base + "{namespace}/entities", read, g.old(read, g.oldEntities)},
		{"GET " + entity + "/rollout", read, g.old(read, g.oldRollout)},
		{"GET " + entity + "/targets", read, g.old(read, g.oldTargets)},
		{"GET " + entity + "/status", read, g.old(read, g.oldTargets)},
		{"GET " + entity + "/{group}/status", read, g.old(read, g.oldTargets)},
	}
}

// oldState is a target as those controllers report it, and get it back.
type oldState struct {
	Name    string          `json:"name,omitempty"`
	Group   string          `json:"group,omitempty"`
	Tags    json.RawMessage `json:"tags,omitempty"`
	Version string          `json:"version,omitempty"`
	Message string          `json:"message,omitempty"`
	IsError bool            `json:"isError,omitempty"`
}

// oldOptions are the options of a rollout: percentages and seconds.
type oldOptions struct {
	BatchPercent        int `json:"batchpercent"`
	SuccessPercent      int `json:"successpercent"`
	SuccessTimeoutSecs  int `json:"successtimeoutsecs"`
	DurationTimeoutSecs int `json:"durationtimeoutsecs"`
}

// oldDone is the answer to a command.
type oldDone struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

var done = oldDone{"success", "ok"}

// oldEntity is the form of an entity's name: that of the API.
var oldEntity = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// oldCall is a call of one of those routes.
type oldCall struct {
	ctx  context.Context
	at   api.RolloutIn
	r    *http.Request
	body []byte
}

// old makes a handler of f: it checks the names in the path and the permission, reads the body, and answers
// every refusal as those controllers know it, 400 with a status and a message. Who may not call, and a
// server that is too busy, get the statuses that say so.
func (g *Gateway) old(permission string, f func(oldCall) (any, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		out, err := g.oldAnswer(w, r, permission, f)
		status := http.StatusOK
		if err != nil {
			switch errs.KindOf(err) {
			case errs.Unauthenticated, errs.Denied, errs.Limited, errs.Unavailable, errs.Internal:
				return err
			}
			public := errs.Public(err)
			message := public.Msg
			for _, p := range public.Problems {
				message += "; " + strings.TrimSpace(p.Location+" "+p.Message)
			}
			status, out = http.StatusBadRequest, oldDone{"error", message}
		}
		body, err := json.Marshal(out)
		if err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
		send(w, status, "application/json", body)
		return nil
	}
}

func (g *Gateway) oldAnswer(w http.ResponseWriter, r *http.Request, permission string, f func(oldCall) (any, error)) (any, error) {
	c := oldCall{ctx: r.Context(), r: r}
	if permission != "" {
		ns, err := g.namespace(r, permission)
		if err != nil {
			return nil, err
		}
		c.at.NS = api.NS{Namespace: ns}
	}
	if name := r.PathValue("entity"); strings.Contains(r.Pattern, "{entity}") {
		if !oldEntity.MatchString(name) {
			return nil, errs.New(errs.Invalid, "%.100q is no name of an entity: letters, digits, dots, _ and -, at most 100", name)
		}
		c.at.Entity = name
	}
	if r.Method == http.MethodPost {
		var err error
		if c.body, err = readBody(w, r, reportLimit); err != nil {
			return nil, err
		}
	}
	return f(c)
}

// read decodes the body.
func (c oldCall) read(v any) error {
	if err := json.Unmarshal(c.body, v); err != nil {
		return errs.New(errs.Invalid, "the body is not JSON of the form that is wanted: %v", err)
	}
	return nil
}

// oldReports takes in reports and runs a step.
func (g *Gateway) oldReports(c oldCall) error {
	var states []*oldState
	if !bytes.Equal(bytes.TrimSpace(c.body), []byte("{}")) { // what readBody makes of no body
		if err := c.read(&states); err != nil {
			return err
		}
	}
	body := api.OrchestrateBody{Reports: make([]api.RolloutReport, 0, len(states))}
	if len(states) > 20_000 {
		return errs.New(errs.TooLarge, "%d targets in one call; at most 20000 are taken", len(states))
	}
	for i, s := range states {
		if s == nil {
			return errs.New(errs.Invalid, "target %d is null", i)
		}
		if s.Name == "" || len(s.Name) > 200 || len(s.Group) > 200 || len(s.Version) > 200 {
			return errs.New(errs.Invalid, "target %d: it has a name, and name, group and version have at most 200 bytes", i)
		}
		rep := api.RolloutReport{Name: s.Name, Group: s.Group, Version: s.Version, Message: cut(s.Message, 2000), Labels: oldTags(s.Tags)}
		if s.IsError {
			rep.Health = "unhealthy"
		}
		body.Reports = append(body.Reports, rep)
	}
	_, err := api.Orchestrate.Call(c.ctx, g.bus, api.OrchestrateIn{RolloutIn: c.at, Body: body})
	if errs.Is(err, errs.NotFound) && c.at.Entity != "" {
		return errs.New(errs.Invalid, "empty target version, please set target version before calling orchestrate")
	}
	return err
}

// cut shortens text to n bytes, between characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "")
}

// oldTags reads tags, an object of texts or a list of texts, some of which may be of the form key=value.
func oldTags(raw json.RawMessage) map[string]string {
	var labels map[string]string
	if json.Unmarshal(raw, &labels) == nil && len(labels) <= 20 {
		return labels
	}
	var list []string
	if json.Unmarshal(raw, &list) != nil || len(list) > 20 {
		return nil
	}
	labels = make(map[string]string, len(list))
	for _, tag := range list {
		key, value, found := strings.Cut(tag, "=")
		if !found {
			value = "true"
		}
		labels[key] = value
	}
	return labels
}

func (g *Gateway) oldOrchestrate(c oldCall) (any, error) {
	if err := g.oldReports(c); err != nil {
		return nil, err
	}
	return g.oldTargets(c)
}

func (g *Gateway) oldReport(c oldCall) (any, error) { return done, g.oldReports(c) }

// oldTargets answers with what the targets of an entity, or of one group of it, are to run. One that was not
// asked for anything is to stay as it is.
func (g *Gateway) oldTargets(c oldCall) (any, error) {
	in := api.ListRolloutTargetsIn{RolloutIn: c.at, Paging: api.Paging{Limit: 1000}, Group: c.r.PathValue("group")}
	var out []oldState // null where there are none
	for {
		page, err := api.ListRolloutTargets.Call(c.ctx, g.bus, in)
		if err != nil {
			return nil, err
		}
		for _, t := range page.Items {
			s := oldState{Name: t.Name, Group: t.Group, Version: t.Wanted, Message: t.Message, IsError: t.Outcome == "failed" || t.Health == "unhealthy" || t.Health == "failed"}
			if s.Version == "" {
				s.Version = t.Version
			}
			s.Message = strings.TrimSpace(s.Message + " at " + t.Since.Format(time.RFC3339))
			out = append(out, s)
		}
		if in.Cursor = page.Cursor; in.Cursor == "" {
			return out, nil
		}
	}
}

// oldVersion sets the version. One that is known to be bad changes nothing, and is no error: those controllers
// set it again and again.
func (g *Gateway) oldVersion(c oldCall) (any, error) {
	var in struct {
		Version string `json:"version"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if in.Version == "" || len(in.Version) > 200 {
		return nil, errs.New(errs.Invalid, "invalid Target Version")
	}
	_, err := api.CommandRollout.Call(c.ctx, g.bus, api.CommandRolloutIn{RolloutIn: c.at, Verb: "set-version", Body: api.RolloutCommand{Version: in.Version}})
	if errs.Is(err, errs.Conflict) {
		return oldDone{"success", errs.Public(err).Msg}, nil
	}
	return done, err
}

// oldOptions sets batch, success, soak and limit; the rest of the policy stays. null, and 0, are the defaults.
func (g *Gateway) oldOptions(c oldCall) (any, error) {
	var in oldOptions
	if err := c.read(&in); err != nil {
		return nil, err
	}
	const longest = 365 * 24 * 3600
	if in.BatchPercent < 0 || in.BatchPercent > 100 || in.SuccessPercent < 0 || in.SuccessPercent > 100 ||
		in.SuccessTimeoutSecs < 0 || in.SuccessTimeoutSecs > longest || in.DurationTimeoutSecs < 0 || in.DurationTimeoutSecs > longest {
		return nil, errs.New(errs.Invalid, "percentages are from 0 to 100, seconds from 0 to a year")
	}
	var p api.RolloutPolicy
	if r, err := api.GetRollout.Call(c.ctx, g.bus, c.at); err == nil && r.Policy != nil {
		p = *r.Policy
	} else if err != nil && !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	p.Batch, p.Tolerate, p.Success = "", "", float64(in.SuccessPercent)
	if in.BatchPercent > 0 {
		p.Batch = fmt.Sprintf("%d%%", in.BatchPercent)
	}
	p.Soak, p.Limit = api.Duration(time.Duration(in.SuccessTimeoutSecs)*time.Second), api.Duration(time.Duration(in.DurationTimeoutSecs)*time.Second)
	_, err := api.SetRolloutPolicy.Call(c.ctx, g.bus, api.SetRolloutPolicyIn{RolloutIn: c.at, Body: p})
	return done, err
}

// hooks changes the hooks of the entity.
func (g *Gateway) oldHooks(c oldCall, change func(*api.RolloutHooks)) (any, error) {
	var h api.RolloutHooks
	if r, err := api.GetRollout.Call(c.ctx, g.bus, c.at); err == nil && r.Hooks != nil {
		h = *r.Hooks
	} else if err != nil && !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	change(&h)
	_, err := api.SetRolloutHooks.Call(c.ctx, g.bus, api.SetRolloutHooksIn{RolloutIn: c.at, Body: h})
	return done, err
}

// callTo is a call of a URL; nil where there is none.
func callTo(url string) *api.RolloutCall {
	if url == "" {
		return nil
	}
	return &api.RolloutCall{URL: url}
}

func (g *Gateway) oldTargetController(c oldCall) (any, error) {
	var in struct{ Selection, Approval, Removal, Monitoring string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	return g.oldHooks(c, func(h *api.RolloutHooks) {
		h.Selection, h.Approval, h.Removal, h.Monitoring = callTo(in.Selection), callTo(in.Approval), callTo(in.Removal), callTo(in.Monitoring)
	})
}

func (g *Gateway) oldMonitoringController(c oldCall) (any, error) {
	var in struct{ ExternalMonitoring string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	return g.oldHooks(c, func(h *api.RolloutHooks) {
		h.External = nil
		if in.ExternalMonitoring != "" {
			h.External = &api.RolloutExternal{RolloutMonitor: api.RolloutMonitor{HTTP: callTo(in.ExternalMonitoring)}}
		}
	})
}

// oldNamespaces answers with the namespaces that the caller sees and that have entities.
func (g *Gateway) oldNamespaces(c oldCall) (any, error) {
	all, err := api.ListNamespaces.Call(c.ctx, g.bus, api.Nothing{})
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, ns := range all.Items {
		page, err := api.ListRollouts.Call(c.ctx, g.bus, api.ListRolloutsIn{NS: api.NS{Namespace: ns.Name}, Paging: api.Paging{Limit: 1}})
		switch errs.KindOf(err) {
		case errs.Denied, errs.NotFound:
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(page.Items) > 0 {
			names = append(names, ns.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (g *Gateway) oldEntities(c oldCall) (any, error) {
	in := api.ListRolloutsIn{NS: c.at.NS, Paging: api.Paging{Limit: 1000}}
	names := []string{}
	for {
		page, err := api.ListRollouts.Call(c.ctx, g.bus, in)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Items {
			names = append(names, r.Entity)
		}
		if in.Cursor = page.Cursor; in.Cursor == "" {
			return names, nil
		}
	}
}

func (g *Gateway) oldRollout(c oldCall) (any, error) {
	r, err := api.GetRollout.Call(c.ctx, g.bus, c.at)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"targetversion": r.Wanted, "rollingversion": r.Version, "lastknowngoodversion": r.Good, "lastknownbadversion": ""}
	if len(r.Bad) > 0 {
		out["lastknownbadversion"] = r.Bad[0]
	}
	o := oldOptions{BatchPercent: 5, SuccessPercent: 100, DurationTimeoutSecs: 600}
	if p := r.Policy; p != nil {
		if batch, ok := strings.CutSuffix(p.Batch, "%"); ok {
			_, _ = fmt.Sscan(batch, &o.BatchPercent)
		}
		if p.Success > 0 {
			o.SuccessPercent = int(p.Success)
		}
		if p.Limit > 0 {
			o.DurationTimeoutSecs = int(time.Duration(p.Limit) / time.Second)
		}
		o.SuccessTimeoutSecs = int(time.Duration(p.Soak) / time.Second)
	}
	out["options"] = o
	return out, nil
}
