// Package terraformtest is the suite that every driver of package terraform passes: Run. It works on
// the real program, with resources that need no provider.
package terraformtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"tutti/errs"
	"tutti/internal/terraform"
	"tutti/sdk"
)

// Program returns the path of tofu or terraform, or skips the test, loudly, where there is neither. `make
// tofu` builds one. TUTTI_TEST_REQUIRE makes it a failure.
func Program(t testing.TB) string {
	t.Helper()
	for _, p := range []string{os.Getenv("TUTTI_TEST_TERRAFORM"), "terraform", "tofu", Built("tofu")} {
		if p == "" {
			continue
		}
		if found, err := exec.LookPath(p); err == nil {
			return found
		}
	}
	Missing(t, "neither OpenTofu nor Terraform is here: make tofu builds OpenTofu")
	return ""
}

// Missing skips a test that cannot run here, or fails it where nothing may be skipped.
func Missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("TUTTI_TEST_REQUIRE") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// Built returns where `make tofu` puts what it builds.
func Built(name string) string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "tutti-tools", name)
}

// Mirror returns a CLI configuration file that has the providers of `make tofu` installed from their
// folder, or skips the test.
func Mirror(t testing.TB) string {
	t.Helper()
	mirror := Built("providers")
	if _, err := os.Stat(filepath.Join(mirror, "tutti.example")); err != nil {
		Missing(t, "the provider of the tests is not built: make tofu")
	}
	file := filepath.Join(t.TempDir(), "cli.tfrc")
	text := fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// patience bounds each wait.
const patience = 4 * time.Minute

// Run runs the suite. open returns a driver on a place of its own.
func Run(t *testing.T, open func(t *testing.T) terraform.Driver) {
	for name, f := range map[string]func(*testing.T, world){
		"life": life, "errors": broken, "stale": stale, "attach": attach, "cancel": cancelled, "half": half, "missing": missing, "trial": trial,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, world{open(t), "web-01"})
		})
	}
}

type world struct {
	terraform.Driver
	name string
}

// Config is a configuration of one file.
func Config(text string) terraform.Config {
	return terraform.Config{Files: map[string][]byte{"main.tf": []byte(text)}}
}

// ready makes the workspace with a configuration and returns the configuration's ID.
func (w world) ready(t *testing.T, c terraform.Config, vars ...terraform.Variable) string {
	t.Helper()
	if _, err := w.Ensure(t.Context(), w.name); err != nil {
		t.Fatalf("Ensure = %v", err)
	}
	if err := w.PutVariables(t.Context(), w.name, vars); err != nil {
		t.Fatalf("PutVariables = %v", err)
	}
	id, err := w.Upload(t.Context(), w.name, c)
	if err != nil {
		t.Fatalf("Upload = %v", err)
	}
	return id
}

func (w world) start(t *testing.T, config, key string) string {
	t.Helper()
	h, err := w.StartPlan(t.Context(), terraform.PlanIn{Workspace: w.name, Config: config, Key: key, Message: "test " + key, Owner: terraform.Owner{Run: "run_test", Task: key}})
	if err != nil {
		t.Fatalf("StartPlan = %v", err)
	}
	return h
}

func (w world) planned(t *testing.T, handle string) terraform.Plan {
	t.Helper()
	var log bytes.Buffer
	p, err := w.AwaitPlan(within(t), w.name, handle, &log)
	if err != nil {
		t.Fatalf("AwaitPlan = %v\n%s\n%s", err, details(err), &log)
	}
	return p
}

