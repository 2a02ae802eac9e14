package tfe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	api "github.com/hashicorp/go-tfe"

	"tutti/errs"
	"tutti/internal/terraform"
	"tutti/sdk"
)

// tagOf is what stands in the message of the run of a key.
func tagOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "[tutti:" + hex.EncodeToString(sum[:12]) + "]"
}

// Where a run stands.
var (
	waits = []api.RunStatus{api.RunPlanned, api.RunCostEstimated, api.RunPolicyChecked, api.RunPolicyOverride, api.RunPolicySoftFailed, api.RunPostPlanCompleted, api.RunPostPlanAwaitingDecision}
	gone  = []api.RunStatus{api.RunDiscarded, api.RunCanceled}
	over  = []api.RunStatus{api.RunApplied, api.RunPlannedAndFinished, api.RunErrored, api.RunDiscarded, api.RunCanceled, api.RunPlannedAndSaved}
)

// StartPlan begins a run, or finds it; see terraform.Driver.
func (d *driver) StartPlan(ctx context.Context, in terraform.PlanIn) (string, error) {
	c, err := d.client()
	if err != nil {
		return "", err
	}
	w, err := d.named(ctx, c, in.Workspace)
	if err != nil {
		return "", err
	}
	tag := tagOf(in.Key)
	list, err := c.Runs.List(ctx, w.ID, &api.RunListOptions{ListOptions: api.ListOptions{PageSize: 50}})
	if err != nil {
		return "", d.failure("list the runs of workspace "+in.Workspace, err)
	}
	for _, r := range list.Items {
		if strings.Contains(r.Message, tag) && r.Status != api.RunErrored { // one that failed is followed by another
			return r.ID, nil
		}
	}
	for _, r := range list.Items {
		if !in.Trial && strings.Contains(r.Message, "[tutti:") && slices.Contains(waits, r.Status) && r.Actions != nil && r.Actions.IsDiscardable {
			if err := c.Runs.Discard(ctx, r.ID, api.RunDiscardOptions{Comment: api.String("Superseded by another run of Tutti")}); err != nil && d.status() != http.StatusConflict {
				return "", d.failure("discard run "+r.ID, err)
			}
		}
	}
	r, err := c.Runs.Create(ctx, api.RunCreateOptions{
		Workspace: w, ConfigurationVersion: &api.ConfigurationVersion{ID: in.Config}, Message: api.String(in.Message + " " + tag),
		IsDestroy: &in.Destroy, RefreshOnly: &in.RefreshOnly, PlanOnly: &in.Trial, AutoApply: api.Bool(false),
	})
	if err != nil {
		return "", d.failure("begin a run in workspace "+in.Workspace, err)
	}
	return r.ID, nil
}

// read returns a run.
func (d *driver) read(ctx context.Context, c *api.Client, handle string) (*api.Run, error) {
	r, err := c.Runs.Read(ctx, handle)
	if errors.Is(err, api.ErrInvalidRunID) {
		return nil, errs.New(errs.Invalid, "%.80q is no run", handle)
	}
	if err != nil {
		return nil, d.failure("read run "+handle, err)
	}
	return r, nil
}

// AwaitPlan follows a run until it is planned; see terraform.Driver.
func (d *driver) AwaitPlan(ctx context.Context, workspace, handle string, log io.Writer) (p terraform.Plan, err error) {
	c, err := d.client()
	if err != nil {
		return p, err
	}
	var follow logs
	defer follow.stop()
	for {
		r, err := d.read(ctx, c, handle)
		if err != nil {
			return p, err
		}
		if r.Plan != nil && r.Status != api.RunPending {
			follow.begin(ctx, log, func(ctx context.Context) (io.Reader, error) { return c.Plans.Logs(ctx, r.Plan.ID) })
		}
		switch {
		case slices.Contains(gone, r.Status):
			return p, ended(r)
		case r.Status == api.RunErrored:
			follow.wait()
			if blocked := d.verdicts(ctx, c, r); slices.ContainsFunc(blocked, func(v terraform.Policy) bool { return v.Result == string(api.PolicyHardFailed) }) {
				return p, sdk.Fail(terraform.FailPolicy, "run %s: a policy forbids the plan", handle).WithDetails(map[string]any{"policies": blocked})
			}
			return p, d.failed(terraform.FailPlan, "planning", r, &follow)
		case slices.Contains(waits, r.Status) || slices.Contains(over, r.Status) || r.Status == api.RunApplying || r.Status == api.RunConfirmed || r.Status == api.RunApplyQueued:
			follow.wait()
			return d.planOf(ctx, c, r)
		}
		if err := d.pause(ctx); err != nil {
			return p, err
		}
	}
}

