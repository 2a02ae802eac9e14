package simulate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/workflow/core"
)

// automatic says whether what the scenario does not answer is answered by itself.
func (w *world) automatic() bool { return w.s.Automatic == nil || *w.s.Automatic }

// ask lets somebody decide an approval that waits.
func (w *world) ask(r *run, path string) {
	a := r.core.Approval(path)
	if a == nil {
		return
	}
	full := r.path(path)
	d, listed, ok := w.decision(full)
	if !ok || d.Decide == "never" {
		return
	}
	w.plan(w.duration(d.After, full, len(a.By)), func() {
		now := r.core.Approval(path)
		if now == nil || !now.Asked.Equal(a.Asked) {
			return // it is about another time it was asked
		}
		taken := w.decide(r, path, d, now)
		if r.core.Approval(path) != nil && (taken || listed) {
			w.ask(r, path)
		}
	})
}

// decision returns what is said next to an approval, and whether the scenario says so.
func (w *world) decision(path string) (d Decision, listed, ok bool) {
	n := w.asked[path]
	w.asked[path]++
	if _, list, ok := pick(w.s.Approvals, path); ok {
		if n < len(list) {
			return list[n], true, true
		}
		return d, true, false
	}
	if m, ok := w.s.Recording.mock(path); ok {
		s := m.step(n + 1)
		d.After = s.Duration
		var out struct {
			By     string          `json:"by"`
			Reason string          `json:"reason"`
			Form   json.RawMessage `json:"form"`
		}
		switch {
		case s.Failure != nil && s.Failure.Type == "rejected":
			d.Decide, d.Reason = "reject", s.Failure.Message
		case s.Failure != nil:
			d.Decide = "never"
		case json.Unmarshal(s.Out, &out) == nil:
			d.By, d.Reason, d.Form = out.By, out.Reason, out.Form
		}
		return d, false, true
	}
	return d, false, w.automatic()
}

// decide says one decision, and whether it was taken.
func (w *world) decide(r *run, path string, d Decision, a *api.Approval) bool {
	who := core.Decider{Subject: d.By, Roles: d.Roles}
	if who.Subject == "" {
		who = someone(a)
	} else if !strings.Contains(who.Subject, ":") && who.Subject != "expiry" {
		who.Subject = "user:" + who.Subject
	}
	if d.Roles == nil {
		who.Roles = rolesOf(a)
	}
	dec := core.Decision{Approve: d.Decide != "reject", Why: d.Reason, Form: d.Form, Digest: a.Digest}
	if d.Digest != nil {
		dec.Digest = *d.Digest
	}
	if dec.Why == "" {
		dec.Why = "simulated"
	}
	if err := w.filled(r, path, a, &dec); err != nil {
		w.note(r, path, "refused: "+err.Error())
		return false
	}
	return w.step(r, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) { return c.Decide(now, path, who, dec) })
}

// filled sees that the form of an approval is filled in as it asks: where the scenario says nothing, by
// a sample.
func (w *world) filled(r *run, path string, a *api.Approval, dec *core.Decision) error {
	if !dec.Approve {
		return nil
	}
	if len(a.Form) == 0 {
		if len(dec.Form) > 0 {
			return errs.New(errs.Invalid, "%s asks for no form", path)
		}
		return nil
	}
	var v any
	var err error
	if len(dec.Form) == 0 {
		v = sample(a.Form, fmt.Sprintf("%d/%s", w.s.Seed, r.path(path)))
		dec.Form, err = json.Marshal(v)
	} else {
		err = json.Unmarshal(dec.Form, &v)
	}
	if err != nil {
		return errs.New(errs.Invalid, "form: %w", err)
	}
	if ps := document.CheckValue(a.Form, v, "form"); len(ps) > 0 {
		return errs.New(errs.Invalid, "the form of %s is not filled in as it asks", path).WithProblems(ps...)
	}
	return nil
}

// someone returns a person who may decide and has not yet.
func someone(a *api.Approval) core.Decider {
	for _, to := range a.To {
		subject, isRole := to, strings.HasPrefix(to, "role:")
		if !strings.Contains(to, ":") {
			subject = "user:" + to
		}
		if !isRole && !slices.Contains(a.NotBy, to) && !slices.Contains(a.NotBy, subject) && !slices.Contains(a.By, subject) {
			return core.Decider{Subject: subject}
		}
	}
	for n := len(a.By) + 1; ; n++ {
		if who := fmt.Sprintf("user:approver%d", n); !slices.Contains(a.NotBy, who) && !slices.Contains(a.By, who) {
			return core.Decider{Subject: who}
		}
	}
}

// rolesOf returns the roles that are asked for and not excluded.
func rolesOf(a *api.Approval) (out []string) {
	for _, to := range a.To {
		if role, ok := strings.CutPrefix(to, "role:"); ok && !slices.Contains(a.NotBy, to) {
			out = append(out, role)
		}
	}
	return out
}

// answerSignal sends a signal that is waited for and that the scenario says nothing about.
func (w *world) answerSignal(r *run, path, name string) {
	if slices.ContainsFunc(w.s.Signals, func(s Signal) bool { return s.Name == name && s.To == r.name }) {
		return
	}
	m, _, said := w.explicit(r.path(path), "signal")
	s := m.step(1)
	if !said && !w.automatic() || s.Failure != nil {
		return
	}
	data := s.Out
	if len(data) == 0 {
		data = json.RawMessage("{}")
	}
	w.plan(w.duration(s.Duration, r.path(path), 1), func() {
		t, err := r.core.Task(path)
		if err != nil || t.State != api.Waiting {
			return
		}
		w.step(r, func(c *core.Run, now int64) ([]core.Event, core.Effects, error) {
			return c.Signal(now, name, data, w.s.Requester)
		})
	})
}

// offset is a time of the simulation, from its start in microseconds.
func offset(us int64) api.Duration { return api.Duration(time.Duration(us) * time.Microsecond) }
