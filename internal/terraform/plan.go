package terraform

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	tfjson "github.com/hashicorp/terraform-json"
)

// Plan is what a run would do: a diff by resource and attribute.
type Plan struct {
	// Digest identifies the effects of the plan: two plans of one digest do the same. An approval is
	// bound to it.
	Digest string `json:"digest"`
	// HasChanges says that applying it does something.
	HasChanges bool `json:"has_changes"`
	// Fresh says that the workspace managed nothing before.
	Fresh   bool `json:"fresh"`
	Summary `json:"summary"`
	// Changes are by resource, in the order of their addresses; Drift is what changed in the world
	// since the last apply. Of very many the first are listed; the summary counts all.
	Changes []Change `json:"changes"`
	Drift   []Change `json:"drift,omitempty"`
	// Outputs are the outputs that change.
	Outputs []Attribute `json:"outputs,omitempty"`
	// Policies and Cost are what the place says of the plan, where it says something.
	Policies []Policy `json:"policies,omitempty"`
	Cost     *Cost    `json:"cost,omitempty"`
	// Cut says that not everything is listed.
	Cut bool `json:"cut,omitempty"`
}

// Summary counts resources. A replaced one is added and destroyed.
type Summary struct {
	Add     int `json:"add"`
	Change  int `json:"change"`
	Destroy int `json:"destroy"`
	Import  int `json:"import,omitempty"`
	// Drifted is how many changed in the world.
	Drifted int `json:"drifted,omitempty"`
}

// Change is what happens to a resource.
type Change struct {
	Address string `json:"address"`
	Type    string `json:"type"`
	// Action is create, update, replace, delete, read, forget or import.
	Action string `json:"action"`
	// Why says what forces it, in Terraform's words.
	Why        string      `json:"why,omitempty"`
	Attributes []Attribute `json:"attributes,omitempty"`
}

// Attribute is a value that changes. Before and After are absent where there is none, where it is not
// known yet, and where it is sensitive.
type Attribute struct {
	// Path is the attribute's, as disks[0].size.
	Path   string `json:"path"`
	Before any    `json:"before,omitempty"`
	After  any    `json:"after,omitempty"`
	// Unknown says that the value after is known only once it is applied.
	Unknown bool `json:"unknown,omitempty"`
	// Sensitive says that the values are kept from you.
	Sensitive bool `json:"sensitive,omitempty"`
	// Forces says that this attribute is why the resource is replaced.
	Forces bool `json:"forces,omitempty"`
}

// Policy is the verdict of a policy.
type Policy struct {
	Name string `json:"name"`
	// Result is passed, soft_failed, hard_failed or errored.
	Result string `json:"result"`
	Doc    string `json:"doc,omitempty"`
}

// Cost is an estimate per month, in the currency of the place.
type Cost struct {
	Before string `json:"before"`
	After  string `json:"after"`
	Delta  string `json:"delta"`
}

const (
	maxChanges    = 300
	maxAttributes = 60
	maxValue      = 1 << 10 // bytes of JSON
)

// ReadPlan reads what `show -json` says of a plan. key goes into the digest, so that nobody can find out
// what is sensitive by trying: plans compare only under one key.
func ReadPlan(raw, key []byte) (Plan, error) {
	var p tfjson.Plan
	if err := p.UnmarshalJSON(raw); err != nil {
		return Plan{}, fmt.Errorf("read the plan: %w", err)
	}
	out := Plan{Changes: []Change{}, Fresh: fresh(&p)}
	effects := map[string]any{}
	for _, rc := range p.ResourceChanges {
		if rc.Change == nil || rc.Mode == tfjson.DataResourceMode {
			continue
		}
		c := rc.Change
		if c.Actions.NoOp() && c.Importing == nil && rc.PreviousAddress == "" {
			continue
		}
		out.count(c)
		effects[rc.Address+"\x00"+rc.DeposedKey] = []any{c.Actions, c.Before, c.After, c.AfterUnknown, rc.PreviousAddress, c.Importing}
		out.add(&out.Changes, rc)
	}
	for _, rc := range p.ResourceDrift {
		if rc.Change != nil && !rc.Change.Actions.NoOp() {
			out.Drifted++
			out.add(&out.Drift, rc)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.OutputChanges)) {
		if c := p.OutputChanges[name]; c != nil && !c.Actions.NoOp() {
			effects["output\x00"+name] = []any{c.Actions, c.Before, c.After, c.AfterUnknown}
			out.Outputs = append(out.Outputs, diff(name, c.Before, c.After, c.AfterUnknown, either(c.BeforeSensitive, c.AfterSensitive), nil)...)
		}
	}
	byAddress := func(a, b Change) int { return cmpText(a.Address, b.Address) }
	slices.SortStableFunc(out.Changes, byAddress)
	slices.SortStableFunc(out.Drift, byAddress)
	out.HasChanges = len(effects) > 0
	var err error
	out.Digest, err = digest(effects, key)
	return out, err
}

