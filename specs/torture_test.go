// Package specs tests the program as a whole: what it promises, against what can happen to it.
package specs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/store/pgtest"
	"tutti/sdk"
)

var (
	tortureRounds = flag.Int("torture.rounds", 5, "how many faults a server suffers")
	tortureFor    = flag.Duration("torture.for", 0, "torture it for so long instead")
	tortureSeed   = flag.Uint64("torture.seed", 0, "what the moments are drawn from; 0 draws one")
)

// TestTortureSQLite kills a server at random moments, stops it and fills its disk, while clients submit runs
// under idempotency keys. In the end every key that was answered has exactly one run, which succeeded,
// and whose requests were all made, and the store is sound.
func TestTortureSQLite(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds and runs the program")
	}
	t.Parallel()
	torment(t, "")
}

// TestTorturePostgres does so to a server that keeps its databases in PostgreSQL.
func TestTorturePostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds and runs the program")
	}
	t.Parallel()
	torment(t, pgtest.URL(t))
}

func torment(t *testing.T, db string) {
	seed := *tortureSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	x := newTorture(t, seed, db)
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() { x.submit(ctx, i) })
	}
	faults := x.faults()
	rounds := 0
	began := time.Now()
	goesOn := func() bool {
		if *tortureFor > 0 {
			return time.Since(began) < *tortureFor
		}
		return rounds < max(*tortureRounds, len(faults))
	}
	for ; goesOn(); rounds++ {
		x.sleep(1500 * time.Millisecond)
		f := faults[x.r.IntN(len(faults))]
		if rounds < len(faults) { // each of them once at least
			f = faults[rounds]
		}
		f.inject()
		x.fired[f.name]++
	}
	stop()
	clients.Wait()
	x.ready()
	t.Logf("tortured for %s: %v", time.Since(began).Round(time.Second), x.fired)
	for _, f := range faults {
		if x.fired[f.name] == 0 {
			t.Errorf("the fault %q can be injected here, and never was", f.name)
		}
	}
	lost, duplicated := x.judge()
	t.Logf("seed %d: %d rounds, %d calls, %d accepted, %d not answered, %d lost, %d duplicated, %d requests of %d runs",
		seed, rounds, x.calls.Load(), len(x.accepted), x.unanswered.Load(), lost, duplicated, x.requests.Load(), len(x.accepted))
	if lost+duplicated > 0 || len(x.accepted) == 0 || x.unanswered.Load() == 0 {
		t.Errorf("lost %d, duplicated %d, accepted %d, %d calls without an answer; want 0, 0, some, some", lost, duplicated, len(x.accepted), x.unanswered.Load())
	}
	x.fsck()
}

// torture is a server that is killed, with those who use it.
type torture struct {
	t       *testing.T
	r       *rand.Rand
	fired   map[string]int
	bin     string
	data    string
	db      string // a postgres:// URL, or "" for SQLite
	small   bool   // data is on a file system that can be filled
	address string
	doc     string
	client  *sdk.Client
	server  *exec.Cmd
	log     *bytes.Buffer
	target  *httptest.Server

	calls, unanswered, requests atomic.Int64

	mu       sync.Mutex
	accepted map[string]api.RunID
	asked    map[string]bool           // also those never answered
	hit      map[string]map[string]int // requests by key and task
}

