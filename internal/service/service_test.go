package service_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/membus"
	"tutti/errs"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/store/pgtest"
)

var files = fstest.MapFS{"migrations/0001_seen.sql": {Data: []byte("-- +goose Up\nCREATE TABLE follower_seen (n BIGINT PRIMARY KEY, subject TEXT NOT NULL);\n")}}

var (
	happened = bus.Event[int]{Name: "source.thing.happened"}
	ignored  = bus.Event[int]{Name: "source.thing.ignored"}
)

// world is a service that emits events and one that follows it, on one bus.
type world struct {
	bus              *bus.Bus
	source, follower service.Deps
}

func newWorld(t *testing.T, c store.Config) *world {
	t.Helper()
	w := &world{bus: bus.New(&membus.Bus{}, []byte("a key for tests"), api.Allow)}
	w.source, w.follower = w.deps(t, c, "source", nil), w.deps(t, c, "follower", files)
	if err := service.Serve(t.Context(), w.source); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) deps(t *testing.T, c store.Config, name string, migrations service.Files) service.Deps {
	t.Helper()
	db, err := store.Open(t.Context(), c, name, migrations)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return service.Deps{Name: name, DB: db, Bus: w.bus, Log: slog.New(slog.DiscardHandler)}
}

// emit commits events n to m, each after one that nobody wants.
func (w *world) emit(t *testing.T, n, m int) {
	t.Helper()
	for i := n; i <= m; i++ {
		about := bus.About{Subject: fmt.Sprint(i), Namespace: "default", Trace: "trace"}
		err := w.source.DB.Tx(t.Context(), func(tx *store.Tx) error {
			return errors.Join(ignored.Publish(tx, about, i), happened.Publish(tx, about, i))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// see is the effect of the reactions: a row with the next number, which a second time would be there twice.
func see(tx *store.Tx, subject string) error {
	return tx.Exec(`INSERT INTO follower_seen (n, subject) SELECT coalesce(max(n), 0) + 1, CAST(? AS TEXT) FROM follower_seen`, subject)
}

func (w *world) seen(t *testing.T) (out []string) {
	t.Helper()
	rows, err := w.follower.DB.Query(t.Context(), `SELECT subject FROM follower_seen ORDER BY n`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

func (w *world) quarantined(t *testing.T) (n int) {
	t.Helper()
	if err := w.follower.DB.QueryRow(t.Context(), `SELECT count(*) FROM follower_quarantine`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func numbers(n, m int) (out []string) {
	for i := n; i <= m; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

// run runs f until the returned function is called, which waits for it.
func run(t *testing.T, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("it ended with %v; want nil", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

type reaction func(ctx context.Context, tx *store.Tx, r bus.Record, v int) error

func (w *world) follow(t *testing.T, f reaction) (stop func()) {
	return run(t, func(ctx context.Context) error { return service.Follow(ctx, w.follower, service.On(happened, f)) })
}

// A follower that fails, and is stopped and started again, applies each event once and in order.
func TestFollowAppliesOnceInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		calls := 0
		flaky := func(ctx context.Context, tx *store.Tx, r bus.Record, v int) error {
			if err := see(tx, r.Subject); err != nil {
				return err
			}
			if bus.TraceFrom(ctx) != "trace" || fmt.Sprint(v) != r.Subject || bus.Subject(ctx) != "service:follower" {
				t.Errorf("event %+v came as %d by %s, trace %q", r, v, bus.Subject(ctx), bus.TraceFrom(ctx))
			}
			switch calls++; calls % 4 {
			case 1:
				return errors.New("after the effect")
			case 2:
				panic("after the effect")
			}
			return nil
		}
		for i := range 5 {
			w.emit(t, i*8+1, i*8+8)
			stop := w.follow(t, flaky)
			time.Sleep(time.Duration(i) * time.Second)
			stop()
		}
		w.follow(t, flaky)
		time.Sleep(5 * time.Minute)
		if got := w.seen(t); !slices.Equal(got, numbers(1, 40)) || w.quarantined(t) != 0 {
			t.Errorf("the follower saw %v and quarantined %d; want 1 to 40 once each, and none", got, w.quarantined(t))
		}
		if at, err := w.follower.DB.Cursor(t.Context(), "source"); err != nil || at != 80 {
			t.Errorf("the cursor is at %d, %v; want 80", at, err)
		}
	})
}

// Events that came together are digested in one transaction: else a follower would pay the disk for each.
func TestFollowCommitsPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		w.emit(t, 1, 50)
		in := map[*store.Tx]bool{}
		w.follow(t, func(_ context.Context, tx *store.Tx, r bus.Record, _ int) error {
			in[tx] = true
			return see(tx, r.Subject)
		})
		time.Sleep(time.Second)
		if got := w.seen(t); !slices.Equal(got, numbers(1, 50)) || len(in) != 1 {
			t.Errorf("the follower saw %v in %d transactions; want 1 to 50 in one", got, len(in))
		}
	})
}

// Events that concern the follower in nothing cost it no transaction, and are not looked at again later.
func TestFollowPassesOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		wanted := map[string]bool{"7": true, "20": true, "21": true}
		asked := 0
		keep := func(_ context.Context, rs []bus.Record) (out []bus.Record, err error) {
			if asked++; asked == 1 {
				return nil, errors.New("not yet")
			}
			for _, r := range rs {
				if r.Type != happened.Type() {
					t.Errorf("the filter got an event %s", r.Type)
				}
				if wanted[r.Subject] {
					out = append(out, r)
				}
			}
			return out, nil
		}
		follow := func() (stop func()) {
			return run(t, func(ctx context.Context) error {
				return service.Follow(ctx, w.follower, service.On(happened, func(_ context.Context, tx *store.Tx, r bus.Record, _ int) error { return see(tx, r.Subject) }).Where(keep))
			})
		}
		w.emit(t, 1, 30)
		stop := follow()
		time.Sleep(time.Second)
		w.emit(t, 31, 40)
		time.Sleep(time.Minute)
		stop()
		if got, want := w.seen(t), []string{"7", "20", "21"}; !slices.Equal(got, want) {
			t.Errorf("the follower saw %v; want %v", got, want)
		}
		if at, err := w.follower.DB.Cursor(t.Context(), "source"); err != nil || at != 80 {
			t.Errorf("the cursor is at %d, %v; want 80", at, err)
		}
		asked = 1
		follow()
		time.Sleep(time.Minute)
		if asked != 1 {
			t.Error("the filter was asked again about what is over")
		}
	})
}

func TestFollowIsPrompt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		w.follow(t, func(_ context.Context, tx *store.Tx, r bus.Record, _ int) error { return see(tx, r.Subject) })
		synctest.Wait()
		w.emit(t, 1, 3)
		synctest.Wait()
		if got := w.seen(t); !slices.Equal(got, numbers(1, 3)) {
			t.Errorf("after a wake-up the follower saw %v; want 1 to 3 at once", got)
		}
	})
}