func cmpText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// digest identifies effects. JSON of Go has one form for one value: maps are sorted.
func digest(effects map[string]any, key []byte) (string, error) {
	b, err := json.Marshal(effects)
	if err != nil {
		return "", fmt.Errorf("digest of the plan: %w", err)
	}
	h := hmac.New(sha256.New, key)
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// fresh reports whether nothing was managed before.
func fresh(p *tfjson.Plan) bool {
	var managed func(m *tfjson.StateModule) bool
	managed = func(m *tfjson.StateModule) bool {
		if m == nil {
			return false
		}
		return slices.ContainsFunc(m.Resources, func(r *tfjson.StateResource) bool { return r.Mode == tfjson.ManagedResourceMode }) ||
			slices.ContainsFunc(m.ChildModules, managed)
	}
	return p.PriorState == nil || p.PriorState.Values == nil || !managed(p.PriorState.Values.RootModule)
}

func (p *Plan) count(c *tfjson.Change) {
	switch a := c.Actions; {
	case a.Replace():
		p.Add++
		p.Destroy++
	case a.Create():
		p.Add++
	case a.Update():
		p.Change++
	case a.Delete():
		p.Destroy++
	}
	if c.Importing != nil {
		p.Import++
	}
}

func (p *Plan) add(to *[]Change, rc *tfjson.ResourceChange) {
	if len(*to) >= maxChanges {
		p.Cut = true
		return
	}
	c := rc.Change
	out := Change{Address: rc.Address, Type: rc.Type, Action: action(c), Why: string(rc.ActionReason)}
	forced := map[string]bool{}
	for _, path := range c.ReplacePaths {
		if elements, ok := path.([]any); ok {
			forced[join(elements)] = true
		}
	}
	out.Attributes = diff("", c.Before, c.After, c.AfterUnknown, either(c.BeforeSensitive, c.AfterSensitive), forced)
	if len(out.Attributes) > maxAttributes {
		out.Attributes, p.Cut = out.Attributes[:maxAttributes], true
	}
	*to = append(*to, out)
}

func action(c *tfjson.Change) string {
	switch a := c.Actions; {
	case a.Replace():
		return "replace"
	case a.Create():
		return "create"
	case a.Update():
		return "update"
	case a.Delete():
		return "delete"
	case a.Read():
		return "read"
	case a.Forget():
		return "forget"
	case c.Importing != nil:
		return "import"
	}
	return "move"
}

// join writes the path of an attribute.
func join(elements []any) string {
	path := ""
	for _, e := range elements {
		switch e := e.(type) {
		case string:
			path = below(path, e)
		case float64:
			path += "[" + strconv.Itoa(int(e)) + "]"
		case json.Number:
			path += "[" + e.String() + "]"
		}
	}
	return path
}

func below(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// either merges two masks of what is sensitive: true, or a mask by element.
func either(a, b any) any {
	if a == true || b == true {
		return true
	}
	switch x := a.(type) {
	case map[string]any:
		y, _ := b.(map[string]any)
		out := maps.Clone(x)
		for k, v := range y {
			out[k] = either(out[k], v)
		}
		return out
	case []any:
		y, _ := b.([]any)
		out := slices.Clone(x)
		for i, v := range y {
			if i < len(out) {
				out[i] = either(out[i], v)
			} else {
				out = append(out, v)
			}
		}
		return out
	}
	if b != nil {
		return b
	}
	return a
}

// diff lists what is different between before and after, leaf by leaf, in the order of the names.
func diff(path string, before, after, unknown, sensitive any, forced map[string]bool) []Attribute {
	same := reflect.DeepEqual(before, after)
	switch {
	case sensitive == true && (!same || holds(unknown)):
		return []Attribute{{Path: path, Sensitive: true, Unknown: holds(unknown), Forces: forced[path]}}
	case unknown == true:
		return []Attribute{{Path: path, Before: short(before), Unknown: true, Forces: forced[path]}}
	case same && !holds(unknown):
		return nil
	}
	if x, y, ok := both[map[string]any](before, after); ok {
		return inside(path, x, y, unknown, sensitive, forced)
	}
	if x, y, ok := both[[]any](before, after); ok {
		return along(path, x, y, unknown, sensitive, forced)
	}
	if holds(sensitive) { // a part of it is; nobody can tell which
		return []Attribute{{Path: path, Sensitive: true, Forces: forced[path]}}
	}
	return []Attribute{{Path: path, Before: short(before), After: short(after), Forces: forced[path]}}
}

// both reports whether both values are a T, or one is and the other is nothing.
func both[T any](a, b any) (x, y T, ok bool) {
	x, isA := a.(T)
	y, isB := b.(T)
	return x, y, (isA || a == nil) && (isB || b == nil) && (isA || isB)
}

func inside(path string, before, after map[string]any, unknown, sensitive any, forced map[string]bool) (out []Attribute) {
	u, _ := unknown.(map[string]any)
	s, _ := sensitive.(map[string]any)
	names := maps.Clone(before)
	if names == nil {
		names = map[string]any{}
	}
	maps.Copy(names, after)
	maps.Copy(names, u)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		out = append(out, diff(below(path, name), before[name], after[name], u[name], s[name], forced)...)
	}
	return out
}

func along(path string, before, after []any, unknown, sensitive any, forced map[string]bool) (out []Attribute) {
	u, _ := unknown.([]any)
	s, _ := sensitive.([]any)
	at := func(l []any, i int) any {
		if i < len(l) {
			return l[i]
		}
		return nil
	}
	for i := range max(len(before), len(after), len(u)) {
		out = append(out, diff(path+"["+strconv.Itoa(i)+"]", at(before, i), at(after, i), at(u, i), at(s, i), forced)...)
	}
	return out
}

// holds reports whether a mask marks anything.
func holds(mask any) bool {
	switch m := mask.(type) {
	case bool:
		return m
	case map[string]any:
		for _, v := range m {
			if holds(v) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(m, holds)
	}
	return false
}

// short returns a value, or the beginning of one that is too long to be shown.
func short(v any) any {
	b, err := json.Marshal(v)
	if err != nil || len(b) <= maxValue {
		return v
	}
	return string(bytes.ToValidUTF8(b[:maxValue], nil)) + "…"
}
