package secret_test

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/secret"
	"tutti/internal/secretbox"
	"tutti/internal/service/servicetest"
	"tutti/internal/store"
)

// box returns a box that seals with a key made of a letter, and opens with those of the others.
func box(t *testing.T, letters string) *secretbox.Box {
	t.Helper()
	var keys []string
	for _, l := range letters {
		keys = append(keys, base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(l), 32))))
	}
	b, err := secretbox.FromBase64(strings.Join(keys, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func set(ctx context.Context, e *servicetest.Env, ns, name, value string) (api.SecretInfo, error) {
	return api.SetSecret.Call(ctx, e.Deps.Bus, api.SetSecretIn{NS: api.NS{Namespace: ns}, Name: name, Body: api.SetSecretBody{Value: value}})
}

func resolve(t *testing.T, e *servicetest.Env, ns string, names ...string) (map[string]string, error) {
	r, err := api.ResolveSecrets.Call(servicetest.System(t), e.Deps.Bus, api.ResolveSecretsIn{NS: api.NS{Namespace: ns}, Names: names})
	return r.Values, err
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	servicetest.Both(t, "secret", secret.Migrations, func(t *testing.T, e *servicetest.Env) {
		e.Start(t, secret.New(box(t, "a")), api.ResolveSecrets)
		admin := servicetest.As(t, "user:root", "default", api.Admin)
		const value = "hunter2 \u00e4\nsecond line"
		for want := 1; want <= 2; want++ {
			i, err := set(admin, e, "default", "db_password", value)
			if err != nil || i.Version != want || i.By != "user:root" {
				t.Fatalf("SetSecret = %+v, %v; want version %d", i, err, want)
			}
		}
		got, err := resolve(t, e, "default", "db_password")
		if err != nil || got["db_password"] != value {
			t.Fatalf("ResolveSecrets = %v, %v", got, err)
		}
		if _, err := resolve(t, e, "other", "db_password"); !errs.Is(err, errs.NotFound) {
			t.Errorf("the secret of another namespace: %v; want not found", err)
		}
		if _, err := resolve(t, e, "default", "db_password", "x", "y"); !errs.Is(err, errs.NotFound) || !strings.Contains(err.Error(), "x, y") {
			t.Errorf("missing secrets: %v; want both named", err)
		}
		if _, err := api.ResolveSecrets.Call(admin, e.Deps.Bus, api.ResolveSecretsIn{NS: api.NS{Namespace: "default"}}); !errs.Is(err, errs.Denied) {
			t.Errorf("an admin resolving: %v; want denied", err)
		}
		if _, err := set(servicetest.As(t, "user:anna", "default", api.Author), e, "default", "x", "y"); !errs.Is(err, errs.Denied) {
			t.Errorf("an author setting: %v; want denied", err)
		}
		for _, name := range []string{"", "A", "a-b", "a.b", "../x", strings.Repeat("a", 64)} {
			if _, err := set(admin, e, "default", name, "v"); !errs.Is(err, errs.Invalid) {
				t.Errorf("SetSecret(%q) = %v; want invalid", name, err)
			}
		}
		for _, v := range []string{"", strings.Repeat("x", 65<<10)} {
			_, err := set(admin, e, "default", "x", v)
			if !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "xxx") {
				t.Errorf("a value of %d bytes: %v; want invalid without it", len(v), err)
			}
		}
		in := api.SecretIn{NS: api.NS{Namespace: "default"}, Name: "db_password"}
		if _, err := api.DeleteSecret.Call(admin, e.Deps.Bus, in); err != nil {
			t.Fatal(err)
		}
		if _, err := api.DeleteSecret.Call(admin, e.Deps.Bus, in); !errs.Is(err, errs.NotFound) {
			t.Errorf("deleting twice: %v; want not found", err)
		}
		if l, err := api.ListSecrets.Call(admin, e.Deps.Bus, api.ListSecretsIn{NS: in.NS}); err != nil || len(l.Items) != 0 {
			t.Errorf("ListSecrets = %v, %v; want none", l, err)
		}
		if i, err := set(admin, e, "default", "db_password", value); err != nil || i.Version != 4 {
			t.Errorf("SetSecret after a deletion = %+v, %v; want version 4", i, err)
		}
		if got := e.Acts(t); len(got) != 4 || got[2] != "user:root secret.delete db_password" {
			t.Errorf("audit = %q", got)
		}
		rows, _ := e.Deps.DB.Acts(t.Context(), "", 0, 10)
		for _, r := range rows {
			if strings.Contains(string(r.Detail), "hunter2") {
				t.Errorf("the audit trail holds the value: %s", r.Detail)
			}
		}
	})
}

func TestVersionsRiseUnderConcurrency(t *testing.T) {
	t.Parallel()
	servicetest.Both(t, "secret", secret.Migrations, func(t *testing.T, e *servicetest.Env) {
		e.Start(t, secret.New(box(t, "a")), api.ResolveSecrets)
		admin := servicetest.As(t, "user:root", "default", api.Admin)
		var mu sync.Mutex
		seen := map[int]bool{}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				i, err := set(admin, e, "default", "x", "v")
				mu.Lock()
				defer mu.Unlock()
				if err != nil || seen[i.Version] {
					t.Errorf("SetSecret = %+v, %v; want a version of its own", i, err)
				}
				seen[i.Version] = true
			})
		}
		wg.Wait()
		if got, err := resolve(t, e, "default", "x"); err != nil || got["x"] != "v" {
			t.Errorf("ResolveSecrets = %v, %v", got, err)
		}
	})
}

