package gateway

import (
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// BenchmarkStreamFollowers has 50 browsers follow one run in which 500 things a second happen, for 4
// seconds, and reports what share of a core that costs: the server, and the clients that only read.
func BenchmarkStreamFollowers(b *testing.B) {
	const browsers, rate, seconds = 50, 500, 4
	for b.Loop() {
		w := setup(b)
		h := w.follow(b)
		s := httptest.NewServer(w.g)
		var got atomic.Int64
		var done sync.WaitGroup
		for range browsers {
			c, err := net.Dial("tcp", s.Listener.Addr().String())
			check(b, err)
			_, err = fmt.Fprintf(c, "GET /v1/namespaces/default/stream?topic=run:%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", run, reader)
			check(b, err)
			done.Go(func() {
				n, _ := io.Copy(io.Discard, c)
				got.Add(n)
			})
			defer c.Close()
		}
		time.Sleep(300 * time.Millisecond) // sleep: the streams open
		before := used(b)
		start := time.Now()
		tick := time.NewTicker(time.Second / 100)
		for range seconds * 100 {
			<-tick.C
			h.happen(w, rate/100)
		}
		tick.Stop()
		time.Sleep(200 * time.Millisecond) // sleep: the last of them arrive
		b.ReportMetric(100*(used(b)-before).Seconds()/time.Since(start).Seconds(), "%core")
		s.CloseClientConnections()
		s.Close()
		done.Wait()
		if want := int64(browsers * rate * seconds * 60); got.Load() < want {
			b.Errorf("the browsers got %d bytes; want %d at least", got.Load(), want)
		}
	}
}

// used is the processor time this process has taken.
func used(b *testing.B) time.Duration {
	var u syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