func newTorture(t *testing.T, seed uint64, db string) *torture {
	t.Helper()
	x := &torture{t: t, r: rand.New(rand.NewPCG(seed, 0)), fired: map[string]int{}, data: t.TempDir(), db: db, accepted: map[string]api.RunID{}, asked: map[string]bool{}, hit: map[string]map[string]int{}}
	x.bin = build(t)
	doc, err := os.ReadFile("testdata/torture.yaml")
	if err != nil {
		t.Fatal(err)
	}
	x.doc = string(doc)
	x.target = httptest.NewServer(http.HandlerFunc(x.answer))
	t.Cleanup(x.target.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x.address = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if x.client, err = sdk.New(sdk.Config{Server: "http://" + x.address, Tries: 1}); err != nil {
		t.Fatal(err)
	}
	x.small = x.mount()
	x.start()
	t.Cleanup(func() { x.kill() })
	x.ready()
	x.login()
	return x
}

// answer is the far side of the tasks.
func (x *torture) answer(_ http.ResponseWriter, r *http.Request) {
	task, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	x.requests.Add(1)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.hit[key] == nil {
		x.hit[key] = map[string]int{}
	}
	x.hit[key][task]++
}

func (x *torture) start() {
	x.t.Helper()
	x.log = &bytes.Buffer{}
	x.server = exec.Command(x.bin, "serve", "--data", x.folder(), "--listen", x.address, "--allow-dial", strings.TrimPrefix(x.target.URL, "http://"), "--db", x.db)
	x.server.Stdout, x.server.Stderr = x.log, x.log
	if err := x.server.Start(); err != nil {
		x.t.Fatal(err)
	}
}

func (x *torture) kill() {
	_ = x.server.Process.Kill() // it may have ended
	_ = x.server.Wait()         // it was killed
}

// ready waits until the server answers.
func (x *torture) ready() {
	x.t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; {
		resp, err := http.Get("http://" + x.address + "/readyz")
		if err == nil {
			_ = resp.Body.Close() // nothing is read
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(20 * time.Millisecond) // sleep: real time passes in another process
	}
	x.kill()
	x.t.Fatalf("the server is not ready after a minute:\n%s", x.log)
}

func (x *torture) login() {
	x.t.Helper()
	var token []byte
	err := os.ErrNotExist
	for began := time.Now(); errors.Is(err, os.ErrNotExist) && time.Since(began) < time.Minute; {
		token, err = os.ReadFile(filepath.Join(x.folder(), "bootstrap-token"))
	}
	if err != nil {
		x.t.Fatal(err)
	}
	var s api.Session
	for { // until the service behind the open port answers too
		s, err = sdk.Call(x.t.Context(), x.client, api.Bootstrap, api.BootstrapIn{Body: api.BootstrapBody{
			Token: strings.TrimSpace(string(token)), User: "admin", Password: "correct horse battery staple"}})
		if !errs.Is(err, errs.Unavailable) {
			break
		}
	}
	if err != nil {
		x.t.Fatal(err)
	}
	x.client = x.client.With(s.Secret, "default")
}

// submit starts runs, each under a key that is repeated until there is an answer, until ctx ends.
func (x *torture) submit(ctx context.Context, client int) {
	for n := 0; ctx.Err() == nil; n++ {
		key := fmt.Sprintf("c%d-%d", client, n)
		x.mu.Lock()
		x.asked[key] = true
		x.mu.Unlock()
		for ctx.Err() == nil {
			id, err := x.call(x.t.Context(), key)
			if err == nil {
				x.mu.Lock()
				x.accepted[key] = id
				x.mu.Unlock()
				break
			}
			x.unanswered.Add(1)
			if !errs.Is(err, errs.Unavailable) && !errs.Is(err, errs.Limited) && !errors.Is(err, context.DeadlineExceeded) {
				x.t.Errorf("run.start: %v", err)
				return
			}
			time.Sleep(50 * time.Millisecond) // sleep: real time passes in another process
		}
		time.Sleep(20 * time.Millisecond) // sleep: real time passes in another process
	}
}

func (x *torture) call(ctx context.Context, key string) (api.RunID, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	inputs, err := json.Marshal(map[string]string{"server": x.target.URL, "key": key})
	if err != nil {
		return "", err
	}
	x.calls.Add(1)
	r, err := sdk.Call(ctx, x.client, api.StartRun, api.StartRunIn{Key: key, Body: api.StartRunBody{Definition: x.doc, Title: key, Inputs: inputs}})
	return r.ID, err
}

// engine waits until the server carries runs on: on PostgreSQL only once the lease of the one that was
// killed is over.
func (x *torture) engine() {
	x.t.Helper()
	var err error
	for began := time.Now(); time.Since(began) < time.Minute; {
		if _, err = sdk.Call(x.t.Context(), x.client, api.ListRuns, api.ListRunsIn{}); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond) // sleep: real time passes in another process
	}
	x.t.Fatalf("nobody carries runs on after a minute: %v\n%s", err, x.log)
}

// judge waits for the end of all runs, and counts what is missing or too much.
func (x *torture) judge() (lost, duplicated int) {
	t, ctx := x.t, x.t.Context()
	x.engine()
	for key, id := range x.accepted {
		r, err := sdk.Call(ctx, x.client, api.GetRun, api.GetRunIn{ID: id, Wait: api.Duration(time.Minute)})
		if err != nil || r.State != api.Succeeded || r.Title != key || string(r.Outputs) != fmt.Sprintf(`{"key":%q}`, key) {
			t.Errorf("run %s of %s = %s %s %+v, %v; want it succeeded", id, key, r.State, r.Outputs, r.Failure, err)
			lost++
		}
		if again, err := x.call(ctx, key); err != nil || again != id {
			t.Errorf("key %s again = %s, %v; want %s", key, again, err, id)
			duplicated++
		}
		x.mu.Lock()
		if x.hit[key]["first"] == 0 || x.hit[key]["last"] == 0 {
			t.Errorf("%s succeeded with requests %v; want both", key, x.hit[key])
			lost++
		}
		x.mu.Unlock()
	}
	runs := map[string]int{}
	in := api.ListRunsIn{Paging: api.Paging{Limit: 200}}
	for {
		p, err := sdk.Call(ctx, x.client, api.ListRuns, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Items {
			runs[r.Title]++
			if !x.asked[r.Title] {
				t.Errorf("run %s of %q was never asked for", r.ID, r.Title)
			}
		}
		if in.Cursor = p.Cursor; p.Cursor == "" {
			break
		}
	}
	for key, n := range runs {
		if n > 1 {
			t.Errorf("key %s has %d runs", key, n)
			duplicated += n - 1
		}
	}
	return lost, duplicated
}
