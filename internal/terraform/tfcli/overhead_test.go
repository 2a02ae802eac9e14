package tfcli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tutti/internal/terraform"
	"tutti/internal/terraform/terraformtest"
	"tutti/internal/terraform/tfcli"
)

const small = `resource "terraform_data" "a" { input = "1" }`

// BenchmarkOverhead runs a plan and an apply by the driver and by the bare program, in turns, and reports
// the medians and what the driver adds to one task, in milliseconds. The bare program does what the driver
// has it do: plan to a file, show as JSON, apply.
func BenchmarkOverhead(b *testing.B) {
	c := config(b)
	var bare, ours []time.Duration
	for i := 0; b.Loop(); i++ {
		bare = append(bare, byHand(b, c)...)
		ours = append(ours, byDriver(b, c, i)...)
	}
	median := func(all []time.Duration) float64 {
		slices.Sort(all)
		return float64(all[len(all)/2].Microseconds()) / 1000
	}
	b.ReportMetric(median(bare), "bare-ms/task")
	b.ReportMetric(median(ours), "driver-ms/task")
	b.ReportMetric(median(ours)-median(bare), "added-ms/task")
}

// byHand returns what a plan and an apply take together, by half.
func byHand(b *testing.B, c tfcli.Config) []time.Duration {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(small), 0o600); err != nil {
		b.Fatal(err)
	}
	config := filepath.Join(dir, "empty.tfrc")
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	run := func(args ...string) {
		cmd := exec.Command(c.Program, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "TF_CLI_CONFIG_FILE="+config, "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	began := time.Now()
	run("init", "-input=false", "-no-color")
	run("plan", "-input=false", "-json", "-out=plan")
	run("show", "-json", "plan")
	run("apply", "-input=false", "-json", "plan")
	half := time.Since(began) / 2
	return []time.Duration{half}
}

func byDriver(b *testing.B, c tfcli.Config, i int) []time.Duration {
	d := open(b, c)
	name := fmt.Sprintf("w%d", i)
	began := time.Now()
	if _, err := d.Ensure(b.Context(), name); err != nil {
		b.Fatal(err)
	}
	id, err := d.Upload(b.Context(), name, terraformtest.Config(small))
	if err != nil {
		b.Fatal(err)
	}
	h, err := d.StartPlan(b.Context(), terraform.PlanIn{Workspace: name, Config: id, Key: name})
	if err == nil {
		_, err = d.AwaitPlan(b.Context(), name, h, new(bytes.Buffer))
	}
	if err == nil {
		err = d.StartApply(b.Context(), name, h, "")
	}
	if err == nil {
		_, err = d.AwaitApply(b.Context(), name, h, new(bytes.Buffer))
	}
	if err != nil {
		b.Fatal(err)
	}
	return []time.Duration{time.Since(began) / 2}
}
