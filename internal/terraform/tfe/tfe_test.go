package tfe_test

import (
	"bytes"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tutti/errs"
	"tutti/internal/netguard"
	"tutti/internal/terraform"
	"tutti/internal/terraform/terraformtest"
	"tutti/internal/terraform/tfe"
	"tutti/internal/terraform/tfetest"
)

func config() tfe.Config {
	return tfe.Config{Dial: new(net.Dialer).DialContext, Poll: 100 * time.Millisecond}
}

func open(t *testing.T, s *tfetest.Server) terraform.Driver {
	t.Helper()
	d, err := tfe.New(config())("default", terraform.Connection{Driver: "tfe", URL: s.URL, Organization: s.Organization, Token: s.Token})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDriver(t *testing.T) {
	t.Parallel()
	terraformtest.Run(t, func(t *testing.T) terraform.Driver { return open(t, tfetest.New(t)) })
}

// Each bad day has its failure, and says whether another attempt may help.
func TestBadDays(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		typ    string
		retry  bool
	}{
		"no token": {401, terraform.FailDenied, false}, "no right": {403, terraform.FailDenied, false}, "conflict": {409, terraform.FailConflict, false},
		"broken": {500, terraform.FailServer, true}, "down": {503, terraform.FailServer, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tfetest.New(t)
			s.Fault = func(r *http.Request) int { return tc.status }
			_, err := open(t, s).Ensure(t.Context(), "w")
			terraformtest.Fails(t, err, tc.typ, tc.retry)
		})
	}
	t.Run("limited", func(t *testing.T) { // the library waits and asks again
		t.Parallel()
		s := tfetest.New(t)
		var n atomic.Int32
		s.Fault = func(*http.Request) int {
			if n.Add(1) < 3 {
				return 429
			}
			return 0
		}
		if _, err := open(t, s).Ensure(t.Context(), "w"); err != nil {
			t.Errorf("Ensure = %v", err)
		}
	})
	t.Run("half an upload", func(t *testing.T) {
		t.Parallel()
		s := tfetest.New(t)
		broken := true
		s.Fault = func(r *http.Request) int {
			if r.Method == http.MethodPut && broken {
				broken = false
				return 502
			}
			return 0
		}
		d := open(t, s)
		if _, err := d.Ensure(t.Context(), "w"); err != nil {
			t.Fatal(err)
		}
		_, err := d.Upload(t.Context(), "w", terraformtest.Config(`output "x" { value = 1 }`))
		terraformtest.Fails(t, err, terraform.FailUpload, true)
		if _, err := d.Upload(t.Context(), "w", terraformtest.Config(`output "x" { value = 1 }`)); err != nil {
			t.Errorf("Upload again = %v", err)
		}
	})
	t.Run("unreachable", func(t *testing.T) {
		t.Parallel()
		s := tfetest.New(t)
		d := open(t, s)
		s.Close()
		_, err := d.Ensure(t.Context(), "w")
		terraformtest.Fails(t, err, terraform.FailUnreachable, true)
	})
	t.Run("guarded", func(t *testing.T) {
		t.Parallel()
		s := tfetest.New(t)
		c := config()
		c.Dial = new(netguard.Guard).DialContext
		d, err := tfe.New(c)("default", terraform.Connection{URL: s.URL, Organization: s.Organization, Token: s.Token})
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Ensure(t.Context(), "w")
		terraformtest.Fails(t, err, terraform.FailDenied, false)
	})
}

// Whoever began a run and died before noting its ID is followed by one that finds it.
func TestBegunOnce(t *testing.T) {
	t.Parallel()
	s := tfetest.New(t)
	d := open(t, s)
	if _, err := d.Ensure(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	id, err := d.Upload(t.Context(), "w", terraformtest.Config(`resource "terraform_data" "a" {}`))
	if err != nil {
		t.Fatal(err)
	}
	in := terraform.PlanIn{Workspace: "w", Config: id, Key: "k", Message: "trace 4bf92f3577b34da6a3ce929d0e0e4736"}
	first, err := d.StartPlan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	again, err := open(t, s).StartPlan(t.Context(), in)
	if err != nil || again != first {
		t.Errorf("StartPlan again = %q, %v; want %q", again, err, first)
	}
	if _, err := d.AwaitPlan(t.Context(), "w", first, new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.StartApply(t.Context(), "w", first, "yes"); err != nil {
			t.Errorf("StartApply = %v", err)
		}
	}
	if _, err := d.AwaitApply(t.Context(), "w", first, new(bytes.Buffer)); err != nil {
		t.Error(err)
	}
	if got := s.Applied("w"); len(got) != 1 || !strings.Contains(got[0], "trace 4bf92f3577b34da6a3ce929d0e0e4736") {
		t.Errorf("applied: %q; want one run, which names the trace", got)
	}
}

func TestConnections(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]terraform.Connection{
		"no url": {Organization: "a", Token: "t"}, "http elsewhere": {URL: "http://terraform.example.com", Organization: "a", Token: "t"},
		"user in it": {URL: "https://a:b@terraform.example.com", Organization: "a", Token: "t"}, "no token": {URL: "https://terraform.example.com", Organization: "a"},
		"organization": {URL: "https://terraform.example.com", Organization: "../x", Token: "t"}, "a path": {URL: "https://terraform.example.com/x", Organization: "a", Token: "t"},
	} {
		if _, err := tfe.New(config())("default", c); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v; want Invalid", name, err)
		}
	}
}
