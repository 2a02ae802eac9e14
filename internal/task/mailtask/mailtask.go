// Package mailtask is the task type mail. It hands the mail to the notify service, which sends it, with
// the task's key, so that a repeated attempt sends nothing twice.
package mailtask

import (
	"context"
	"encoding/json"
	"net/mail"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/task"
	"tutti/sdk"
)

const maxTo = 50

type with struct {
	To      addresses `json:"to" doc:"Who gets it: an address, several separated by commas, or a list"`
	Subject string    `json:"subject" doc:"The subject" minLength:"1" maxLength:"500"`
	Text    string    `json:"text,omitempty" doc:"The body, as plain text" maxLength:"262144"`
}

type out struct {
	ID string   `json:"id" doc:"ID of the message"`
	To []string `json:"to" doc:"The addresses it goes to"`
}

// addresses are given as text or as a list.
type addresses []string

// Schema says so.
func (addresses) Schema(huma.Registry) *huma.Schema {
	least, most := 1, maxTo
	return &huma.Schema{AnyOf: []*huma.Schema{
		{Type: huma.TypeString, MinLength: &least},
		{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString, MinLength: &least}, MinItems: &least, MaxItems: &most},
	}}
}

// UnmarshalJSON reads either form.
func (a *addresses) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = strings.Split(one, ",")
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// New returns the task type; it calls over b.
func New(b *bus.Bus) sdk.TaskType {
	return task.Define(api.TaskType{
		Name: "mail", Title: "Send a mail", Doc: "Sends a mail. It succeeds once the mail is accepted for delivery, which goes on by itself.", Errors: task.Called(nil),
	}, sender{b}.do)
}

type sender struct{ bus *bus.Bus }

func (s sender) do(ctx context.Context, t *sdk.Task, in with) (out, error) {
	to, err := parse(in.To)
	if err != nil {
		return out{}, err
	}
	if strings.ContainsFunc(in.Subject, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return out{}, errs.New(errs.Invalid, "with.subject contains a line break or another control character")
	}
	m, err := api.SendMail.Call(ctx, s.bus, api.SendIn{NS: api.NS{Namespace: t.Namespace}, Key: t.Key, To: to, Subject: in.Subject, Text: in.Text})
	if err != nil {
		return out{}, err
	}
	t.Logf("mail %s to %s is on its way", m.ID, strings.Join(to, ", "))
	return out{ID: m.ID, To: to}, nil
}

// parse returns bare addresses, each once.
func parse(list []string) ([]string, error) {
	to := []string{}
	for _, s := range list {
		a, err := mail.ParseAddress(strings.TrimSpace(s))
		if err != nil || strings.ContainsAny(a.Address, "\r\n") {
			return nil, errs.New(errs.Invalid, "with.to has %q, which is no mail address", s).WithHint("write anna@example.com")
		}
		if !slices.Contains(to, a.Address) {
			to = append(to, a.Address)
		}
	}
	if len(to) > maxTo {
		return nil, errs.New(errs.Invalid, "with.to has %d addresses; at most %d are possible", len(to), maxTo)
	}
	return to, nil
}
