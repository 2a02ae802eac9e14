package awx_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"tutti/internal/ansible"
	"tutti/internal/ansible/awx"
)

// The token is for the host of the connection: a redirect takes neither it nor the call elsewhere.
func TestTokenStaysAtItsHost(t *testing.T) {
	t.Parallel()
	var elsewhere, asked atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(s.Close)
	d, err := awx.New(config())("default", ansible.Connection{Driver: "awx", URL: s.URL, Token: "a-token-for-one-host"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Launch(t.Context(), job()); err == nil {
		t.Error("Launch at a host that redirects succeeded")
	}
	if asked.Load() == 0 || elsewhere.Load() != 0 {
		t.Errorf("the host was asked %d times, another one %d times; want the other never", asked.Load(), elsewhere.Load())
	}
}
