package document

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// finding is one thing wrong with a value, in words.
type finding struct {
	at      []string // instance location
	key     bool     // the key there is wrong, not its value
	message string
	hint    string
}

// findings validates v and translates what the library finds, in the order of the places.
func findings(schema *jsonschema.Schema, v any, holes ...string) []finding {
	err := schema.Validate(v)
	if err == nil {
		return nil
	}
	ve, ok := err.(*jsonschema.ValidationError)
	if !ok {
		return []finding{{message: err.Error()}}
	}
	slices.Sort(holes)
	t := translator{root: schema, holes: holes}
	t.walk(ve)
	t.sort()
	return t.found[:min(len(t.found), maxProblems)]
}

type translator struct {
	root    *jsonschema.Schema
	schemas map[string]*jsonschema.Schema // by location, made when first asked for
	holes   []string                      // pointers of values that are not known yet, sorted
	found   []finding
}

// sort orders findings by place, and drops those that say the same twice.
func (t *translator) sort() {
	slices.SortStableFunc(t.found, func(a, b finding) int {
		if c := slices.CompareFunc(a.at, b.at, comparePart); c != 0 {
			return c
		}
		return strings.Compare(a.message, b.message)
	})
	t.found = slices.CompactFunc(t.found, func(a, b finding) bool {
		return slices.Equal(a.at, b.at) && a.message == b.message
	})
}

// comparePart orders the positions of lists as numbers.
func comparePart(a, b string) int {
	x, err := strconv.Atoi(a)
	y, err2 := strconv.Atoi(b)
	if err == nil && err2 == nil {
		return x - y
	}
	return strings.Compare(a, b)
}

func (t *translator) add(e *jsonschema.ValidationError, message, hint string) {
	t.found = append(t.found, finding{at: slices.Clone(e.InstanceLocation), message: message, hint: hint})
}

// name is how a message calls the value at e: its key, or its place in a list.
func name(e *jsonschema.ValidationError) string {
	at := e.InstanceLocation
	if len(at) == 0 {
		return "the value"
	}
	last := at[len(at)-1]
	if i, err := strconv.Atoi(last); err == nil {
		return "element " + strconv.Itoa(i+1)
	}
	return last
}

// walk translates the leaves of an error.
func (t *translator) walk(e *jsonschema.ValidationError) {
	if t.unknowable(e) {
		return
	}
	switch k := e.ErrorKind.(type) {
	case *kind.OneOf:
		t.oneOf(e, k)
		return
	case *kind.AnyOf:
		t.alternatives(e)
		return
	case *kind.PropertyNames:
		t.found = append(t.found, finding{at: append(slices.Clone(e.InstanceLocation), k.Property), key: true,
			message: strconv.Quote(k.Property) + " is not a valid key here", hint: t.keyHint(e)})
		return
	case *kind.Contains, *kind.MinContains:
		t.add(e, name(e)+" lacks an element that it must have", t.describe(e))
		return
	}
	if len(e.Causes) > 0 {
		for _, c := range e.Causes {
			t.walk(c)
		}
		return
	}
	t.leaf(e)
}

// unknowable says that an error may go away when the holes are filled.
func (t *translator) unknowable(e *jsonschema.ValidationError) bool {
	if len(t.holes) == 0 {
		return false
	}
	for i := range len(e.InstanceLocation) + 1 {
		if _, ok := slices.BinarySearch(t.holes, Pointer(e.InstanceLocation[:i]...)); ok {
			return true // the value itself, or one around it
		}
	}
	switch e.ErrorKind.(type) {
	case *kind.OneOf, *kind.AnyOf, *kind.Not, *kind.Contains, *kind.MinContains, *kind.MaxContains, *kind.Const, *kind.Enum, *kind.UniqueItems:
		below := Pointer(e.InstanceLocation...) + "/"
		i, _ := slices.BinarySearch(t.holes, below)
		return i < len(t.holes) && strings.HasPrefix(t.holes[i], below)
	}
	return false
}

