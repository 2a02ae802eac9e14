package ansible

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxKey bounds the names in data: YAML knows no longer ones on a line of their own.
const maxKey = 500

// appendYAML writes a JSON value as YAML that Ansible reads as the same value and never evaluates: each
// text is tagged !unsafe, so that {{ and {% in it are text.
func appendYAML(out *bytes.Buffer, raw json.RawMessage) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one value")
	}
	return appendValue(out, v)
}

func appendValue(out *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case nil:
		out.WriteString("null")
	case bool:
		out.WriteString(strconv.FormatBool(v))
	case json.Number:
		n, err := number(v.String())
		if err != nil {
			return err
		}
		out.WriteString(n)
	case string:
		out.WriteString("!unsafe ")
		quote(out, v)
	case []any:
		out.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				out.WriteString(", ")
			}
			if err := appendValue(out, e); err != nil {
				return err
			}
		}
		out.WriteByte(']')
	case map[string]any:
		out.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				out.WriteString(", ")
			}
			if len(k) > maxKey {
				return fmt.Errorf("the name %.40q… has more than %d bytes", k, maxKey)
			}
			quote(out, k)
			out.WriteString(": ")
			if err := appendValue(out, v[k]); err != nil {
				return err
			}
		}
		out.WriteByte('}')
	}
	return nil
}

// number writes a number as YAML 1.1 reads one: a fraction has a point, an exponent a sign.
func number(s string) (string, error) {
	if !strings.ContainsAny(s, ".eE") {
		return s, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return "", fmt.Errorf("the number %s is out of range", s)
	}
	t := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(t, "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	return mantissa + "e" + exponent, nil
}

// quote writes text in double quotes. What YAML takes for no character is escaped.
func quote(out *bytes.Buffer, s string) {
	out.WriteByte('"')
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		switch {
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case r >= ' ' && r < 0x7f:
			out.WriteRune(r)
		case r <= 0xff:
			fmt.Fprintf(out, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(out, `\u%04x`, r)
		default:
			fmt.Fprintf(out, `\U%08x`, r)
		}
	}
	out.WriteByte('"')
}
