package workflow

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBugsAreCaught builds engines that make a mistake on purpose: the simulator must find each.
func TestBugsAreCaught(t *testing.T) {
	t.Parallel()
	if testing.Short() || bug != "" {
		t.Skip("it builds the package again")
	}
	bin := filepath.Join(t.TempDir(), "sim.test")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "bug", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	for _, name := range []string{"", "no fence", "ack before commit", "no claim check", "keys forgotten", "limits leak", "work before commit", "cancel is only told"} {
		cmd := exec.CommandContext(t.Context(), bin, "-test.run", "^TestSim$", "-sim.seeds", "1000")
		if name == "" {
			cmd.Args[len(cmd.Args)-1] = "100" // without one, nothing is found
		}
		cmd.Env = append(os.Environ(), "TUTTI_BUG="+name)
		out, err := cmd.CombinedOutput()
		found := err != nil && strings.Contains(string(out), "-sim.trace")
		if found != (name != "") {
			t.Errorf("bug %q: %v; found = %v\n%s", name, err, found, out)
		}
		t.Logf("%q: %s", name, first(string(out)))
	}
}

// first returns the first finding of a simulation.
func first(out string) string {
	_, out, _ = strings.Cut(out, "-sim.trace): ")
	out, _, _ = strings.Cut(out, "\n")
	return out
}
