package rollouts

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/rollout"
)

// external is the gate that the hook of the same name answers.
const external = "external"

// The times of hooks.
const (
	callTime         = 5 * time.Second // unless the hook says otherwise
	longestCall      = 30 * time.Second
	monitorEvery     = 10 * time.Second
	externalDeadline = 2 * time.Minute
)

// extra is what the service keeps with a policy: who is called, and what the policy itself said of
// what the hooks change in it.
type extra struct {
	Hooks  *api.RolloutHooks `json:"hooks,omitempty"`
	Choose bool              `json:"choose,omitempty"`
}

// extraOf returns what is kept with p.
func extraOf(p rollout.Policy) extra {
	var x extra
	if len(p.Extra) > 0 {
		_ = json.Unmarshal(p.Extra, &x) // it was written by join
	}
	return x
}

// declared returns p as people declared it, without what its hooks add.
func declared(p rollout.Policy) rollout.Policy {
	x := extraOf(p)
	if x.Hooks == nil {
		return p
	}
	p.Extra, p.Choose = nil, x.Choose
	if x.Hooks.External != nil {
		p.Gates = slices.DeleteFunc(slices.Clone(p.Gates), func(g rollout.Gate) bool { return g.Name == external })
	}
	return p
}

// join returns the declared policy p with hooks: the choice of targets is theirs, and the external
// monitor is a gate.
func join(p rollout.Policy, hooks *api.RolloutHooks) (rollout.Policy, error) {
	if hooks == nil {
		return p, nil
	}
	var err error
	if p.Extra, err = json.Marshal(extra{Hooks: hooks, Choose: p.Choose}); err != nil {
		return p, err
	}
	p.Choose = p.Choose || hooks.Selection != nil || hooks.Approval != nil
	named := map[string]bool{}
	for _, g := range p.Gates {
		named[g.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(hooks.Gates)) {
		if !named[name] {
			return p, errs.New(errs.Invalid, "hooks: gates.%s answers a gate that the policy does not have", name).
				WithHint(`give the policy the gate first: "gates": [{"name": %q}]`, name)
		}
	}
	if x := hooks.External; x != nil {
		if named[external] {
			return p, errs.New(errs.Invalid, "hooks: the policy has a gate %q of its own, which the external monitor would be", external).
				WithHint("rename the gate, or answer it in gates.%s", external)
		}
		g := rollout.Gate{Name: external, Watch: true, Deadline: externalDeadline, OnUnknown: rollout.OnUnknownBreach}
		if x.Deadline > 0 {
			g.Deadline = time.Duration(x.Deadline)
		}
		if x.Wait {
			g.OnUnknown = rollout.OnUnknownAsk
		}
		p.Gates = append(slices.Clone(p.Gates), g)
	}
	return p, nil
}

// checkHooks returns everything that is wrong with h.
func checkHooks(h *api.RolloutHooks) error {
	var faults []error
	call := func(where, address, secret string, timeout api.Duration) {
		if err := checkCall(address, secret, timeout); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", where, err))
		}
	}
	for _, c := range []struct {
		name string
		call *api.RolloutCall
	}{{"selection", h.Selection}, {"approval", h.Approval}, {"removal", h.Removal}, {"monitoring", h.Monitoring}} {
		if c.call != nil {
			call(c.name, c.call.URL, c.call.Secret, c.call.Timeout)
		}
	}
	monitor := func(where string, m api.RolloutMonitor) {
		switch {
		case (m.HTTP == nil) == (m.Prometheus == nil):
			faults = append(faults, fmt.Errorf("%s: give one of http and prometheus", where))
		case m.HTTP != nil:
			call(where+".http", m.HTTP.URL, m.HTTP.Secret, m.HTTP.Timeout)
		default:
			call(where+".prometheus", m.Prometheus.URL, m.Prometheus.Secret, m.Prometheus.Timeout)
			for _, text := range []string{m.Prometheus.Pass, m.Prometheus.Fail} {
				if _, err := parseBound(text); err != nil {
					faults = append(faults, fmt.Errorf("%s.prometheus: %w", where, err))
				}
			}
			if m.Prometheus.Pass == "" {
				faults = append(faults, fmt.Errorf("%s.prometheus: pass says when it passes, such as < 0.01", where))
			}
		}
	}
	if h.External != nil {
		monitor("external", h.External.RolloutMonitor)
		if d := time.Duration(h.External.Deadline); d > 0 && d < every(h.External.RolloutMonitor) {
			faults = append(faults, fmt.Errorf("external: the deadline %s is before it is asked again, after %s", d, every(h.External.RolloutMonitor)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(h.Gates)) {
		monitor("gates."+name, h.Gates[name])
	}
	if err := errors.Join(faults...); err != nil {
		return errs.New(errs.Invalid, "hooks: %v", err)
	}
	return nil
}

// checkCall returns what is wrong with a call. A credential is bound to the host of the URL, and never sent
// in the clear beyond this machine.
func checkCall(address, secret string, timeout api.Duration) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return errors.New("url is not a URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New("url is not of the form https://host/path")
	case u.User != nil:
		return errors.New("url contains a user; name a secret instead")
	case secret != "" && u.Scheme != "https" && !local(u.Hostname()):
		return errors.New("a secret is sent over https only")
	case time.Duration(timeout) > longestCall:
		return fmt.Errorf("timeout: at most %s", longestCall)
	}
	return nil
}

// local reports whether host is this machine.
func local(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback() || host == "localhost"
}
