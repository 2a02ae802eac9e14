package ansible

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"tutti/errs"
	"tutti/sdk"
)

// Vars are variables by name. The names are the author's; the values are data, which Ansible does not
// evaluate.
type Vars = map[string]json.RawMessage

// Inventory are hosts and groups of them.
type Inventory struct {
	Hosts  map[string]Vars  `json:"hosts,omitempty" doc:"Hosts by name, with their variables, such as ansible_host, ansible_port and ansible_user" maxProperties:"10000"`
	Groups map[string]Group `json:"groups,omitempty" doc:"Groups by name" maxProperties:"1000"`
	Vars   Vars             `json:"vars,omitempty" doc:"Variables of all hosts" maxProperties:"500"`
}

// Group is a group of hosts.
type Group struct {
	Hosts    []string `json:"hosts,omitempty" doc:"Names of hosts; those not listed above have no variables of their own" maxItems:"10000"`
	Children []string `json:"children,omitempty" doc:"Names of groups in it" maxItems:"1000"`
	Vars     Vars     `json:"vars,omitempty" doc:"Variables of its hosts" maxProperties:"500"`
}

var (
	// No colons and brackets: Ansible would read ports and ranges in them.
	hostForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$`)
	groupForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,99}$`)
	nameForm  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,199}$`)
	limitForm = regexp.MustCompile(`^[A-Za-z0-9*!&_][A-Za-z0-9*!&_.,:-]*$`)
	tagForm   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:-]*$`)
)

// steering are variables that make ssh run other programs on the server's machine, or take its eyes off
// the host's key: Login says these things.
var steering = map[string]bool{
	"ansible_ssh_args": true, "ansible_ssh_common_args": true, "ansible_ssh_extra_args": true, "ansible_scp_extra_args": true, "ansible_sftp_extra_args": true,
	"ansible_ssh_executable": true, "ansible_scp_executable": true, "ansible_sftp_executable": true, "ansible_sshpass_prompt": true,
	"ansible_host_key_checking": true, "ansible_ssh_host_key_checking": true, "ansible_paramiko_host_key_checking": true, "ansible_paramiko_proxy_command": true,
	"ansible_private_key_file": true, "ansible_ssh_private_key_file": true, "ansible_control_path": true, "ansible_control_path_dir": true, "ansible_become_exe": true,
}

// report collects what is wrong.
type report struct{ bad []errs.Problem }

