package overview

import (
	"strconv"
	"strings"
	"time"

	"tutti/api"
)

// addExtras adds files and mails, each to the request that was the newest when it came.
func (p *parts) addExtras(t *tree) {
	for _, f := range p.files {
		if !p.fresh(f.Created, f.Created) {
			continue
		}
		t.add(api.TraceRow{ID: f.ID, Parent: p.owner(strings.TrimSuffix(f.Name, ".json"), f.Created), Kind: "file", Title: f.Name, Use: f.Type, State: api.Succeeded,
			Ready: f.Created, Started: f.Created, Ended: f.Created, By: f.By, File: f.ID})
	}
	for _, m := range p.mails {
		if !p.fresh(m.Created, m.Sent) {
			continue
		}
		title := m.Subject
		if len(m.To) > 0 {
			title += " → " + m.To[0]
			if len(m.To) > 1 {
				title += " +" + itoa(len(m.To)-1)
			}
		}
		row := api.TraceRow{ID: m.ID, Parent: p.owner("", m.Created), Kind: "mail", Title: title, Use: "mail", State: m.State, Ready: m.Created, Started: m.Created, Ended: m.Sent, Attempt: m.Tries}
		row.Failure = short(api.Failure{Message: m.Error})
		t.add(row)
	}
}

// owner returns the request with an ID, or else the newest that was there at a time; "" where there is none.
func (p *parts) owner(requestID string, at time.Time) string {
	owner := ""
	for _, r := range p.requests {
		if r.ID == requestID {
			return r.ID
		}
		if !r.Created.After(at) {
			owner = r.ID
		}
	}
	return owner
}

func itoa(n int) string { return strconv.Itoa(n) }
