package local_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"tutti/internal/ansible"
	"tutti/internal/ansible/ansibletest"
)

const small = "- hosts: all\n  gather_facts: false\n  tasks:\n    - { name: Ask, ping: {} }\n"

// BenchmarkOverhead runs a playbook by the driver and by the bare program, in turns, and reports the medians
// and what the driver adds to one playbook, in milliseconds: of time, which means something on a quiet machine
// alone, and of the processors' time, of this process and all it started. Both have the same inventory and
// connection.
func BenchmarkOverhead(b *testing.B) {
	c := config(b)
	d := open(b, c)
	var bare, ours, bareCPU, oursCPU []time.Duration
	for i := 0; b.Loop(); i++ {
		before := cpu(b)
		bare = append(bare, byHand(b, c.Program))
		between := cpu(b)
		ours = append(ours, byDriver(b, d, fmt.Sprint("key ", i)))
		after := cpu(b)
		for patience := 100; after.children == between.children && patience > 0; patience-- { // until the shim is waited for
			<-time.After(5 * time.Millisecond)
			after = cpu(b)
		}
		bareCPU, oursCPU = append(bareCPU, between.all()-before.all()), append(oursCPU, after.all()-between.all())
	}
	median := func(all []time.Duration) float64 {
		slices.Sort(all)
		return float64(all[len(all)/2].Microseconds()) / 1000
	}
	b.ReportMetric(median(bare), "bare-ms/task")
	b.ReportMetric(median(ours), "driver-ms/task")
	b.ReportMetric(median(ours)-median(bare), "added-ms/task")
	b.ReportMetric(median(bareCPU), "bare-cpu-ms/task")
	b.ReportMetric(median(oursCPU)-median(bareCPU), "added-cpu-ms/task")
}

// used is the processors' time of this process and of those it waited for.
type used struct{ self, children time.Duration }

func (u used) all() time.Duration { return u.self + u.children }

func cpu(b *testing.B) used {
	b.Helper()
	of := func(who int) time.Duration {
		var r syscall.Rusage
		if err := syscall.Getrusage(who, &r); err != nil {
			b.Fatal(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return used{of(syscall.RUSAGE_SELF), of(syscall.RUSAGE_CHILDREN)}
}

func byHand(b *testing.B, program string) time.Duration {
	dir := b.TempDir()
	inventory, err := ansibletest.Local("a").YAML()
	if err != nil {
		b.Fatal(err)
	}
	for name, text := range map[string][]byte{"site.yml": []byte(small), "inventory.yml": inventory, "vars.yml": []byte("{}\n"), "ansible.cfg": []byte("[defaults]\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	began := time.Now()
	cmd := exec.Command(program, "-i", "inventory.yml", "-e", "@vars.yml", "site.yml")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8", "ANSIBLE_CONFIG=" + filepath.Join(dir, "ansible.cfg"), "ANSIBLE_PIPELINING=True", "ANSIBLE_INVENTORY_ENABLED=yaml", "PYTHONDONTWRITEBYTECODE=1"}
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return time.Since(began)
}

func byDriver(b *testing.B, d ansible.Driver, key string) time.Duration {
	began := time.Now()
	h, err := d.Launch(b.Context(), ansible.Job{Key: key, Project: map[string][]byte{"site.yml": []byte(small)}, Playbook: "site.yml", Inventory: ansibletest.Local("a")})
	if err == nil {
		_, err = d.Follow(b.Context(), h, func(ansible.Event) {})
	}
	if err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}
