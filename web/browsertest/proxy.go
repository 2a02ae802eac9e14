package browsertest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// cable is a connection to a server that can be cut: what goes through it ends at once, and nothing else
// begins until it is mended.
type cable struct {
	// server is the address to go to instead of the server's own.
	server string

	mu   sync.Mutex
	cut  bool
	open map[net.Conn]bool
}

// through returns a cable to a server, "http://HOST:PORT", until the test ends.
func through(t testing.TB, server string) *cable {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{server: "http://" + l.Addr().String(), open: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { c.carry(in, server[len("http://"):]) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.Cut()
		all.Wait()
	})
	return c
}

// carry carries one connection.
func (c *cable) carry(in net.Conn, to string) {
	defer in.Close()
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	if !c.holds(in, out) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(out, in); _ = out.Close() })
	both.Go(func() { _, _ = io.Copy(in, out); _ = in.Close() })
	both.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, in)
	delete(c.open, out)
}

// holds remembers connections, to cut them; false says that the cable is cut.
func (c *cable) holds(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range conns {
		c.open[x] = true
	}
	return !c.cut
}

// Cut ends every connection, and refuses others.
func (c *cable) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	for x := range c.open {
		_ = x.Close()
	}
}

// Mend lets connections through again.
func (c *cable) Mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = false
}