func details(err error) string {
	var f *sdk.TaskError
	if errors.As(err, &f) {
		return fmt.Sprintf("%s %v", f.Type, f.Details)
	}
	return ""
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func (w world) apply(t *testing.T, handle string) (terraform.Applied, error) {
	t.Helper()
	if err := w.StartApply(t.Context(), w.name, handle, "test"); err != nil {
		return terraform.Applied{}, err
	}
	var log bytes.Buffer
	a, err := w.AwaitApply(within(t), w.name, handle, &log)
	if err == nil && !strings.Contains(log.String(), "Apply complete") {
		t.Errorf("the log of the apply is %q; want it to end as Terraform's does", &log)
	}
	return a, err
}

// Fails checks that err is a failure of a type.
func Fails(t *testing.T, err error, typ string, retryable bool) sdk.TaskError {
	t.Helper()
	var f *sdk.TaskError
	if !errors.As(err, &f) {
		t.Fatalf("the error is %v; want a failure of type %s", err, typ)
	}
	if f.Type != typ || f.Retryable != retryable {
		t.Fatalf("the failure is %s (%s, retryable %t) %v; want %s, retryable %t", f.Type, f.Message, f.Retryable, f.Details, typ, retryable)
	}
	return *f
}

func text(s string) json.RawMessage { b, _ := json.Marshal(s); return b }

const lifeConfig = `
variable "size" { type = number }
variable "word" {
  type      = string
  sensitive = true
}
resource "terraform_data" "box" { input = { size = var.size, word = var.word } }
resource "terraform_data" "lid" { triggers_replace = [var.size > 5] }
output "size" { value = var.size }
output "word" {
  value     = var.word
  sensitive = true
}`

func life(t *testing.T, w world) {
	if ws, err := w.Ensure(t.Context(), w.name); err != nil || !ws.Created {
		t.Fatalf("Ensure = %+v, %v; want it created", ws, err)
	}
	if ws, err := w.Ensure(t.Context(), w.name); err != nil || ws.Created {
		t.Fatalf("Ensure again = %+v, %v; want it found", ws, err)
	}
	vars := func(size int, word string) []terraform.Variable {
		return []terraform.Variable{{Name: "size", Value: json.RawMessage(fmt.Sprint(size))}, {Name: "word", Value: text(word), Sensitive: true}}
	}
	id := w.ready(t, Config(lifeConfig), vars(3, "open ${sesame}")...)
	if again, err := w.Upload(t.Context(), w.name, Config(lifeConfig)); err != nil {
		t.Fatalf("Upload again = %q, %v", again, err)
	}
	h := w.start(t, id, "one")
	if again := w.start(t, id, "one"); again != h {
		t.Errorf("StartPlan under the same key = %q; want %q", again, h)
	}
	p := w.planned(t, h)
	if !p.HasChanges || !p.Fresh || p.Add != 2 || p.Change != 0 || p.Destroy != 0 || len(p.Changes) != 2 || p.Digest == "" {
		t.Errorf("the first plan is %+v", p)
	}
	if b, _ := json.Marshal(p); bytes.Contains(b, []byte("sesame")) {
		t.Errorf("the plan shows what is sensitive: %s", b)
	}
	if err := w.Cancel(t.Context(), w.name, h); err != nil {
		t.Errorf("Cancel of a plan that waits = %v", err)
	}
	h = w.start(t, id, "twin")
	if twin := w.planned(t, h); twin.Digest != p.Digest {
		t.Errorf("a second plan of the same effects has digest %s; want %s", twin.Digest, p.Digest)
	}
	if a, err := w.apply(t, h); err != nil || a.Added != 2 {
		t.Fatalf("apply = %+v, %v", a, err)
	}
	if a, err := w.apply(t, h); err != nil || a.Added != 2 {
		t.Errorf("apply found again = %+v, %v; want the same", a, err)
	}
	w.outputs(t, "3", 2)
	if p := w.planned(t, w.start(t, id, "two")); p.HasChanges || p.Fresh {
		t.Errorf("a plan without changes is %+v", p)
	}
	w.changes(t, id, vars)
	w.ends(t, id)
}

func (w world) outputs(t *testing.T, size string, resources int) {
	t.Helper()
	out, err := w.Outputs(t.Context(), w.name)
	if err != nil || string(out.Values["size"]) != size || out.Values["word"] != nil || !slices.Equal(out.Sensitive, []string{"word"}) {
		t.Errorf("Outputs = %+v, %v", out, err)
	}
	if out.Resources != nil && len(out.Resources) != resources {
		t.Errorf("the state has %v; want %d resources", out.Resources, resources)
	}
}

// changes plans with other variables.
func (w world) changes(t *testing.T, id string, vars func(int, string) []terraform.Variable) {
	put := func(size int, word string) {
		t.Helper()
		if err := w.PutVariables(t.Context(), w.name, vars(size, word)); err != nil {
			t.Fatal(err)
		}
	}
	put(9, "open ${sesame}")
	h := w.start(t, id, "three")
	p := w.planned(t, h)
	if p.Change != 1 || p.Add != 1 || p.Destroy != 1 {
		t.Errorf("the plan of a change is %+v", p)
	}
	if err := w.Cancel(t.Context(), w.name, h); err != nil {
		t.Errorf("Cancel = %v", err)
	}
	put(3, "other")
	h = w.start(t, id, "four")
	q := w.planned(t, h)
	if q.Digest == p.Digest || q.Change != 1 {
		t.Errorf("the plan of a sensitive change is %+v", q)
	}
	if _, err := w.apply(t, h); err != nil {
		t.Errorf("apply = %v", err)
	}
}

// ends destroys and removes.
func (w world) ends(t *testing.T, id string) {
	Fails(t, w.Remove(t.Context(), w.name), terraform.FailConflict, false)
	h, err := w.StartPlan(t.Context(), terraform.PlanIn{Workspace: w.name, Config: id, Key: "end", Destroy: true})
	if err != nil {
		t.Fatal(err)
	}
	if p := w.planned(t, h); p.Destroy != 2 {
		t.Errorf("the plan to destroy is %+v", p)
	}
	if a, err := w.apply(t, h); err != nil || a.Destroyed != 2 {
		t.Errorf("apply = %+v, %v", a, err)
	}
	for range 2 {
		if err := w.Remove(t.Context(), w.name); err != nil {
			t.Errorf("Remove = %v", err)
		}
	}
	if _, err := w.Outputs(t.Context(), w.name); !errs.Is(err, errs.NotFound) {
		t.Errorf("Outputs of nothing = %v; want NotFound", err)
	}
}

func broken(t *testing.T, w world) {
	if _, err := w.Ensure(t.Context(), w.name); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]terraform.Config{
		"syntax":  Config(`resource "terraform_data" {`),
		"backend": Config(`terraform { backend "s3" { bucket = "x" } }`),
		"cloud":   Config(`terraform { cloud {} }`),
		"path":    {Files: map[string][]byte{"main.tf": nil, "../x.tf": nil}},
		"nothing": {Files: map[string][]byte{"sub/main.tf": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.Upload(t.Context(), w.name, c)
			Fails(t, err, terraform.FailConfig, false)
		})
	}
	id := w.ready(t, Config(`resource "terraform_data" "a" { input = no_such.thing }`))
	_, err := w.AwaitPlan(within(t), w.name, w.start(t, id, "bad"), new(bytes.Buffer))
	f := Fails(t, err, terraform.FailPlan, false)
	if !strings.Contains(f.Message+fmt.Sprint(f.Details), "no_such") && !strings.Contains(fmt.Sprint(f.Details), "undeclared resource") {
		t.Errorf("the failure says %s %v; want the diagnostic", f.Message, f.Details)
	}
}

