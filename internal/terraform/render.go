package terraform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"tutti/errs"
)

// Build is what a configuration is made of.
type Build struct {
	// Resource is the resource in the common format, JSON of an object.
	Resource []byte
	// Module are the files of the module that makes it, by path below the module's folder.
	Module map[string][]byte
	// From says where in the resource the values of variables are, as placement.cluster. A variable it
	// does not name takes the field of its own name, and the variable "resource" the whole.
	From map[string]string
	// Values are variables given directly; they go before what the resource has.
	Values map[string]json.RawMessage
	// Outside are variables whose values do not go into files: secrets.
	Outside []string
}

// moduleDir is where the module lies in a rendered configuration, and moduleName what it is called.
const (
	moduleDir  = "module"
	moduleName = "resource"
	valuesFile = "tutti.auto.tfvars.json"
)

// Render makes a configuration: the module, a root that calls it with the resource's values as variables,
// and those values as plain JSON, which nothing evaluates. The outputs are the module's. The same Build
// gives the same bytes. The error is of type FailConfig, with all that is wrong.
func Render(b Build) (Config, error) {
	m, bad := inspect(b.Module)
	values, more := b.values(m)
	if err := invalid("the configuration cannot be made", append(bad, more...)); err != nil {
		return Config{}, err
	}
	c := Config{Files: map[string][]byte{}}
	for name, text := range b.Module {
		c.Files[path.Join(moduleDir, name)] = text
	}
	passed := slices.Concat(slices.Collect(maps.Keys(values)), b.Outside)
	slices.Sort(passed)
	c.Files["main.tf"] = rootOf(passed, m.outputs)
	c.Files["variables.tf"] = variablesOf(passed, b.Outside)
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(values); err != nil {
		return Config{}, fmt.Errorf("write %s: %w", valuesFile, err)
	}
	c.Files[valuesFile] = text.Bytes()
	return c, c.Check()
}

// module is what a module takes and gives.
type module struct {
	variables map[string]bool // whether it must be given
	outputs   map[string]bool // whether it is sensitive
}

// inspect reads the declarations of a module.
func inspect(files map[string][]byte) (m module, bad []errs.Problem) {
	m = module{map[string]bool{}, map[string]bool{}}
	p := hclparse.NewParser()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !isConfig(name) || strings.Contains(name, "/") {
			continue
		}
		f, diags := parseFile(p, path.Join(moduleDir, name), files[name])
		bad = append(bad, problems(diags)...)
		if f == nil {
			continue
		}
		content, _, _ := f.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
			{Type: "variable", LabelNames: []string{"name"}}, {Type: "output", LabelNames: []string{"name"}}}})
		for _, x := range content.Blocks {
			attrs, _, _ := x.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "default"}, {Name: "sensitive"}}})
			if x.Type == "variable" {
				m.variables[x.Labels[0]] = attrs.Attributes["default"] == nil
				continue
			}
			m.outputs[x.Labels[0]] = isTrue(attrs.Attributes["sensitive"])
		}
	}
	if len(bad) == 0 && len(m.variables)+len(m.outputs) == 0 && !slices.ContainsFunc(slices.Collect(maps.Keys(files)), isConfig) {
		bad = append(bad, errs.Problem{Location: "module", Message: "there is no .tf file in the module's folder", Hint: "check the path of the module and the commit"})
	}
	return m, bad
}