// The bus may lose every wake-up: nothing is lost but time.
func TestFollowWithoutWakeUps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		dir := t.TempDir()
		quiet := w.deps(t, store.Config{Dir: dir}, "source", nil)
		if err := service.Serve(t.Context(), quiet); err != nil {
			t.Fatal(err)
		}
		mute := w.deps(t, store.Config{Dir: dir}, "source", nil) // the same database, whose commits wake nobody
		w.follow(t, func(_ context.Context, tx *store.Tx, r bus.Record, _ int) error { return see(tx, r.Subject) })
		synctest.Wait()
		w.source = mute
		w.emit(t, 1, 3)
		synctest.Wait()
		if got := w.seen(t); len(got) != 0 {
			t.Fatalf("the follower was woken: %v", got)
		}
		time.Sleep(3 * time.Second)
		if got := w.seen(t); !slices.Equal(got, numbers(1, 3)) {
			t.Errorf("without wake-ups the follower saw %v; want 1 to 3 after a while", got)
		}
	})
}

func TestPoisonStopsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		tries := map[string]int{}
		w.follow(t, func(_ context.Context, tx *store.Tx, r bus.Record, v int) error {
			tries[r.Subject]++
			if err := see(tx, r.Subject); err != nil {
				return err
			}
			switch v {
			case 3:
				return errs.New(errs.Invalid, "poison")
			case 4:
				panic("poison")
			case 6:
				return fmt.Errorf("poison")
			}
			return nil
		})
		w.emit(t, 1, 7)
		err := w.source.DB.Tx(t.Context(), func(tx *store.Tx) error {
			return tx.Emit(bus.Record{Type: happened.Type(), Subject: "unreadable", Data: []byte(`"no number"`)})
		})
		if err != nil {
			t.Fatal(err)
		}
		w.emit(t, 8, 8)
		time.Sleep(3 * time.Minute)
		if got := w.seen(t); !slices.Equal(got, []string{"1", "2", "5", "7", "8"}) || w.quarantined(t) != 4 {
			t.Errorf("the follower saw %v and quarantined %d; want 1, 2, 5, 7, 8, and 4", got, w.quarantined(t))
		}
		for _, bad := range []string{"3", "4", "6"} {
			if tries[bad] != 8 {
				t.Errorf("event %s was tried %d times; want 8 before it is given up", bad, tries[bad])
			}
		}
	})
}