func (r *report) add(at, hint, format string, args ...any) {
	r.bad = append(r.bad, errs.Problem{Location: at, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// failure is of type FailConfig; nil where nothing is wrong.
func (r *report) failure(what string) error {
	if len(r.bad) == 0 {
		return nil
	}
	return sdk.Fail(FailConfig, "%s: %s: %s", what, r.bad[0].Location, r.bad[0].Message).WithDetails(map[string]any{"problems": r.bad}).WithHint("%s", r.bad[0].Hint)
}

// vars writes variables as an object of YAML.
func (r *report) vars(out *bytes.Buffer, at string, v Vars) {
	out.WriteByte('{')
	for i, name := range sorted(v) {
		switch {
		case steering[name]:
			r.add(at+"."+name, "with.login says how hosts are reached", "it steers the program on the server's machine")
		case !nameForm.MatchString(name) || strings.HasPrefix(name, "tutti_"):
			r.add(at, "use letters, digits and _; tutti_… are Tutti's", "%.80q is no name for a variable", name)
		}
		if i > 0 {
			out.WriteString(", ")
		}
		quote(out, name)
		out.WriteString(": ")
		if err := appendYAML(out, v[name]); err != nil {
			r.add(at+"."+name, "give a JSON value", "%v", err)
		}
	}
	out.WriteByte('}')
}

// YAML writes the inventory as Ansible's plugin yaml reads it. The same inventory gives the same bytes. The
// error is of type FailConfig, with all that is wrong.
func (v Inventory) YAML() ([]byte, error) {
	var r report
	var out bytes.Buffer
	hosts := maps.Clone(v.Hosts)
	if hosts == nil {
		hosts = map[string]Vars{}
	}
	for _, name := range sorted(v.Groups) {
		for _, h := range v.Groups[name].Hosts {
			if _, ok := hosts[h]; !ok {
				hosts[h] = nil
			}
		}
	}
	out.WriteString("all:\n  vars: ")
	r.vars(&out, "inventory.vars", v.Vars)
	out.WriteString("\n  hosts: {")
	for i, name := range sorted(hosts) {
		if !hostForm.MatchString(name) {
			r.add("inventory.hosts", "use letters, digits, -, _ and .; an address of IPv6 goes into ansible_host", "%.80q is no name for a host", name)
		}
		if i > 0 {
			out.WriteString(",")
		}
		out.WriteString("\n    ")
		quote(&out, name)
		out.WriteString(": ")
		r.vars(&out, "inventory.hosts."+name, hosts[name])
	}
	out.WriteString("}\n  children: {")
	for i, name := range sorted(v.Groups) {
		if i > 0 {
			out.WriteString(",")
		}
		out.WriteString("\n    ")
		quote(&out, name)
		out.WriteString(": ")
		v.group(&r, &out, name)
	}
	out.WriteString("}\n")
	return out.Bytes(), r.failure("the inventory is not valid")
}

// Names returns the names of all hosts, sorted.
func (v Inventory) Names() []string {
	names := sorted(v.Hosts)
	for _, g := range v.Groups {
		names = append(names, g.Hosts...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (v Inventory) group(r *report, out *bytes.Buffer, name string) {
	at, g := "inventory.groups."+name, v.Groups[name]
	if !groupForm.MatchString(name) || name == "all" || name == "ungrouped" {
		r.add("inventory.groups", "use letters, digits and _; all and ungrouped are Ansible's", "%.80q is no name for a group", name)
	}
	out.WriteString("{hosts: {")
	for i, h := range slices.Compact(slices.Sorted(slices.Values(g.Hosts))) {
		if i > 0 {
			out.WriteString(", ")
		}
		quote(out, h)
		out.WriteString(": {}")
	}
	out.WriteString("}, children: {")
	for i, c := range slices.Compact(slices.Sorted(slices.Values(g.Children))) {
		if _, ok := v.Groups[c]; !ok {
			r.add(at+".children", "list it under groups", "there is no group %.80q", c)
		}
		if i > 0 {
			out.WriteString(", ")
		}
		quote(out, c)
		out.WriteString(": {}")
	}
	out.WriteString("}, vars: ")
	r.vars(out, at+".vars", g.Vars)
	out.WriteString("}")
}

// FromResources says how resources become hosts.
type FromResources struct {
	Group   string            `json:"group,omitempty" doc:"Group of these hosts; by default resources" maxLength:"100"`
	Name    string            `json:"name,omitempty" doc:"Where in a resource the host's name is; by default name" maxLength:"500"`
	Address string            `json:"address,omitempty" doc:"Where in a resource the address is (ansible_host); without it the name is the address" maxLength:"500"`
	Port    string            `json:"port,omitempty" doc:"Where in a resource the port is (ansible_port)" maxLength:"500"`
	From    map[string]string `json:"from,omitempty" doc:"Variables of the host, by where in the resource they are, such as placement.cluster; the variable resource is the whole" maxProperties:"200"`
}

// With returns the inventory with a host for each resource, and their group. files are the resources in
// the common format by path; what is no .json is left out. The error is of type FailConfig.
func (v Inventory) With(files map[string][]byte, f FromResources) (Inventory, error) {
	var r report
	hosts := maps.Clone(v.Hosts)
	if hosts == nil {
		hosts = map[string]Vars{}
	}
	group := f.Group
	if group == "" {
		group = "resources"
	}
	var members []string
	for _, file := range sorted(files) {
		if file != "" && path.Ext(file) != ".json" {
			continue
		}
		name, vars := f.host(&r, file, files[file])
		if name == "" {
			continue
		}
		if _, twice := hosts[name]; twice {
			r.add(file, "names of hosts are unique", "there are two hosts %q", name)
		}
		hosts[name], members = vars, append(members, name)
	}
	if err := r.failure("the inventory cannot be made of the resources"); err != nil {
		return v, err
	}
	groups := maps.Clone(v.Groups)
	if groups == nil {
		groups = map[string]Group{}
	}
	g := groups[group]
	g.Hosts = slices.Concat(g.Hosts, members)
	groups[group] = g
	return Inventory{Hosts: hosts, Groups: groups, Vars: v.Vars}, nil
}

// host returns the name and the variables of the host that a resource is.
func (f FromResources) host(r *report, file string, text []byte) (name string, vars Vars) {
	var fields Vars
	if json.Unmarshal(text, &fields) != nil || fields == nil {
		r.add(file, "the common format is a JSON object", "the resource's file is no JSON object")
		return "", nil
	}
	at := f.Name
	if at == "" {
		at = "name"
	}
	raw, _ := Dig(fields, at)
	if json.Unmarshal(raw, &name) != nil || !hostForm.MatchString(name) {
		r.add(file, "with name say where the resource has the host's name", "the resource has no name for a host at %s", at)
		return "", nil
	}
	vars = Vars{"resource": text}
	take := func(variable, from string) {
		if from == "" {
			return
		}
		v, ok := Dig(fields, from)
		if !ok {
			r.add(file, "the resource has "+strings.Join(sorted(fields), ", "), "the resource has nothing at %s", from)
			return
		}
		vars[variable] = v
	}
	take("ansible_host", f.Address)
	take("ansible_port", f.Port)
	for _, variable := range sorted(f.From) {
		if strings.HasPrefix(variable, "ansible_") {
			r.add("from."+variable, "a resource's content does not say how hosts are reached; address and port do", "%s is Ansible's own", variable)
			continue
		}
		take(variable, f.From[variable])
	}
	return name, vars
}

// Dig returns the value at a path of names, as placement.cluster.
func Dig(fields Vars, from string) (json.RawMessage, bool) {
	first, rest, deeper := strings.Cut(from, ".")
	v, ok := fields[first]
	if !ok || !deeper {
		return v, ok
	}
	var inner Vars
	if json.Unmarshal(v, &inner) != nil {
		return nil, false
	}
	return Dig(inner, rest)
}