func stale(t *testing.T, w world) {
	id := w.ready(t, Config(`resource "terraform_data" "a" { input = "1" }`))
	first := w.start(t, id, "first")
	w.planned(t, first)
	if err := w.Cancel(t.Context(), w.name, first); err != nil {
		t.Fatal(err)
	}
	_, err := w.apply(t, first)
	Fails(t, err, terraform.FailStale, false)
}

// A trial leaves the plan alone that waits to be applied.
func trial(t *testing.T, w world) {
	id := w.ready(t, Config(`resource "terraform_data" "a" { input = "1" }`))
	first := w.start(t, id, "first")
	w.planned(t, first)
	h, err := w.StartPlan(t.Context(), terraform.PlanIn{Workspace: w.name, Config: id, Key: "trial", Message: "test trial", Trial: true, Owner: terraform.Owner{Run: "run_test", Task: "trial"}})
	if err != nil {
		t.Fatalf("StartPlan of a trial = %v", err)
	}
	if p := w.planned(t, h); p.Summary.Add != 1 || !p.Fresh {
		t.Errorf("the plan of the trial is %+v; want one resource to add", p)
	}
	if _, err := w.apply(t, first); err != nil {
		t.Errorf("the plan that waited cannot be applied after a trial: %v", err)
	}
}

