package rollouts

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tutti/api"
	"tutti/rollout"
)

// bound is a comparison with a number, such as < 0.01.
type bound struct {
	op string
	n  float64
}

// parseBound reads "< 0.01". The empty text is a bound that nothing meets.
func parseBound(text string) (bound, error) {
	if text == "" {
		return bound{}, nil
	}
	op := strings.TrimRight(text, " +-.0123456789eE")
	n, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimPrefix(text, op)), 64)
	switch op {
	case "<", "<=", ">", ">=", "==", "!=":
	default:
		err = fmt.Errorf("no comparison")
	}
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return bound{}, fmt.Errorf("%q is not a comparison with a number, such as < 0.01", text)
	}
	return bound{op, n}, nil
}

func (b bound) meets(v float64) bool {
	switch b.op {
	case "<":
		return v < b.n
	case "<=":
		return v <= b.n
	case ">":
		return v > b.n
	case ">=":
		return v >= b.n
	case "==":
		return v == b.n
	case "!=":
		return v != b.n
	}
	return false
}

// judge returns what a number means for a gate.
func judge(q api.RolloutQuery, v float64) (rollout.Result, string) {
	detail := fmt.Sprintf("%v", v)
	pass, err := parseBound(q.Pass)
	fails, err2 := parseBound(q.Fail)
	switch {
	case err != nil || err2 != nil || math.IsNaN(v):
		return rollout.Undecided, detail + " is no number to compare"
	case pass.meets(v):
		return rollout.Pass, detail + ", passes when " + q.Pass
	case q.Fail == "":
		return rollout.Fail, detail + ", passes when " + q.Pass
	case fails.meets(v):
		return rollout.Fail, detail + ", fails when " + q.Fail
	}
	return rollout.Undecided, detail + ", neither " + q.Pass + " nor " + q.Fail
}

// sample is the answer of a Prometheus server to an instant query.
type sample struct {
	Status string `json:"status"`
	Error  string `json:"error"`
	Data   struct {
		Type   string          `json:"resultType"`
		Result json.RawMessage `json:"result"`
	} `json:"data"`
}

// number returns the one number of the answer.
func (s sample) number() (float64, error) {
	if s.Status != "success" {
		return 0, failed(failAnswer, "the query failed: %.200s", s.Error)
	}
	var point [2]any
	var err error
	switch s.Data.Type {
	case "scalar":
		err = json.Unmarshal(s.Data.Result, &point)
	case "vector":
		var series []struct {
			Value [2]any `json:"value"`
		}
		if err = json.Unmarshal(s.Data.Result, &series); err == nil && len(series) != 1 {
			return 0, failed(failAnswer, "the query gives %d series, not one", len(series))
		}
		if err == nil {
			point = series[0].Value
		}
	default:
		return 0, failed(failAnswer, "the query gives a %.20q, not a scalar or one series", s.Data.Type)
	}
	text, isText := point[1].(string)
	if err != nil || !isText {
		return 0, failed(failAnswer, "the answer has no value")
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, failed(failAnswer, "%.40q is no number", text)
	}
	return v, nil
}

// query asks a Prometheus server.
func (c *caller) query(ctx context.Context, key rollout.Key, q api.RolloutQuery, version string) (rollout.Result, string, error) {
	u, err := url.Parse(q.URL)
	if err != nil {
		return 0, "", failed(failAnswer, "the URL cannot be called")
	}
	u = u.JoinPath("api/v1/query")
	text := strings.NewReplacer("{version}", quoted(version), "{entity}", quoted(key.Entity)).Replace(q.Query)
	values := u.Query()
	values.Set("query", text)
	u.RawQuery = values.Encode()
	var s sample
	call := api.RolloutCall{URL: u.String(), Timeout: q.Timeout, Secret: q.Secret}
	if err := c.exchange(ctx, key.Namespace, call, http.MethodGet, nil, &s); err != nil {
		return 0, "", err
	}
	v, err := s.number()
	if err != nil {
		return 0, "", err
	}
	result, detail := judge(q, v)
	return result, detail, nil
}

// quoted makes text safe between the quotes of a query's string.
func quoted(text string) string {
	q := strconv.Quote(text)
	return strings.ReplaceAll(q[1:len(q)-1], "'", `\'`)
}

// answer asks a monitor. What it fails to find out is unknown, with why.
func (c *caller) answer(ctx context.Context, key rollout.Key, m api.RolloutMonitor, version string, targets []hookTarget) (rollout.Result, string, error) {
	if m.Prometheus != nil {
		return c.query(ctx, key, *m.Prometheus, version)
	}
	var v verdictOf
	if err := c.post(ctx, key.Namespace, *m.HTTP, map[string]any{"targets": targets}, &v); err != nil {
		return 0, "", err
	}
	ok, err := v.ok()
	switch {
	case err != nil:
		return 0, "", err
	case ok:
		return rollout.Pass, v.Message, nil
	}
	return rollout.Fail, v.said(), nil
}

// every is how often a monitor is asked at most.
func every(m api.RolloutMonitor) time.Duration {
	if m.Every > 0 {
		return time.Duration(m.Every)
	}
	return monitorEvery
}
