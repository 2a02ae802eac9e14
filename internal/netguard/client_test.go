package netguard_test

import (
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/errs"
	"tutti/internal/netguard"
)

// allow returns a guard that may reach the given servers and nothing else that is special.
func allow(t *testing.T, servers ...*httptest.Server) *netguard.Guard {
	t.Helper()
	var hosts []string
	for _, s := range servers {
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, u.Host)
	}
	g, err := netguard.Parse(hosts)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestClientRefusesAndIgnoresProxies(t *testing.T) {
	proxied := serve(t, func(w http.ResponseWriter, r *http.Request) { t.Errorf("the proxy was asked for %s", r.URL) })
	t.Setenv("HTTP_PROXY", proxied.URL)
	t.Setenv("http_proxy", proxied.URL)
	secret := serve(t, func(w http.ResponseWriter, r *http.Request) { t.Error("a forbidden server was reached") })
	_, err := allow(t, proxied).Client(netguard.Options{}).Get(secret.URL)
	if !errs.Is(err, errs.Denied) {
		t.Errorf("Get = %v; want Denied", err)
	}
}

func TestRedirectsAreChecked(t *testing.T) {
	t.Parallel()
	hidden := serve(t, func(w http.ResponseWriter, r *http.Request) { t.Error("a forbidden server was reached") })
	var to string
	front := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/end" {
			io.WriteString(w, "end")
			return
		}
		if r.URL.Path == "/plain" {
			http.Redirect(w, r, "/end", http.StatusFound)
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	})
	c := allow(t, front).Client(netguard.Options{})
	for _, to = range []string{hidden.URL, "file:///etc/passwd", "gopher://127.0.0.1/", "ftp://example.com/", "/loop", "http://169.254.169.254/latest/meta-data/", "http://[::ffff:127.0.0.1]:1/", "http://127.1:22/", "http://2130706433/"} {
		resp, err := c.Get(front.URL)
		if err == nil {
			resp.Body.Close()
			t.Errorf("Get with a redirect to %s = %s; want an error", to, resp.Status)
		}
	}
	resp, err := c.Get(front.URL + "/plain")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := netguard.ReadAll(resp.Body, 3); string(b) != "end" || err != nil {
		t.Errorf("body = %q, %v; want end", b, err)
	}
	resp, err = allow(t, front).Client(netguard.Options{Redirects: -1}).Get(front.URL)
	if err != nil || resp.StatusCode != http.StatusFound {
		t.Errorf("Get without following = %v, %v; want the redirect itself", resp, err)
	}
}

func TestRedirectCarriesNoCredentials(t *testing.T) {
	t.Parallel()
	var got http.Header
	other := serve(t, func(w http.ResponseWriter, r *http.Request) { got = r.Header })
	code := http.StatusFound
	front := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, code)
	})
	c := allow(t, front, other).Client(netguard.Options{})
	req, _ := http.NewRequestWithContext(t.Context(), "GET", front.URL+"/?token=t", nil)
	req.Header = http.Header{"X-Api-Key": {"k"}, "Authorization": {"Bearer k"}, "Cookie": {"a=b"}, "Accept": {"text/plain"}, "User-Agent": {"tutti"}}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	want := http.Header{"Accept": {"text/plain"}, "User-Agent": {"tutti"}, "Accept-Encoding": {"gzip"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers at the other host (-want +got):\n%s", diff)
	}

	code, got = http.StatusTemporaryRedirect, nil
	if _, err := c.Post(front.URL, "text/plain", strings.NewReader("secret")); !errs.Is(err, errs.Denied) || got != nil {
		t.Errorf("Post redirected with its body to another host = %v (headers there %v); want Denied", err, got)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	plain := serve(t, func(w http.ResponseWriter, r *http.Request) { t.Error("followed from https to http") })
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			http.Redirect(w, r, plain.URL, http.StatusFound)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains about the client we want to fail
	s.StartTLS()
	t.Cleanup(s.Close)
	g := allow(t, s, plain)
	if _, err := g.Client(netguard.Options{}).Get(s.URL); err == nil {
		t.Error("Get with an unknown certificate succeeded")
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	for _, o := range []netguard.Options{{RootCAs: roots}, {Insecure: true}} {
		c := g.Client(o)
		resp, err := c.Get(s.URL)
		if err != nil {
			t.Fatalf("Get = %v", err)
		}
		resp.Body.Close()
		if _, err := c.Get(s.URL + "/down"); !errs.Is(err, errs.Denied) {
			t.Errorf("Get with a downgrade = %v; want Denied", err)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		default:
			fmt.Fprint(w, strings.Repeat("x", 100))
		}
	})
	t.Cleanup(func() { close(stop) })
	g := allow(t, s)
	for _, tc := range []struct {
		limit int64
		ok    bool
	}{{99, false}, {100, true}, {1, false}, {0, true}, {-1, true}} {
		resp, err := g.Client(netguard.Options{MaxBody: tc.limit}).Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if tc.ok && (len(b) != 100 || err != nil) || !tc.ok && (!errs.Is(err, errs.TooLarge) || int64(len(b)) > tc.limit) {
			t.Errorf("MaxBody %d: read %d bytes, %v; want ok: %v", tc.limit, len(b), err, tc.ok)
		}
	}
	start := time.Now()
	if _, err := g.Client(netguard.Options{Timeout: 50 * time.Millisecond}).Get(s.URL + "/slow"); err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("Get of a slow server = %v after %s; want a quick error", err, time.Since(start))
	}
	if _, err := netguard.ReadAll(strings.NewReader("four"), 3); !errs.Is(err, errs.TooLarge) {
		t.Errorf("ReadAll past its limit = %v; want TooLarge", err)
	}
}
