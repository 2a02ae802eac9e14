package definition_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tutti/internal/document"
)

// Documents made to cost much, at the size limit: each is answered within seconds, mostly much less.
func TestHostileSizes(t *testing.T) {
	t.Parallel()
	build := func(line func(i int) string) string {
		var b strings.Builder
		b.WriteString("kind: Workflow\nname: w\ntasks:\n")
		for i := 0; i < 10_000 && b.Len() < document.MaxSize-2000; i++ {
			b.WriteString(line(i))
		}
		return b.String()
	}
	for name, src := range map[string]string{
		"unknown references": build(func(i int) string {
			return fmt.Sprintf("  t%d: {use: shell, with: {run: \"${{ tasks.t%dx.out }}\"}}\n", i, i)
		}),
		"one long cycle": build(func(i int) string {
			return fmt.Sprintf("  t%05d: {use: shell, needs: [t%05d], with: {run: x}}\n", i, (i+1)%10_000)
		}),
		"behind a cycle": build(func(i int) string {
			return fmt.Sprintf("  t%05d: {use: shell, needs: [t%05d], with: {run: x}}\n", i, before(i))
		}),
		"long ways to what may be missing": build(func(i int) string {
			if i < 2 {
				return fmt.Sprintf("  t%05d: {use: shell, onError: continue, with: {run: x}}\n", i)
			}
			return fmt.Sprintf("  t%05d: {use: shell, needs: [t%05d], with: {run: \"${{ tasks.t00000.out }}\"}}\n", i, i-1)
		}),
		"holes and errors": "kind: Workflow\nname: w\ntasks:\n  a:\n    use: shell\n    with: {run: [" + strings.Repeat(`"${{a}}",1,`, 45_000) + "]}\n",
		"many problems":    build(func(i int) string { return fmt.Sprintf("  t%d: {usee: shell}\n", i) }),
		"wide": build(func(i int) string {
			return fmt.Sprintf("  t%d: {use: shell, after: [%s], with: {run: x}}\n", i, strings.Repeat(fmt.Sprintf("t%d,", i+1), 8))
		}),
	} {
		start := time.Now()
		compile("f", []byte(src))
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%s: took %s", name, took)
		} else {
			t.Logf("%s: %d bytes, %s", name, len(src), took)
		}
	}
}

// before is the task in front of i; the first two wait for each other.
func before(i int) int {
	if i == 0 {
		return 1
	}
	return i - 1
}