// planOf reads a plan that is made.
func (d *driver) planOf(ctx context.Context, c *api.Client, r *api.Run) (p terraform.Plan, err error) {
	if r.Plan == nil {
		return p, sdk.Fail(terraform.FailMissing, "run %s has no plan", r.ID)
	}
	raw, err := c.Plans.ReadJSONOutput(ctx, r.Plan.ID)
	if err != nil {
		return p, d.failure("read the plan of run "+r.ID, err)
	}
	// The same for every worker that has the token, and unknown to who sees digests.
	key := sha256.Sum256([]byte("tutti plan digest\x00" + d.conn.Token))
	if p, err = terraform.ReadPlan(raw, key[:]); err != nil {
		return p, sdk.Fail(terraform.FailPlan, "run %s: %v", r.ID, err)
	}
	p.Policies = d.verdicts(ctx, c, r)
	for _, v := range p.Policies {
		if v.Result == string(api.PolicySoftFailed) || v.Result == string(api.PolicyHardFailed) || v.Result == string(api.PolicyErrored) {
			return p, sdk.Fail(terraform.FailPolicy, "run %s: policy %s says %s", r.ID, v.Name, v.Result).WithDetails(map[string]any{"policies": p.Policies}).
				WithHint("change the request, or have somebody who may override the policy there")
		}
	}
	if r.CostEstimate != nil {
		if e, err := c.CostEstimates.Read(ctx, r.CostEstimate.ID); err == nil && e.Status == api.CostEstimateFinished { // not every place has them
			p.Cost = &terraform.Cost{Before: e.PriorMonthlyCost, After: e.ProposedMonthlyCost, Delta: e.DeltaMonthlyCost}
		}
	}
	return p, nil
}

// verdicts returns what policies say of a run; none where there are none.
func (d *driver) verdicts(ctx context.Context, c *api.Client, r *api.Run) (out []terraform.Policy) {
	if len(r.PolicyChecks) == 0 {
		return nil
	}
	list, err := c.PolicyChecks.List(ctx, r.ID, nil)
	if err != nil {
		return nil
	}
	for _, check := range list.Items {
		v := terraform.Policy{Name: string(check.Scope) + " policies", Result: string(check.Status)}
		if res := check.Result; res != nil {
			v.Doc = fmt.Sprintf("%d passed, %d failed", res.Passed, res.TotalFailed)
		}
		out = append(out, v)
	}
	return out
}

// ended is the failure of a run that will do nothing more.
func ended(r *api.Run) error {
	if r.Status == api.RunDiscarded {
		return sdk.Fail(terraform.FailStale, "run %s was discarded", r.ID).WithHint("plan anew")
	}
	return sdk.Fail(terraform.FailCancelled, "run %s was cancelled", r.ID)
}

// failed is the failure of a run that errored, in the words of its log.
func (d *driver) failed(typ, doing string, r *api.Run, l *logs) error {
	words, diagnostics := l.errors()
	if words == "" {
		words = "its log says more"
	}
	return sdk.Fail(typ, "run %s: %s failed: %s", r.ID, doing, words).WithDetails(map[string]any{"diagnostics": diagnostics, "run": r.ID})
}