func (t *translator) leaf(e *jsonschema.ValidationError) {
	n := name(e)
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, m := range k.Missing {
			t.add(e, strconv.Quote(m)+" is missing", t.propertyHint(e, m))
		}
	case *kind.DependentRequired:
		t.add(e, fmt.Sprintf("%q needs %s beside it", k.Prop, quoted(k.Missing)), "")
	case *kind.Dependency:
		t.add(e, fmt.Sprintf("%q needs %s beside it", k.Prop, quoted(k.Missing)), "")
	case *kind.AdditionalProperties:
		for _, p := range k.Properties {
			t.unknown(e, p)
		}
	case *kind.Type:
		hint := ""
		if slices.Contains(k.Want, "string") && (k.Got == "number" || k.Got == "boolean") {
			hint = "quote it"
		}
		got := Kinds([]string{k.Got})
		if k.Got == "number" && slices.Contains(k.Want, "integer") {
			got = "one with a fraction"
		}
		t.add(e, n+" must be "+Kinds(k.Want)+", got "+got, orElse(hint, t.describe(e)))
	case *kind.Enum:
		t.add(e, n+" must be one of "+values(k.Want)+", got "+describe(k.Got), orElse(didYouMean(k.Got, k.Want), t.describe(e)))
	case *kind.Const:
		t.add(e, n+" must be "+describe(k.Want)+", got "+describe(k.Got), "")
	case *kind.Pattern:
		hint := t.describe(e)
		if hint == "" {
			hint = "it must match " + k.Want
		}
		t.add(e, n+" has the wrong form: "+describe(k.Got), hint)
	case *kind.Format:
		t.add(e, n+" is not "+article(k.Want)+": "+describe(k.Got), t.describe(e))
	case *kind.FalseSchema:
		t.found = append(t.found, finding{at: slices.Clone(e.InstanceLocation), key: true, message: n + " is not allowed here"})
	case *kind.UniqueItems:
		t.add(e, fmt.Sprintf("%s has the same element twice, at %d and %d", n, k.Duplicates[0]+1, k.Duplicates[1]+1), "")
	default:
		t.bound(e, n)
	}
}

// bound translates the limits on numbers and sizes.
func (t *translator) bound(e *jsonschema.ValidationError, n string) {
	least, most := n+" must be at least ", n+" must be at most "
	say := func(format string, args ...any) { t.add(e, fmt.Sprintf(format, args...), t.describe(e)) }
	switch k := e.ErrorKind.(type) {
	case *kind.Minimum:
		say("%s%s, got %s", least, rat(k.Want), rat(k.Got))
	case *kind.Maximum:
		say("%s%s, got %s", most, rat(k.Want), rat(k.Got))
	case *kind.ExclusiveMinimum:
		say("%s must be more than %s, got %s", n, rat(k.Want), rat(k.Got))
	case *kind.ExclusiveMaximum:
		say("%s must be less than %s, got %s", n, rat(k.Want), rat(k.Got))
	case *kind.MultipleOf:
		say("%s must be a multiple of %s, got %s", n, rat(k.Want), rat(k.Got))
	case *kind.MinLength:
		if k.Got == 0 {
			say("%s is empty", n)
			return
		}
		say("%s%s long, got %d", least, plural(k.Want, "character"), k.Got)
	case *kind.MaxLength:
		say("%s%s long, got %d", most, plural(k.Want, "character"), k.Got)
	case *kind.MinItems:
		say("%s must have at least %s, got %d", n, plural(k.Want, "element"), k.Got)
	case *kind.MaxItems:
		say("%s must have at most %s, got %d", n, plural(k.Want, "element"), k.Got)
	case *kind.MinProperties:
		say("%s must have at least %s, got %d", n, plural(k.Want, "key"), k.Got)
	case *kind.MaxProperties:
		say("%s must have at most %s, got %d", n, plural(k.Want, "key"), k.Got)
	case *kind.AdditionalItems:
		say("%s has %s too many", n, plural(k.Count, "element"))
	case *kind.Not:
		say("%s is not allowed to be what it is", n)
	default:
		say("%s does not fit its schema", n)
	}
}

// oneOf tells that no alternative fits, or which exclude each other.
func (t *translator) oneOf(e *jsonschema.ValidationError, k *kind.OneOf) {
	if len(k.Subschemas) == 0 {
		t.alternatives(e)
		return
	}
	var keys []string
	if s := t.schema(e.SchemaURL); s != nil {
		for _, i := range k.Subschemas {
			if i < len(s.OneOf) {
				keys = append(keys, s.OneOf[i].Required...)
			}
		}
	}
	if len(keys) > 1 {
		t.add(e, quoted(keys)+" exclude each other", "give only one of them")
		return
	}
	t.add(e, name(e)+" fits more than one of the forms it may have", t.describe(e))
}

// alternatives chooses what to tell where none of several forms fits: the form that was meant, where
// the kind of the value shows it.
func (t *translator) alternatives(e *jsonschema.ValidationError) {
	var want, missing []string
	var meant []*jsonschema.ValidationError
	for _, c := range e.Causes {
		switch k := t.cause(c).ErrorKind.(type) {
		case *kind.Type:
			if len(t.cause(c).InstanceLocation) == len(e.InstanceLocation) {
				want = append(want, k.Want...)
				continue
			}
		case *kind.Required:
			if len(t.cause(c).InstanceLocation) == len(e.InstanceLocation) {
				missing = append(missing, k.Missing...)
			}
		}
		meant = append(meant, c)
	}
	switch {
	case len(meant) == 0 && len(want) > 0:
		got := t.cause(e.Causes[0]).ErrorKind.(*kind.Type).Got
		slices.Sort(want)
		t.add(e, name(e)+" must be "+Kinds(slices.Compact(want))+", got "+Kinds([]string{got}), t.describe(e))
	case len(meant) > 1 && len(missing) == len(meant):
		t.add(e, "one of "+quoted(missing)+" is missing", t.describe(e))
	case len(meant) == 0:
		t.add(e, name(e)+" does not fit any of the forms it may have", t.describe(e))
	default:
		best := meant[0]
		for _, c := range meant[1:] {
			if weight(c) < weight(best) {
				best = c
			}
		}
		t.walk(best)
	}
}

