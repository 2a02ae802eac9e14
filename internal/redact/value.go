package redact

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// Value returns v, a value of JSON, with secrets replaced in all strings and in the names of
// members; a number that contains a secret becomes a string. v is not changed. Other Go
// types are turned into JSON first; what cannot be becomes Mask.
func (r *Redactor) Value(v any) any {
	switch v := v.(type) {
	case nil, bool:
		return v
	case string:
		return r.String(v)
	case map[string]any:
		if v == nil {
			return v
		}
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[r.String(k)] = r.Value(e)
		}
		return out
	case []any:
		if v == nil {
			return v
		}
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = r.Value(e)
		}
		return out
	case json.Number:
		return number(r, v, string(v))
	case int:
		return number(r, v, strconv.Itoa(v))
	case int64:
		return number(r, v, strconv.FormatInt(v, 10))
	case float64:
		return number(r, v, strconv.FormatFloat(v, 'f', -1, 64))
	default:
		return r.other(v)
	}
}

func number(r *Redactor, v any, text string) any {
	if masked := r.String(text); masked != text {
		return masked
	}
	return v
}

func (r *Redactor) other(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return Mask
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var plain any
	if err := d.Decode(&plain); err != nil {
		return Mask
	}
	return r.Value(plain)
}