// StartApply confirms a run, or finds that it was; see terraform.Driver.
func (d *driver) StartApply(ctx context.Context, _, handle, message string) error {
	c, err := d.client()
	if err != nil {
		return err
	}
	r, err := d.read(ctx, c, handle)
	if err != nil {
		return err
	}
	switch {
	case r.Status == api.RunDiscarded:
		return ended(r)
	case !slices.Contains(waits, r.Status):
		return nil // it goes on, or has ended
	}
	err = c.Runs.Apply(ctx, handle, api.RunApplyOptions{Comment: &message})
	if err != nil && d.status() == http.StatusConflict { // it was confirmed, or ended, in between
		return nil
	}
	if err != nil {
		return d.failure("confirm run "+handle, err)
	}
	return nil
}

// AwaitApply follows a run to its end; see terraform.Driver.
func (d *driver) AwaitApply(ctx context.Context, workspace, handle string, log io.Writer) (a terraform.Applied, err error) {
	c, err := d.client()
	if err != nil {
		return a, err
	}
	var follow logs
	defer follow.stop()
	for {
		r, err := d.read(ctx, c, handle)
		if err != nil {
			return a, err
		}
		if r.Apply != nil && (r.Status == api.RunApplying || r.Status == api.RunApplied || r.Status == api.RunErrored) {
			follow.begin(ctx, log, func(ctx context.Context) (io.Reader, error) { return c.Applies.Logs(ctx, r.Apply.ID) })
		}
		switch r.Status {
		case api.RunApplied, api.RunPlannedAndFinished:
			follow.wait()
			if r.Apply == nil || r.Status == api.RunPlannedAndFinished {
				return a, nil
			}
			done, err := c.Applies.Read(ctx, r.Apply.ID)
			if err != nil {
				return a, d.failure("read the apply of run "+handle, err)
			}
			return terraform.Applied{Added: done.ResourceAdditions, Changed: done.ResourceChanges, Destroyed: done.ResourceDestructions}, nil
		case api.RunErrored:
			follow.wait()
			return a, d.failed(terraform.FailApply, "applying", r, &follow)
		case api.RunDiscarded, api.RunCanceled:
			follow.wait()
			return a, ended(r)
		}
		if err := d.pause(ctx); err != nil {
			return a, err
		}
	}
}

// Cancel ends or discards a run; see terraform.Driver.
func (d *driver) Cancel(ctx context.Context, _, handle string) error {
	c, err := d.client()
	if err != nil {
		return err
	}
	asked := false
	for {
		r, err := d.read(ctx, c, handle)
		if err != nil {
			return err
		}
		switch {
		case slices.Contains(over, r.Status):
			return nil
		case asked:
		case r.Actions != nil && r.Actions.IsDiscardable && slices.Contains(waits, r.Status):
			err = c.Runs.Discard(ctx, handle, api.RunDiscardOptions{Comment: api.String("Discarded by Tutti")})
		case r.Actions != nil && r.Actions.IsCancelable:
			err = c.Runs.Cancel(ctx, handle, api.RunCancelOptions{Comment: api.String("Cancelled by Tutti")})
			asked = err == nil
		}
		if err != nil && d.status() != http.StatusConflict { // it has moved on in between
			return d.failure("end run "+handle, err)
		}
		if err := d.pause(ctx); err != nil {
			return err
		}
	}
}

// diagnostics reads the errors of a log in JSON lines.
func diagnostics(log string) (words string, out []terraform.Diagnostic) {
	for line := range strings.Lines(log) {
		var l struct {
			Diagnostic *terraform.Diagnostic `json:"diagnostic"`
		}
		if json.Unmarshal([]byte(line), &l) == nil && l.Diagnostic != nil && l.Diagnostic.Severity == "error" {
			out = append(out, *l.Diagnostic)
		} else if text, ok := strings.CutPrefix(strings.Trim(line, "│╷╵ \t\n"), "Error: "); ok {
			out = append(out, terraform.Diagnostic{Severity: "error", Summary: text})
		}
	}
	if len(out) > 0 {
		words = out[0].Summary
	}
	return words, out
}
