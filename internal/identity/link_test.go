package identity

import (
	"fmt"
	"testing"
	"time"
)

func TestLinks(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := newLinks()
	l.put("a", link{"olga", now.Add(time.Minute)})
	l.put("b", link{"olga", now.Add(-time.Second)})
	for i, want := range []string{"olga", ""} { // once
		if got := l.take("a", now); got != want {
			t.Errorf("take %d of a link = %q; want %q", i+1, got, want)
		}
	}
	if got := l.take("b", now); got != "" {
		t.Errorf("take of a link that is over = %q", got)
	}
	for i := range maxLinks + 1 {
		l.put(fmt.Sprint(i), link{"olga", now.Add(time.Duration(i+1) * time.Minute)})
	}
	if len(l.open) != maxLinks || l.take("0", now) != "" || l.take("1", now) != "olga" {
		t.Error("past the limit the oldest link ends, and no other")
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]bool{"127.0.0.1": true, "127.0.0.1 tok_x": true, "::1": true, "::ffff:127.0.0.1": true, "10.0.0.1": false, "": false, "localhost": false, "10.0.0.1 127.0.0.1": false} {
		if got := loopback(from); got != want {
			t.Errorf("loopback(%q) = %t; want %t", from, got, want)
		}
	}
}