func isTrue(a *hcl.Attribute) bool {
	if a == nil {
		return false
	}
	v, diags := a.Expr.Value(nil)
	return !diags.HasErrors() && v.IsKnown() && !v.IsNull() && v.Type() == cty.Bool && v.True()
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// values returns what the variables of a module get.
func (b Build) values(m module) (map[string]json.RawMessage, []errs.Problem) {
	var bad []errs.Problem
	problem := func(at, hint, format string, args ...any) {
		bad = append(bad, errs.Problem{Location: at, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b.Resource, &fields); err != nil || fields == nil {
		problem("file", "the common format is a JSON object", "the resource's file is no JSON object")
		return nil, bad
	}
	for _, name := range slices.Sorted(maps.Keys(b.Values)) {
		if _, ok := m.variables[name]; !ok {
			problem("variables."+name, "the module has "+list(m.variables), "the module has no variable %q", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.From)) {
		if _, ok := m.variables[name]; !ok {
			problem("from."+name, "the module has "+list(m.variables), "the module has no variable %q", name)
		}
	}
	for _, name := range b.Outside {
		if _, ok := m.variables[name]; !ok {
			problem("variables."+name, "the module has "+list(m.variables), "the module has no variable %q", name)
		}
	}
	out := map[string]json.RawMessage{}
	for _, name := range slices.Sorted(maps.Keys(m.variables)) {
		v, ok := b.Values[name]
		from, mapped := b.From[name]
		switch {
		case !identifier.MatchString(name):
			problem("module", "rename it", "%.80q is no name for a variable", name)
		case ok:
		case slices.Contains(b.Outside, name):
			continue
		case mapped:
			if v, ok = dig(fields, from); !ok {
				problem("from."+name, "the resource has "+list(fields), "the resource has nothing at %s", from)
			}
		case name == moduleName:
			v, ok = b.Resource, true
		default:
			v, ok = fields[name]
		}
		if ok {
			out[name] = v
		} else if m.variables[name] && !mapped {
			problem("variables."+name, "give it in with.variables, or say in with.from where the resource has it", "the module needs %q, which the resource does not have", name)
		}
	}
	return out, bad
}

// dig returns the value at a path of names.
func dig(fields map[string]json.RawMessage, from string) (json.RawMessage, bool) {
	first, rest, deeper := strings.Cut(from, ".")
	v, ok := fields[first]
	if !ok || !deeper {
		return v, ok
	}
	var inner map[string]json.RawMessage
	if json.Unmarshal(v, &inner) != nil {
		return nil, false
	}
	return dig(inner, rest)
}

func list[V any](names map[string]V) string {
	if len(names) == 0 {
		return "none"
	}
	all := slices.Sorted(maps.Keys(names))
	if len(all) > 30 {
		all = append(all[:30], "…")
	}
	return strings.Join(all, ", ")
}

// rootOf writes the root module.
func rootOf(variables []string, outputs map[string]bool) []byte {
	f := hclwrite.NewEmptyFile()
	f.Body().AppendUnstructuredTokens(comment("Written by Tutti from the resource's file; changes here are lost."))
	call := f.Body().AppendNewBlock("module", []string{moduleName}).Body()
	call.SetAttributeValue("source", cty.StringVal("./"+moduleDir))
	for _, name := range variables {
		call.SetAttributeTraversal(name, hcl.Traversal{hcl.TraverseRoot{Name: "var"}, hcl.TraverseAttr{Name: name}})
	}
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		f.Body().AppendNewline()
		o := f.Body().AppendNewBlock("output", []string{name}).Body()
		o.SetAttributeTraversal("value", hcl.Traversal{hcl.TraverseRoot{Name: "module"}, hcl.TraverseAttr{Name: moduleName}, hcl.TraverseAttr{Name: name}})
		if outputs[name] {
			o.SetAttributeValue("sensitive", cty.True)
		}
	}
	return f.Bytes()
}

// variablesOf declares the variables; their types are for the module to say.
func variablesOf(variables, secret []string) []byte {
	f := hclwrite.NewEmptyFile()
	for i, name := range variables {
		if i > 0 {
			f.Body().AppendNewline()
		}
		v := f.Body().AppendNewBlock("variable", []string{name}).Body()
		if slices.Contains(secret, name) {
			v.SetAttributeValue("sensitive", cty.True)
		}
	}
	return f.Bytes()
}

func comment(text string) hclwrite.Tokens {
	return hclwrite.Tokens{{Type: 'C', Bytes: []byte("# " + text + "\n")}}
}
