package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLookupGathers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked [][]int
		fail := errors.New("away")
		var failing error
		l := &Lookup[int, int]{Find: func(_ context.Context, keys []int) (map[int]int, error) {
			slices.Sort(keys)
			asked = append(asked, keys)
			time.Sleep(time.Second)
			out := map[int]int{}
			for _, k := range keys {
				if k < 100 {
					out[k] = k * k
				}
			}
			return out, failing
		}}
		get := func(k, want int, wantErr error) func() {
			return func() {
				if v, err := l.Get(t.Context(), k); v != want || !errors.Is(err, wantErr) {
					t.Errorf("Get(%d) = %d, %v; want %d, %v", k, v, err, want, wantErr)
				}
			}
		}
		var wg sync.WaitGroup
		wg.Go(get(1, 1, nil))
		synctest.Wait() // the query of 1 is under way: what is asked now is none of its
		for _, k := range []int{1, 2, 3, 3} {
			wg.Go(get(k, k*k, nil))
		}
		wg.Go(get(100, 0, nil))
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.Get(gone, 4); !errors.Is(err, context.Canceled) {
			t.Errorf("Get of one who left = %v; want %v", err, context.Canceled)
		}
		wg.Wait()
		if want := [][]int{{1}, {1, 2, 3, 4, 100}}; len(asked) != 2 || !slices.Equal(asked[0], want[0]) || !slices.Equal(asked[1], want[1]) {
			t.Errorf("the queries were for %v; want %v", asked, want)
		}
		failing = fail
		wg.Go(get(5, 25, fail))
		synctest.Wait()
		wg.Go(get(6, 36, fail))
		wg.Wait()
		failing = nil
		get(7, 49, nil)()
	})
}