// A database that is away is no fault of the event.
func TestUnavailableIsNoPoison(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		var away atomic.Bool
		away.Store(true)
		w.follow(t, func(_ context.Context, tx *store.Tx, r bus.Record, _ int) error {
			if away.Load() {
				return errs.New(errs.Unavailable, "disk full")
			}
			return see(tx, r.Subject)
		})
		w.emit(t, 1, 2)
		time.Sleep(2 * time.Minute)
		away.Store(false)
		time.Sleep(time.Minute)
		if got := w.seen(t); !slices.Equal(got, numbers(1, 2)) || w.quarantined(t) != 0 {
			t.Errorf("the follower saw %v and quarantined %d; want both events, and none", got, w.quarantined(t))
		}
	})
}

func TestLargeEventsComeInSmallPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		big := []byte(`"` + strings.Repeat("x", store.MaxEvent-2) + `"`)
		for range 3 {
			err := w.source.DB.Tx(t.Context(), func(tx *store.Tx) error {
				return tx.Emit(bus.Record{Type: ignored.Type(), Subject: "big", Data: big})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		p, err := service.Events("source").Call(bus.AsService(t.Context(), "test"), w.bus, service.ReadEvents{Limit: 100})
		if err != nil || len(p.Records) != 1 || !p.More {
			t.Errorf("a page has %d events, more %v, %v; want one, and more", len(p.Records), p.More, err)
		}
		w.follow(t, func(_ context.Context, tx *store.Tx, r bus.Record, _ int) error { return see(tx, r.Subject) })
		w.emit(t, 1, 2)
		time.Sleep(time.Minute)
		if got := w.seen(t); !slices.Equal(got, numbers(1, 2)) {
			t.Errorf("behind large events the follower saw %v; want 1 and 2", got)
		}
	})
}

