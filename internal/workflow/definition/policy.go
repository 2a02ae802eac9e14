package definition

import (
	"strconv"
	"strings"
	"time"

	"tutti/api"
	"tutti/internal/workflow/dag"
)

// duration reads a value of that form; the schema tells of other forms.
func (c *compiler) duration(ptr string, v any) time.Duration {
	s, ok := v.(string)
	if !ok {
		return 0
	}
	d, err := api.ParseDuration(s)
	if err != nil && wellFormed(s) {
		c.fail(ptr, strconv.Quote(s)+" is longer than a hundred years", "")
	}
	return d
}

// wellFormed says that s has the form of a duration, whatever its length.
func wellFormed(s string) bool {
	return strings.Trim(s, "0123456789mshd") == "" && s != "" && s[0] >= '0' && s[0] <= '9' && strings.ContainsAny(s[len(s)-1:], "smhd")
}

func amount(v any) dag.Amount {
	switch v := v.(type) {
	case float64:
		return dag.Amount{N: int(v)}
	case string:
		n, err := strconv.Atoi(strings.TrimSuffix(v, "%"))
		if err == nil {
			return dag.Amount{N: n, Percent: true}
		}
	}
	return dag.Amount{}
}

// retry reads a policy of retries; none, or no attempts, is nil.
func (c *compiler) retry(ptr string, v any, p place) *dag.Retry {
	raw, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	r := &dag.Retry{Wait: time.Second, Factor: 1}
	if n, ok := raw["max"].(float64); ok {
		r.Max = int(n)
	}
	if _, ok := raw["wait"]; ok {
		r.Wait = c.duration(ptr+"/wait", raw["wait"])
	}
	if f, ok := raw["factor"].(float64); ok {
		r.Factor = f
	}
	r.Cap = c.duration(ptr+"/cap", raw["cap"])
	if f, ok := raw["jitter"].(float64); ok {
		r.Jitter = f
	}
	r.If = c.program(ptr+"/if", raw["if"], p)
	if r.Max == 0 {
		return nil
	}
	return r
}

func (c *compiler) limit(ptr string, v any, p place) *dag.Limit {
	raw, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	l := &dag.Limit{Max: 1, WhenFull: "queue"}
	if key, ok := raw["key"].(string); ok {
		l.Key, _ = c.template(ptr+"/key", key, p)
	}
	if n, ok := raw["max"].(float64); ok {
		l.Max = int(n)
	}
	if s, ok := raw["whenFull"].(string); ok {
		l.WhenFull = s
	}
	l.Hold, _ = raw["hold"].(bool)
	return l
}
