package terraformtask

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"tutti/errs"
	"tutti/internal/task"
	"tutti/internal/terraform"
	"tutti/sdk"
)

// Making says of what a configuration is made.
type Making struct {
	task.Repository
	File    string                     `json:"file" doc:"Path of the resource's file: JSON in the common format" minLength:"1" maxLength:"1024"`
	Module  Module                     `json:"module" doc:"The Terraform module that makes such a resource"`
	From    map[string]string          `json:"from,omitempty" doc:"Where in the resource the values of the module's variables are, such as placement.cluster; others come from the field of their name" maxProperties:"500"`
	Values  map[string]json.RawMessage `json:"values,omitempty" doc:"Variables given directly; they go before what the resource has" maxProperties:"500"`
	Outside []string                   `json:"outside,omitempty" doc:"Variables whose values are not in files: secrets, which terraform.variables sets" maxItems:"200"`
}

// Module is a folder of Terraform files.
type Module struct {
	Path       string            `json:"path,omitempty" doc:"Folder in the repository; by default its top" maxLength:"1024"`
	Repository *task.Repository  `json:"repository,omitempty" doc:"Where the module is; by default where the resource is, at the same commit"`
	Files      map[string]string `json:"files,omitempty" doc:"The module's files by path, instead of a folder" maxProperties:"200"`
}

var envForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// list returns the variables, sorted by kind and name.
func (v Variables) list() (out []terraform.Variable, err error) {
	for _, name := range slices.Sorted(maps.Keys(v.Variables)) {
		if _, twice := v.Secrets[name]; twice {
			return nil, errs.New(errs.Invalid, "%q is both in with.variables and in with.secrets", name)
		}
		out = append(out, terraform.Variable{Name: name, Value: v.Variables[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(v.Secrets)) {
		b, err := json.Marshal(v.Secrets[name])
		if err != nil {
			return nil, err
		}
		out = append(out, terraform.Variable{Name: name, Value: b, Sensitive: true})
	}
	for _, name := range slices.Sorted(maps.Keys(v.Environment)) {
		// What steers the program itself is the driver's.
		if !envForm.MatchString(name) || strings.HasPrefix(name, "TF_") && !strings.HasPrefix(name, "TF_VAR_") || name == "PATH" || strings.HasPrefix(name, "LD_") {
			return nil, errs.New(errs.Invalid, "with.environment has the name %.80q", name).WithHint("PATH, LD_… and TF_… are for the driver to set")
		}
		b, err := json.Marshal(v.Environment[name])
		if err != nil {
			return nil, err
		}
		out = append(out, terraform.Variable{Name: name, Value: b, Env: true, Sensitive: true})
	}
	return out, nil
}

// configuration returns the files of a configuration.
func (d Deps) configuration(ctx context.Context, t *sdk.Task, in Upload) (terraform.Config, error) {
	switch {
	case (in.Source == nil) == (len(in.Files) == 0):
		return terraform.Config{}, errs.New(errs.Invalid, "either with.files or with.source says what the configuration is")
	case in.Source != nil:
		return d.make(ctx, t, *in.Source)
	}
	c := terraform.Config{Files: bytesOf(in.Files)}
	return c, c.Check()
}

func bytesOf(files map[string]string) map[string][]byte {
	out := make(map[string][]byte, len(files))
	for name, text := range files {
		out[name] = []byte(text)
	}
	return out
}

// make reads a resource and its module, and makes a configuration of them.
func (d Deps) make(ctx context.Context, t *sdk.Task, m Making) (terraform.Config, error) {
	if len(m.Module.Files) > 0 && (m.Module.Repository != nil || m.Module.Path != "") {
		return terraform.Config{}, errs.New(errs.Invalid, "the module is given both as files and as a folder").WithHint("leave one of them out")
	}
	found, err := d.Source.Read(ctx, t, m.Repository, m.File)
	if err != nil {
		return terraform.Config{}, err
	}
	resource, ok := found[""]
	if !ok {
		return terraform.Config{}, errs.New(errs.Invalid, "with.file names a folder, %.200q", m.File).WithHint("name the resource's file in it")
	}
	module := bytesOf(m.Module.Files)
	if len(module) == 0 {
		from := m.Repository
		if m.Module.Repository != nil {
			from = *m.Module.Repository
		}
		if module, err = d.Source.Read(ctx, t, from, m.Module.Path); err != nil {
			return terraform.Config{}, err
		}
		if _, file := module[""]; file {
			return terraform.Config{}, errs.New(errs.Invalid, "with.module.path names a file, %.200q", m.Module.Path).WithHint("name the folder of the module")
		}
	}
	return terraform.Render(terraform.Build{Resource: resource, Module: module, From: m.From, Values: m.Values, Outside: m.Outside})
}