// Replicas of a service follow at once: each event is applied by one of them, in order.
func TestReplicasFollowTogether(t *testing.T) {
	t.Parallel()
	c := store.Config{URL: pgtest.URL(t)}
	w := newWorld(t, c)
	const n = 60
	done := make(chan struct{})
	react := func(_ context.Context, tx *store.Tx, r bus.Record, v int) error {
		if v == n {
			tx.AfterCommit(func() { close(done) })
		}
		return see(tx, r.Subject)
	}
	for range 3 {
		d := w.deps(t, c, "follower", files)
		run(t, func(ctx context.Context) error { return service.Follow(ctx, d, service.On(happened, react)) })
	}
	w.emit(t, 1, n)
	<-done
	if got := w.seen(t); !slices.Equal(got, numbers(1, n)) {
		t.Errorf("three replicas saw %v; want 1 to %d once each", got, n)
	}
}

type order struct {
	Key  string
	What string
}

var (
	deliver = bus.Method[order, string]{Name: "shop.deliver", Perm: bus.System}
	slow    = bus.Method[order, string]{Name: "shop.slow", Perm: bus.System}
)

func (w *world) intend(t *testing.T, method, key, what string) {
	t.Helper()
	err := w.follower.DB.Tx(bus.WithTrace(t.Context(), "trace"), func(tx *store.Tx) error { return tx.Intend(key, method, order{key, what}) })
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) left(t *testing.T) int {
	t.Helper()
	is, err := w.follower.DB.Intents(t.Context(), time.Now().Add(24*time.Hour), 100)
	if err != nil {
		t.Fatal(err)
	}
	return len(is)
}

func TestRelayRepeatsUntilAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		calls, answers := map[string]int{}, []string{}
		handler := func(ctx context.Context, in order) (string, error) {
			calls[in.What]++
			if bus.Subject(ctx) != "service:follower" || bus.TraceFrom(ctx) != "trace" {
				t.Errorf("the call came from %s, trace %q", bus.Subject(ctx), bus.TraceFrom(ctx))
			}
			switch {
			case in.What == "refused":
				return "", errs.New(errs.Conflict, "never")
			case in.What == "flaky" && calls[in.What] < 12:
				return "", errors.New("not yet")
			case in.What == "busy" && calls[in.What] < 3:
				return "", errs.New(errs.Limited, "later")
			}
			return "got " + in.What, nil
		}
		then := service.Then(deliver, func(ctx context.Context, tx *store.Tx, key string, in order, out string, err error) error {
			if in.What == "unlucky" && calls["unlucky"] < 3 { // a crash between the answer and its record
				if calls["unlucky"] == 1 {
					return errors.New("crash")
				}
				panic("crash")
			}
			if err != nil {
				out = "refused: " + err.Error()
			}
			tx.AfterCommit(func() { answers = append(answers, key+" "+out) })
			return see(tx, key)
		})
		run(t, func(ctx context.Context) error { return service.Relay(ctx, w.follower, then) })
		for _, what := range []string{"plain", "flaky", "refused", "busy", "unlucky"} {
			w.intend(t, deliver.Name, "key-"+what, what)
		}
		w.intend(t, "shop.nobody", "key-nobody", "nobody")
		time.Sleep(time.Minute) // nobody answers yet
		if w.left(t) != 6 || len(calls) != 0 {
			t.Fatalf("%d intents are left after calls %v; want 6 and none", w.left(t), calls)
		}
		if err := deliver.Handle(t.Context(), w.bus, handler); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Minute)
		slices.Sort(answers)
		want := []string{"key-busy got busy", "key-flaky got flaky", "key-plain got plain", "key-refused refused: never", "key-unlucky got unlucky"}
		if !slices.Equal(answers, want) {
			t.Errorf("answers are %q; want %q", answers, want)
		}
		if calls["plain"] != 1 || calls["refused"] != 1 || calls["flaky"] != 12 || calls["unlucky"] != 3 {
			t.Errorf("calls were %v", calls)
		}
		if len(w.seen(t)) != 5 || w.left(t) != 1 {
			t.Errorf("%d effects, %d intents left; want 5, and that which nobody answers", len(w.seen(t)), w.left(t))
		}
	})
}