const slowConfig = `
resource "terraform_data" "quick" { input = "1" }
resource "terraform_data" "slow" {
  depends_on = [terraform_data.quick]
  provisioner "local-exec" { command = "sleep %d" }
}`

func attach(t *testing.T, w world) {
	id := w.ready(t, Config(fmt.Sprintf(slowConfig, 2)))
	h := w.start(t, id, "one")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.AwaitPlan(gone, w.name, h, new(bytes.Buffer)); !errors.Is(err, context.Canceled) {
		t.Errorf("AwaitPlan with an ended context = %v", err)
	}
	w.planned(t, h)
	if err := w.StartApply(t.Context(), w.name, h, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.AwaitApply(gone, w.name, h, new(bytes.Buffer)); !errors.Is(err, context.Canceled) {
		t.Errorf("AwaitApply with an ended context = %v", err)
	}
	if a, err := w.apply(t, h); err != nil || a.Added != 2 {
		t.Errorf("the apply that was found again = %+v, %v", a, err)
	}
}

func cancelled(t *testing.T, w world) {
	id := w.ready(t, Config(fmt.Sprintf(slowConfig, 5)))
	h := w.start(t, id, "one")
	w.planned(t, h)
	if err := w.StartApply(t.Context(), w.name, h, "test"); err != nil {
		t.Fatal(err)
	}
	began := make(signal, 1)
	ended := make(chan error, 1)
	go func() {
		_, err := w.AwaitApply(within(t), w.name, h, began)
		ended <- err
	}()
	select {
	case <-began:
	case err := <-ended:
		t.Fatalf("AwaitApply = %v before it was cancelled", err)
	}
	if err := w.Cancel(within(t), w.name, h); err != nil {
		t.Errorf("Cancel = %v", err)
	}
	Fails(t, <-ended, terraform.FailCancelled, false)
	// What was made is known: the next run goes on from there.
	p := w.planned(t, w.start(t, id, "two"))
	if p.Fresh || p.Add > 1 {
		t.Errorf("the plan after a cancelled apply is %+v; want the quick one to be there", p)
	}
}

// signal is a log that tells when the slow one is being made.
type signal chan struct{}

func (s signal) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("slow: Creating")) || bytes.Contains(b, []byte("slow: Provisioning")) {
		select {
		case s <- struct{}{}:
		default:
		}
	}
	return len(b), nil
}

func half(t *testing.T, w world) {
	const text = `
resource "terraform_data" "good" { input = "1" }
resource "terraform_data" "bad" {
  depends_on = [terraform_data.good]
  provisioner "local-exec" { command = "exit %d" }
}`
	id := w.ready(t, Config(fmt.Sprintf(text, 3)))
	h := w.start(t, id, "one")
	w.planned(t, h)
	_, err := w.apply(t, h)
	Fails(t, err, terraform.FailApply, false)
	_, err = w.apply(t, h)
	Fails(t, err, terraform.FailApply, false) // and is not done again
	id = w.ready(t, Config(fmt.Sprintf(text, 0)))
	h = w.start(t, id, "two")
	p := w.planned(t, h)
	if p.Fresh || slices.ContainsFunc(p.Changes, func(c terraform.Change) bool { return c.Address == "terraform_data.good" }) {
		t.Errorf("the plan after half an apply is %+v; want the good one to be there", p)
	}
	if _, err := w.apply(t, h); err != nil {
		t.Errorf("apply = %v", err)
	}
}

func missing(t *testing.T, w world) {
	if _, err := w.Outputs(t.Context(), "nowhere"); !errs.Is(err, errs.NotFound) {
		t.Errorf("Outputs of no workspace = %v; want NotFound", err)
	}
	if _, err := w.Ensure(t.Context(), "../x"); !errs.Is(err, errs.Invalid) {
		t.Errorf("Ensure of a bad name = %v; want Invalid", err)
	}
	if _, err := w.Ensure(t.Context(), w.name); err != nil {
		t.Fatal(err)
	}
	if _, err := w.AwaitPlan(t.Context(), w.name, "0123456789abcdef01234567", new(bytes.Buffer)); err == nil {
		t.Error("AwaitPlan of no run succeeded")
	}
}

// Host is the platform as the mirror of providers names it.
func Host() string { return runtime.GOOS + "_" + runtime.GOARCH }
