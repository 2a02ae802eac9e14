package task

import (
	"encoding/json"
	"strings"

	"tutti/errs"
	"tutti/sdk"
)

// Literal keeps text from being evaluated: data is never source.
func Literal(s string) string { return strings.ReplaceAll(s, "${{", "$${{") }

// LiteralValue is Literal for a value with all that is in it, as JSON knows it.
func LiteralValue(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var plain any
	if json.Unmarshal(b, &plain) != nil {
		return nil
	}
	return escaped(plain, "", nil)
}

// escaped returns a value with its texts kept from being evaluated, and those that are secrets written
// as references again.
func escaped(v any, pointer string, secrets map[string]string) any {
	switch v := v.(type) {
	case string:
		if name := secrets[pointer]; name != "" {
			return "${{ secrets." + name + " }}"
		}
		return Literal(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = escaped(e, pointer+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(k), secrets)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = escaped(e, pointer, nil)
		}
		return out
	}
	return v
}

// minSecret is the shortest secret that is looked for in other text; shorter ones occur by accident.
const minSecret = 6

// Carried returns the input of a task for tasks in its place: in carries what changed, secrets stand as
// references. It refuses secrets that are only a part of a text, which cannot be passed on.
func Carried(t *sdk.Task, in any) (map[string]any, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	var plain any
	if err := json.Unmarshal(b, &plain); err != nil {
		return nil, err
	}
	with, _ := escaped(plain, "", t.References).(map[string]any)
	out, err := json.Marshal(with)
	if err != nil {
		return nil, err
	}
	for _, s := range t.Secrets {
		quoted, err := json.Marshal(Literal(s))
		if err != nil || len(s) >= minSecret && strings.Contains(string(out), string(quoted[1:len(quoted)-1])) {
			return nil, errs.New(errs.Invalid, "a secret stands inside other text, or where none is passed on").
				WithHint("give ${{ secrets.NAME }} and nothing else, in with.backend.token, with.secrets, with.environment, with.password or with.key")
		}
	}
	return with, nil
}