func TestRowsCannotBeSwapped(t *testing.T) {
	t.Parallel()
	e := servicetest.SQLite(t, "secret", secret.Migrations)
	e.Start(t, secret.New(box(t, "a")), api.ResolveSecrets)
	admin := servicetest.As(t, "user:root", "*", api.Admin)
	for _, ns := range []string{"mine", "theirs"} {
		if _, err := set(admin, e, ns, "x", "value of "+ns); err != nil {
			t.Fatal(err)
		}
	}
	err := e.Deps.DB.Tx(t.Context(), func(tx *store.Tx) error {
		return tx.Exec(`UPDATE secret_secrets SET sealed = (SELECT sealed FROM secret_secrets WHERE namespace = 'theirs') WHERE namespace = 'mine'`)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := resolve(t, e, "mine", "x"); !errs.Is(err, errs.Conflict) || got["x"] != "" {
		t.Errorf("a copied row resolves to %v, %v; want conflict", got, err)
	}
	if got, err := resolve(t, e, "theirs", "x"); err != nil || got["x"] != "value of theirs" {
		t.Errorf("its original = %v, %v", got, err)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	e := servicetest.SQLite(t, "secret", secret.Migrations)
	stop := e.Start(t, secret.New(box(t, "a")), api.ResolveSecrets)
	admin := servicetest.As(t, "user:root", "default", api.Admin)
	if _, err := set(admin, e, "default", "x", "the value"); err != nil {
		t.Fatal(err)
	}
	stop()
	e.Start(t, secret.New(box(t, "ba")), api.ResolveSecrets)() // started and stopped: sealed anew
	e.Start(t, secret.New(box(t, "b")), api.ResolveSecrets)
	if got, err := resolve(t, e, "default", "x"); err != nil || got["x"] != "the value" {
		t.Errorf("after the old key is gone ResolveSecrets = %v, %v", got, err)
	}
	files, _ := filepath.Glob(filepath.Join(e.Config.Dir, "*"))
	if len(files) == 0 {
		t.Fatal("no database")
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err != nil || strings.Contains(string(b), "the value") {
			t.Errorf("%s holds the value in the clear (%v)", f, err)
		}
	}
}
