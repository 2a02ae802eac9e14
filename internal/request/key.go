package request

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/mail"
	"strings"

	"tutti/errs"
	"tutti/internal/document"
)

const (
	// maxParams bounds what is asked for, in bytes: params, and what becomes of them, travel as values.
	maxParams = 256 << 10
	// maxDepth bounds the nesting of params.
	maxDepth = 32
	// maxAddress bounds a mail address, after RFC 5321.
	maxAddress = 254
)

// params returns raw in canonical form, {} where there is none. It returns errs.TooLarge, or
// errs.Invalid with a problem at "body.params".
func params(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) > maxParams {
		return nil, errs.New(errs.TooLarge, "params have %d bytes, the limit is %d", len(raw), maxParams).
			WithHint("upload what is large as a file and name its ID")
	}
	bad := func(message, hint string) (json.RawMessage, error) {
		return nil, invalid("the request", []errs.Problem{{Location: "body.params", Message: message, Hint: hint}})
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return json.RawMessage("{}"), nil
	}
	if depth(raw) > maxDepth {
		return bad(fmt.Sprintf("nested deeper than %d levels", maxDepth), "")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // digits are kept as they were sent
	var v any
	if err := dec.Decode(&v); err != nil {
		return bad("not JSON: "+err.Error(), "")
	}
	switch v := v.(type) {
	case nil:
		return json.RawMessage("{}"), nil
	case map[string]any:
		return document.Canonical(v), nil
	}
	return bad("not an object", `write {"name": value, …}`)
}

// depth returns how deep the brackets of a JSON text are nested.
func depth(raw []byte) (deepest int) {
	now, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// bodyHash identifies what was asked under an idempotency key: verb tells the methods apart.
func bodyHash(verb string, body any) (string, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("hash of the body: %w", err)
	}
	sum := sha256.Sum256(append([]byte(verb+"\n"), b...))
	return hex.EncodeToString(sum[:]), nil
}

// badAddresses returns a problem for each text that is not one bare mail address.
func badAddresses(at string, addresses []string) (bad []errs.Problem) {
	for i, a := range addresses {
		p, err := mail.ParseAddress(a)
		if err == nil && p.Address == a && len(a) <= maxAddress && !strings.ContainsAny(a, "\r\n\x00<>") {
			continue
		}
		bad = append(bad, errs.Problem{Location: fmt.Sprintf("%s[%d]", at, i), Message: fmt.Sprintf("%.100q is not a mail address", a), Hint: "write it bare, as in ops@example.com"})
	}
	return bad
}

// invalid is the error of something that has problems.
func invalid(what string, problems []errs.Problem) error {
	return errs.New(errs.Invalid, "%s cannot be accepted", what).WithProblems(problems...)
}
