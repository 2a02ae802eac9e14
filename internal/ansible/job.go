package ansible

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"tutti/errs"
)

const (
	maxFiles   = 2000
	maxProject = 32 << 20 // bytes in all
)

var envForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Validate returns what is wrong with a job before anything is done with it, for every driver.
func (j Job) Validate() error {
	var r report
	if j.Limit != "" && !limitForm.MatchString(j.Limit) {
		r.add("limit", "write names of hosts and groups with , : & ! and *", "%.200q is no pattern of hosts", j.Limit)
	}
	for at, tags := range map[string][]string{"tags": j.Tags, "skipTags": j.SkipTags} {
		for _, t := range tags {
			if !tagForm.MatchString(t) {
				r.add(at, "use letters, digits, _ and -", "%.80q is no tag", t)
			}
		}
	}
	var discard bytes.Buffer
	r.vars(&discard, "variables", j.Vars)
	for _, name := range sorted(j.Secrets) {
		if _, twice := j.Vars[name]; twice || !nameForm.MatchString(name) || steering[name] || strings.HasPrefix(name, "tutti_") {
			r.add("secrets", "each variable is given once, by a name of letters, digits and _", "%.80q cannot be a secret variable here", name)
		}
	}
	for _, name := range sorted(j.Environment) {
		if !envForm.MatchString(name) || steersProgram(name) || strings.ContainsRune(j.Environment[name], 0) {
			r.add("environment", "PATH, LD_…, PYTHON… and what says where Ansible finds its configuration, callbacks and SSH are for the driver to set", "%.80q cannot be set", name)
		}
	}
	return r.failure("the job is not valid")
}

// steersProgram reports whether a variable of the environment is the driver's.
func steersProgram(name string) bool {
	if !strings.HasPrefix(name, "ANSIBLE_") {
		return name == "PATH" || name == "HOME" || name == "TMPDIR" || strings.HasPrefix(name, "LD_") || strings.HasPrefix(name, "PYTHON") || strings.HasPrefix(name, "TUTTI_")
	}
	for _, part := range []string{"CONFIG", "CALLBACK", "HOST_KEY", "SSH_", "SCP_", "SFTP_", "PRIVATE_KEY", "INVENTORY", "LOCAL_TEMP", "HOME", "VAULT", "_PASSWORD_FILE", "EXECUTABLE", "RETRY_FILES"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// ValidateProject returns what is wrong with the files of a playbook.
func (j Job) ValidateProject() error {
	var r report
	if len(j.Project) > maxFiles {
		return errs.New(errs.TooLarge, "the project has %d files; at most %d are possible", len(j.Project), maxFiles)
	}
	total := 0
	for _, name := range sorted(j.Project) {
		total += len(j.Project[name])
		if !filepath.IsLocal(filepath.FromSlash(name)) || path.Clean(name) != name || strings.ContainsAny(name, "\\\x00") {
			r.add(fmt.Sprintf("%.200q", name), "write a relative path without ..", "not a name that a file of a project can have")
		}
	}
	if total > maxProject {
		return errs.New(errs.TooLarge, "the project has %d bytes; at most %d are possible", total, maxProject)
	}
	switch _, ok := j.Project[j.Playbook]; {
	case path.Ext(j.Playbook) != ".yml" && path.Ext(j.Playbook) != ".yaml":
		r.add("playbook", "name a file of YAML", "%.200q does not end in .yml or .yaml", j.Playbook)
	case !ok:
		r.add("playbook", "the project has "+cut(strings.Join(sorted(j.Project), ", "), 1000), "there is no %.200q in the project", j.Playbook)
	}
	return r.failure("the project is not valid")
}

// ExtraVars writes the extra variables as Ansible reads them with -e @FILE, with Tutti's own.
func (j Job) ExtraVars() ([]byte, error) {
	var r report
	var out bytes.Buffer
	all := Vars{}
	for name, v := range j.Vars {
		all[name] = v
	}
	for name, s := range j.Secrets {
		b, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		all[name] = b
	}
	r.vars(&out, "variables", all)
	if err := r.failure("the variables are not valid"); err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(out.Bytes(), []byte("}"))
	if len(all) > 0 {
		text = append(text, ", "...)
	}
	own := bytes.NewBuffer(text)
	for i, v := range j.tags() {
		if i > 0 {
			own.WriteString(", ")
		}
		quote(own, v[0])
		own.WriteString(": !unsafe ")
		quote(own, v[1])
	}
	own.WriteString("}\n")
	return own.Bytes(), nil
}

// The variables by which a job is known.
const (
	VarKey   = "tutti_key"
	VarTrace = "tutti_trace"
	VarRun   = "tutti_run"
	VarTask  = "tutti_task"
)

// KeyTag is the value of VarKey: the key's digest, since the key itself may tell more than it should.
func (j Job) KeyTag() string {
	sum := sha256.Sum256([]byte(j.Key))
	return hex.EncodeToString(sum[:12])
}

func (j Job) tags() [][2]string {
	return [][2]string{{VarKey, j.KeyTag()}, {VarRun, j.Run}, {VarTask, j.Task}, {VarTrace, j.Trace}}
}

// Inputs identifies what a job is asked for, but not under which key, and not whether it is a check.
func (j Job) Inputs(key []byte) (string, error) {
	inventory, err := j.Inventory.YAML()
	if err != nil {
		return "", err
	}
	b, err := json.Marshal([]any{j.Playbook, string(inventory), j.Environment, j.Secrets, j.Vars, j.Login.User, j.Login.BecomePassword, j.Limit, j.Tags, j.SkipTags, j.Template, j.InventoryName, j.Branch})
	if err != nil {
		return "", err
	}
	parts := []string{string(b)}
	for _, name := range sorted(j.Project) {
		parts = append(parts, name, string(j.Project[name]))
	}
	return mark(key, parts...), nil
}