// cause descends to the one error behind references and groups of one.
func (t *translator) cause(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	for len(e.Causes) == 1 {
		switch e.ErrorKind.(type) {
		case *kind.Reference, *kind.Group, *kind.AllOf, *kind.Schema:
			e = e.Causes[0]
			continue
		}
		break
	}
	return e
}

// weight counts what is wrong in an alternative.
func weight(e *jsonschema.ValidationError) int {
	if len(e.Causes) == 0 {
		return 1
	}
	n := 0
	for _, c := range e.Causes {
		n += weight(c)
	}
	return n
}

// unknown tells of a key that the schema does not have.
func (t *translator) unknown(e *jsonschema.ValidationError, key string) {
	f := finding{at: append(slices.Clone(e.InstanceLocation), key), key: true, message: "unknown key " + strconv.Quote(key)}
	if s := t.schema(e.SchemaURL); s != nil {
		known := slices.Sorted(maps.Keys(s.Properties))
		switch near := Nearest(key, known); {
		case len(s.PatternProperties) > 0:
			f.message = strconv.Quote(key) + " is not a valid key here"
			for re, sub := range s.PatternProperties {
				f.hint = "it must match " + re.String()
				if sub.Comment != "" {
					f.hint = sub.Comment
				}
			}
		case near != "":
			f.hint = "did you mean " + near + "?"
		case len(known) > 0 && len(known) <= 20:
			f.hint = "known are " + strings.Join(known, ", ")
		}
	}
	t.found = append(t.found, f)
}

// schema returns the part of the schema at a location.
func (t *translator) schema(location string) *jsonschema.Schema {
	if t.root == nil {
		return nil
	}
	if t.schemas == nil {
		g := graph{ids: map[*jsonschema.Schema]int{}}
		g.add(t.root)
		t.schemas = make(map[string]*jsonschema.Schema, len(g.ids))
		for s := range g.ids {
			t.schemas[s.Location] = s
		}
	}
	return t.schemas[location]
}

// describe returns the description of the schema that failed.
func (t *translator) describe(e *jsonschema.ValidationError) string {
	if s := t.schema(e.SchemaURL); s != nil {
		return s.Description
	}
	return ""
}

func (t *translator) propertyHint(e *jsonschema.ValidationError, key string) string {
	if s := t.schema(e.SchemaURL); s != nil && s.Properties[key] != nil {
		p := s.Properties[key]
		for p.Description == "" && p.Ref != nil {
			p = p.Ref
		}
		return p.Description
	}
	return ""
}

func (t *translator) keyHint(e *jsonschema.ValidationError) string {
	if s := t.schema(e.SchemaURL); s != nil {
		if s.Description != "" {
			return s.Description
		}
		if s.Pattern != nil {
			return "it must match " + s.Pattern.String()
		}
	}
	return ""
}

// Kinds names JSON types in words: "text or a number".
func Kinds(types []string) string {
	words := map[string]string{"string": "text", "number": "a number", "integer": "a whole number",
		"boolean": "true or false", "array": "a list", "object": "an object", "null": "nothing"}
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = words[t]
	}
	return strings.Join(out, " or ")
}

// values lists what an enum allows.
func values(want []any) string {
	out := make([]string, 0, len(want))
	for _, w := range want[:min(len(want), 12)] {
		if s, ok := w.(string); ok {
			out = append(out, s)
			continue
		}
		out = append(out, describe(w))
	}
	if len(want) > 12 {
		out = append(out, "…")
	}
	return strings.Join(out, ", ")
}

func quoted(keys []string) string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = strconv.Quote(k)
	}
	return strings.Join(out, " and ")
}

func didYouMean(got any, want []any) string {
	s, ok := got.(string)
	if !ok {
		return ""
	}
	var known []string
	for _, w := range want {
		if k, ok := w.(string); ok {
			known = append(known, k)
		}
	}
	if near := Nearest(s, known); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}

func rat(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

func article(word string) string {
	if strings.ContainsRune("aeiou", rune(word[0])) {
		return "an " + word
	}
	return "a " + word
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Nearest returns the known word that a misspelt one is closest to, or "" where none is close. It is
// what "did you mean" offers everywhere.
func Nearest(word string, known []string) string {
	best, least := "", min(max(1, (len(word)+1)/3), len(word)-1)
	for _, k := range known {
		if d := distance(word, k, least); d <= least && (best == "" || d < least) {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to add, drop, change or swap to come from a to b; more than limit is
// told as limit+1.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit || len(a) > 256 {
		return limit + 1
	}
	prev2, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, prev[j]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev, row = prev, row, prev2
	}
	return prev[len(b)]
}
