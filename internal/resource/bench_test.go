package resource

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tutti/api"
	"tutti/internal/gitrepo"
	"tutti/internal/store"
)

// BenchmarkCommits makes commits of one file through the service, as requests do, from 16 callers at a time,
// into one repository and into eight. It reports them in a second, beside two ceilings of the same machine,
// measured in the same run: commits of package gitrepo alone, by one caller, and files written and synced
// to the disk, of which one after the other is the least that anything durable takes.
func BenchmarkCommits(b *testing.B) {
	for _, repositories := range []int{1, 8} {
		b.Run(fmt.Sprintf("repositories=%d", repositories), func(b *testing.B) {
			dir := b.TempDir()
			w := newWorld(b, store.Config{Dir: dir})
			var next atomic.Int64
			commit := func(ctx context.Context) error {
				i := next.Add(1)
				in := vmFile(fmt.Sprint("key ", i), fmt.Sprintf("resources/vm-%d.json", i%500), fmt.Sprintf(`{"name": "vm-%d"}`, i))
				in.Repository = fmt.Sprintf("vm-%d", int(i)%repositories)
				_, err := api.CommitFiles.Call(ctx, w.bus, in)
				return err
			}
			as := w.as(api.Operator)
			if err := commit(as); err != nil {
				b.Fatal(err)
			}
			var all sync.WaitGroup
			work := make(chan struct{})
			for range 16 {
				all.Go(func() {
					for range work {
						if err := commit(as); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for b.Loop() {
				work <- struct{}{}
			}
			close(work)
			all.Wait()
			took := b.Elapsed()
			ours := float64(b.N) / took.Seconds()
			bare, synced := bareCommits(b, dir), syncs(b, dir)
			b.ReportMetric(ours, "commits/s")
			b.ReportMetric(bare, "bare-commits/s")
			b.ReportMetric(ours/bare, "of-bare")
			b.ReportMetric(synced, "fsyncs/s")
		})
	}
}

// ceiling is how long a ceiling is measured.
const ceiling = time.Second

func perSecond(b *testing.B, do func(i int) error) float64 {
	b.Helper()
	began, n := time.Now(), 0
	for ; time.Since(began) < ceiling; n++ {
		if err := do(n); err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / time.Since(began).Seconds()
}

func bareCommits(b *testing.B, dir string) float64 {
	repo, err := gitrepo.Init(filepath.Join(dir, "bare.git"), "")
	if err != nil {
		b.Fatal(err)
	}
	return perSecond(b, func(i int) error {
		_, err := repo.Commit(b.Context(), gitrepo.Commit{Message: "Add a machine", Once: keyTrailer, Trailers: map[string]string{keyTrailer: fmt.Sprint(i)},
			Files: map[string][]byte{fmt.Sprintf("resources/vm-%d.json", i%500): []byte(fmt.Sprintf(`{"name": "vm-%d"}`, i))}})
		return err
	})
}

func syncs(b *testing.B, dir string) float64 {
	f, err := os.Create(filepath.Join(dir, "synced"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	return perSecond(b, func(int) error {
		if _, err := f.WriteString("a line of a log\n"); err != nil {
			return err
		}
		return f.Sync()
	})
}