func TestRelayIsPrompt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		var got []string
		if err := deliver.Handle(t.Context(), w.bus, func(_ context.Context, in order) (string, error) { got = append(got, in.What); return "", nil }); err != nil {
			t.Fatal(err)
		}
		run(t, func(ctx context.Context) error { return service.Relay(ctx, w.follower) })
		synctest.Wait()
		w.intend(t, deliver.Name, "a", "a")
		synctest.Wait()
		if !slices.Equal(got, []string{"a"}) || w.left(t) != 0 {
			t.Errorf("called %v, %d left; want a at once", got, w.left(t))
		}
	})
}

// A callee that hangs holds up its own method only, and its intent survives the end of the relay.
func TestRelayHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		delivered := 0
		err := errors.Join(
			slow.Handle(t.Context(), w.bus, func(ctx context.Context, _ order) (string, error) { <-ctx.Done(); return "", ctx.Err() }),
			deliver.Handle(t.Context(), w.bus, func(context.Context, order) (string, error) { delivered++; return "", nil }))
		if err != nil {
			t.Fatal(err)
		}
		w.intend(t, slow.Name, "a-slow", "x")
		w.intend(t, deliver.Name, "b", "x")
		stop := run(t, func(ctx context.Context) error { return service.Relay(ctx, w.follower) })
		synctest.Wait()
		if delivered != 1 {
			t.Errorf("%d delivered behind a call that hangs; want 1", delivered)
		}
		time.Sleep(2 * time.Minute)
		stop()
		if w.left(t) != 1 {
			t.Errorf("%d intents left; want the one that hangs", w.left(t))
		}
	})
}

func TestRestartedRelayCallsAgainWithTheSameKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		var keys []string
		block := make(chan struct{})
		err := deliver.Handle(t.Context(), w.bus, func(_ context.Context, in order) (string, error) {
			keys = append(keys, in.Key)
			if len(keys) == 1 {
				<-block // the relay is stopped while its call is being answered
			}
			return "", nil
		})
		if err != nil {
			t.Fatal(err)
		}
		w.intend(t, deliver.Name, "the-key", "x")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- service.Relay(ctx, w.follower) }()
		synctest.Wait()
		cancel()
		close(block)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if w.left(t) != 1 {
			t.Fatalf("%d intents left after the relay was stopped; want 1", w.left(t))
		}
		run(t, func(ctx context.Context) error { return service.Relay(ctx, w.follower) })
		time.Sleep(time.Minute)
		if !slices.Equal(keys, []string{"the-key", "the-key"}) || w.left(t) != 0 {
			t.Errorf("calls had the keys %v, %d left; want the same key twice, and none", keys, w.left(t))
		}
	})
}

func TestServe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Config{Dir: t.TempDir()})
		err := w.source.DB.Tx(bus.AsService(t.Context(), "x"), func(tx *store.Tx) error {
			return tx.Audit(store.Act{Namespace: "default", Action: "a", Object: "o"})
		})
		if err != nil {
			t.Fatal(err)
		}
		found, err := service.FindActs("source").Call(bus.AsService(t.Context(), "gateway"), w.bus, service.ReadTrail{Namespace: "default", Limit: 5})
		if err != nil || len(found.Items) != 1 || found.Items[0].Subject != "service:x" || found.Low != 1 {
			t.Errorf("FindActs = %+v, %v", found, err)
		}
		root := bus.WithCaller(t.Context(), bus.Caller{Subject: "user:root", Grants: []bus.Grant{{Namespace: "*", Role: api.Admin}}})
		if _, err := service.Events("source").Call(root, w.bus, service.ReadEvents{}); !errs.Is(err, errs.Denied) {
			t.Errorf("a user reading the outbox: %v; want denied", err)
		}
		if err := service.Follow(t.Context(), w.follower, service.On(happened, nil), service.On(bus.Event[int]{Name: "other.thing.happened"}, nil)); err == nil {
			t.Error("Follow took two sources in one call")
		}
	})
}
