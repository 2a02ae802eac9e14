package identity

import (
	"context"
	"os"
	"testing"

	"github.com/alexedwards/argon2id"
	"pgregory.net/rapid"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
)

var (
	places = rapid.SampledFrom([]string{"*", "a", "b"})
	views  = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) api.GrantView {
		return api.GrantView{Namespace: places.Draw(t, "namespace"), Role: rapid.SampledFrom(api.Roles).Draw(t, "role")}
	}), 0, 4)
)

// may is the policy of the bus.
func may(gs []api.GrantView, permission, namespace string) bool {
	return api.Allow(bus.Caller{Grants: grantsOf(gs)}, permission, namespace) == nil
}

// A scoped token may do only what both its scope and its user allow, and everything where they agree.
func TestIntersect(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		scope, user := views.Draw(t, "scope"), views.Draw(t, "user")
		got := intersect(scope, user)
		for _, p := range api.PermissionsOf(api.Admin) {
			for _, ns := range []string{"a", "b", ""} {
				if may(got, p, ns) && (!may(scope, p, ns) || !may(user, p, ns)) {
					t.Fatalf("intersect(%v, %v) = %v allows %s in %q", scope, user, got, p, ns)
				}
			}
		}
		for _, g := range scope {
			if covers(grantsOf(user), []api.GrantView{g}) == nil && !contains(user, g) {
				continue // held in pieces
			}
			if contains(user, g) && covers(grantsOf(got), []api.GrantView{g}) != nil {
				t.Fatalf("intersect(%v, %v) = %v lost %v", scope, user, got, g)
			}
		}
	})
}

func contains(gs []api.GrantView, g api.GrantView) bool {
	for _, h := range gs {
		if h == g {
			return true
		}
	}
	return false
}

// What may be granted gives nobody more than the granter may do.
func TestCovers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		have, give := views.Draw(t, "have"), views.Draw(t, "give")
		err := covers(grantsOf(have), give)
		for _, p := range api.PermissionsOf(api.Admin) {
			for _, ns := range []string{"a", "b", ""} {
				if err == nil && may(give, p, ns) && !may(have, p, ns) {
					t.Fatalf("who has %v may grant %v, which allows %s in %q", have, give, p, ns)
				}
			}
		}
		if covers(grantsOf(have), have) != nil {
			t.Fatalf("who has %v may not grant it", have)
		}
	})
	if err := covers([]bus.Grant{{Namespace: "*", Role: bus.SystemRole}}, []api.GrantView{{Namespace: "*", Role: api.Admin}}); err != nil {
		t.Errorf("a service may not grant: %v", err)
	}
}

func TestPasswordsAreBounded(t *testing.T) {
	t.Parallel()
	p := newPasswords()
	for range cap(p.slots) {
		if _, err := p.slot(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.check(gone, "x", ""); !errs.Is(err, errs.Unavailable) {
		t.Errorf("check with all slots taken = %v; want unavailable once the caller is gone", err)
	}
	p.waiting.Store(maxQueue)
	if _, err := p.check(t.Context(), "x", ""); !errs.Is(err, errs.Limited) {
		t.Errorf("check with a full queue = %v; want limited", err)
	}
	if p.waiting.Load() != maxQueue {
		t.Errorf("a refused check left %d waiting; want %d", p.waiting.Load(), maxQueue)
	}
}

// shipped is what a password costs outside these tests, which check hundreds: under the race detector each
// takes a third of a second.
var shipped argon2id.Params

func TestMain(m *testing.M) {
	shipped = *params
	params.Memory, params.Iterations = 64, 1
	os.Exit(m.Run())
}

func TestPasswordsAreCostly(t *testing.T) {
	t.Parallel()
	if want := (argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}); shipped != want {
		t.Errorf("params = %+v; want %+v", shipped, want)
	}
}

func TestNoPasswordFitsNoHash(t *testing.T) {
	t.Parallel()
	p, salt, key, err := argon2id.DecodeHash(noHash())
	if err != nil || *p != *params || len(salt) == 0 || len(key) == 0 {
		t.Fatalf("DecodeHash = %+v, %v; want %+v", p, err, params)
	}
	if ok, err := newPasswords().check(t.Context(), "a password of some length", ""); ok || err != nil {
		t.Errorf("check = %t, %v; want false, and no error", ok, err)
	}
}
