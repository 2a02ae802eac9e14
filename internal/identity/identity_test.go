package identity_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/identity"
	"tutti/internal/service/servicetest"
)

const password = "correct horse battery"

// world is an identity service with an administrator, root, who is logged in.
type world struct {
	*servicetest.Env
	file  string
	admin string // root's session
}

func start(t *testing.T, e *servicetest.Env) *world {
	t.Helper()
	w := &world{Env: e, file: filepath.Join(t.TempDir(), "bootstrap-token")}
	e.Start(t, identity.New(identity.Config{TokenFile: w.file}), api.CreateNamespace)
	s, err := api.Bootstrap.Call(t.Context(), e.Deps.Bus, api.BootstrapIn{Body: api.BootstrapBody{Token: w.bootstrapToken(t), User: "root", Password: password}})
	if err != nil {
		t.Fatalf("Bootstrap: %v", err)
	}
	w.admin = s.Secret
	return w
}

func (w *world) bootstrapToken(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// as returns a context of calls made with a secret.
func (w *world) as(t *testing.T, secret string) context.Context {
	t.Helper()
	a, err := w.authenticate(t, secret)
	if err != nil {
		t.Fatalf("Authenticate: %v", err)
	}
	return bus.WithCaller(t.Context(), a.Caller)
}

func (w *world) authenticate(t *testing.T, secret string) (api.Authenticated, error) {
	return api.Authenticate.Call(servicetest.System(t), w.Deps.Bus, api.AuthenticateIn{Secret: secret})
}

func (w *world) create(t *testing.T, name string, grants ...api.GrantView) {
	t.Helper()
	in := api.CreateUserIn{Body: api.CreateUserBody{Name: name, Password: password, Grants: grants}}
	if _, err := api.CreateUser.Call(w.as(t, w.admin), w.Deps.Bus, in); err != nil {
		t.Fatalf("CreateUser(%s): %v", name, err)
	}
}

func (w *world) login(t *testing.T, name, pass string) (string, error) {
	s, err := api.Login.Call(t.Context(), w.Deps.Bus, api.LoginIn{Body: api.LoginBody{User: name, Password: pass}})
	return s.Secret, err
}

func (w *world) mustLogin(t *testing.T, name string) string {
	t.Helper()
	secret, err := w.login(t, name, password)
	if err != nil {
		t.Fatalf("Login(%s): %v", name, err)
	}
	return secret
}

func (w *world) token(t *testing.T, ctx context.Context, b api.CreateTokenBody) (api.Token, error) {
	b.Name = "ci"
	return api.CreateToken.Call(ctx, w.Deps.Bus, api.CreateTokenIn{Body: b})
}

func grant(namespace, role string) api.GrantView {
	return api.GrantView{Namespace: namespace, Role: role}
}

func want(t *testing.T, what string, err error, kind errs.Kind) {
	t.Helper()
	if err == nil || errs.KindOf(err) != kind {
		t.Errorf("%s: error = %v (kind %q); want kind %q", what, err, errs.KindOf(err), kind)
	}
}

func both(t *testing.T, f func(*testing.T, *world)) {
	t.Parallel()
	servicetest.Both(t, "identity", identity.Migrations, func(t *testing.T, e *servicetest.Env) { f(t, start(t, e)) })
}

func TestBootstrap(t *testing.T) {
	t.Parallel()
	e := servicetest.SQLite(t, "identity", identity.Migrations)
	file := filepath.Join(t.TempDir(), "bootstrap-token")
	run := func() func() {
		return e.Start(t, identity.New(identity.Config{TokenFile: file}), api.CreateNamespace)
	}
	read := func() string {
		b, _ := os.ReadFile(file)
		return strings.TrimSpace(string(b))
	}
	boot := func(token, pass string) error {
		_, err := api.Bootstrap.Call(t.Context(), e.Deps.Bus, api.BootstrapIn{Body: api.BootstrapBody{Token: token, User: "root", Password: pass}})
		return err
	}
	stop := run()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the token file is %v, %v; want mode 0600", info, err)
	}
	first := read()
	stop()
	stop = run()
	if read() != first {
		t.Error("a restart replaced a good token")
	}
	stop()
	if err := os.WriteFile(file, []byte("planted\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run()
	second := read()
	if info, _ := os.Stat(file); second == "planted" || second == first || info.Mode().Perm() != 0o600 {
		t.Errorf("a planted file was not replaced: %q", second)
	}
	want(t, "an old token", boot(first, password), errs.Denied)
	want(t, "a planted token", boot("planted", password), errs.Denied)
	want(t, "no token", boot("", password), errs.Denied)
	want(t, "a short password", boot(second, "short"), errs.Invalid)
	if err := boot(second, password); err != nil {
		t.Fatalf("Bootstrap: %v", err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the token file is still there: %v", err)
	}
	want(t, "the token again", boot(second, password), errs.Denied)
	if got := e.Acts(t); len(got) != 1 || got[0] != "user:root identity.bootstrap root" {
		t.Errorf("audit = %q; want the bootstrap by root", got)
	}
}

func TestBootstrapFileReturnsNotWithUsers(t *testing.T) {
	t.Parallel()
	w := start(t, servicetest.SQLite(t, "identity", identity.Migrations))
	if err := os.WriteFile(w.file, []byte("left by a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Start(t, identity.New(identity.Config{TokenFile: w.file}), api.CreateNamespace)
	if _, err := os.Stat(w.file); !os.IsNotExist(err) {
		t.Errorf("a spent token file is still there after a restart: %v", err)
	}
}

func TestDemoToken(t *testing.T) {
	t.Parallel()
	e := servicetest.SQLite(t, "identity", identity.Migrations)
	token, file := identity.NewToken(), filepath.Join(t.TempDir(), "t")
	w := &world{Env: e}
	stop := e.Start(t, identity.New(identity.Config{TokenFile: file, AdminToken: token}), api.CreateNamespace)
	if _, err := api.ListUsers.Call(w.as(t, token), e.Deps.Bus, api.Nothing{}); err != nil {
		t.Errorf("ListUsers with the demo token: %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a bootstrap token was offered beside the demo token")
	}
	_, err := w.login(t, "demo", "")
	want(t, "a login without password", err, errs.Unauthenticated)
	stop()
	e.Start(t, identity.New(identity.Config{TokenFile: file}), api.CreateNamespace)
	_, err = w.authenticate(t, token)
	want(t, "the demo token after a start without it", err, errs.Unauthenticated)
	if _, err := os.Stat(file); err != nil {
		t.Errorf("nobody can log in, yet there is no bootstrap token: %v", err)
	}
	if _, err := identity.New(identity.Config{AdminToken: "tutti_x"})(e.Deps); err == nil {
		t.Error("New took a guessable token")
	}
}

func TestUsersAndSessions(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.create(t, "anna", grant("default", api.Operator))
		anna := w.mustLogin(t, "anna")
		a, err := w.authenticate(t, anna)
		if err != nil || a.Caller.Subject != "user:anna" || !a.Session {
			t.Fatalf("Authenticate = %+v, %v; want a session of anna", a, err)
		}
		me, err := api.WhoAmI.Call(w.as(t, anna), w.Deps.Bus, api.Nothing{})
		if err != nil || me.Subject != "user:anna" || !cmp.Equal(me.Grants, []api.GrantView{grant("default", api.Operator)}) || len(me.Permissions["default"]) == 0 {
			t.Errorf("WhoAmI = %+v, %v", me, err)
		}
		_, err = api.CreateUser.Call(w.as(t, anna), w.Deps.Bus, api.CreateUserIn{})
		want(t, "an operator creating users", err, errs.Denied)

		update := func(b api.UpdateUserBody) {
			t.Helper()
			if _, err := api.UpdateUser.Call(w.as(t, w.admin), w.Deps.Bus, api.UpdateUserIn{Name: "anna", Body: b}); err != nil {
				t.Fatalf("UpdateUser: %v", err)
			}
		}
		other, yes, no := password+"!", true, false
		update(api.UpdateUserBody{Password: &other})
		_, err = w.authenticate(t, anna)
		want(t, "a session after the password changed", err, errs.Unauthenticated)
		_, err = w.login(t, "anna", password)
		want(t, "the old password", err, errs.Unauthenticated)
		anna, err = w.login(t, "anna", other)
		if err != nil {
			t.Fatal(err)
		}
		update(api.UpdateUserBody{Grants: &[]api.GrantView{grant("*", api.Viewer)}})
		if a, err := w.authenticate(t, anna); err != nil || a.Caller.Grants[0] != (bus.Grant{Namespace: "*", Role: "viewer"}) {
			t.Errorf("after a change of grants Authenticate = %+v, %v", a, err)
		}
		update(api.UpdateUserBody{Off: &yes})
		_, err = w.authenticate(t, anna)
		want(t, "a session of a user who is off", err, errs.Unauthenticated)
		_, err = w.login(t, "anna", other)
		want(t, "a login of a user who is off", err, errs.Unauthenticated)
		update(api.UpdateUserBody{Off: &no})
		_, err = w.authenticate(t, anna)
		want(t, "an old session of a user who is on again", err, errs.Unauthenticated)
		anna, err = w.login(t, "anna", other)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := api.Logout.Call(w.as(t, anna), w.Deps.Bus, api.LogoutIn{Secret: anna}); err != nil {
			t.Fatal(err)
		}
		_, err = w.authenticate(t, anna)
		want(t, "a session after logging out", err, errs.Unauthenticated)
		if _, err := api.DeleteUser.Call(w.as(t, w.admin), w.Deps.Bus, api.UserIn{Name: "anna"}); err != nil {
			t.Fatal(err)
		}
		us, err := api.ListUsers.Call(w.as(t, w.admin), w.Deps.Bus, api.Nothing{})
		if err != nil || len(us.Items) != 1 || us.Items[0].Name != "root" {
			t.Errorf("ListUsers = %+v, %v; want root alone", us, err)
		}
	})
}

func TestWrongUserAndWrongPasswordSayTheSame(t *testing.T) {
	t.Parallel()
	w := start(t, servicetest.SQLite(t, "identity", identity.Migrations))
	var answers []string
	for _, c := range [][2]string{{"root", "wrong password here"}, {"nobody", password}, {"", password}, {"root\x00", password}, {"root", strings.Repeat("x", 5000)}, {"' OR 1=1 --", "x"}} {
		_, err := w.login(t, c[0], c[1])
		want(t, "Login "+c[0], err, errs.Unauthenticated)
		b, _ := json.Marshal(errs.Public(err))
		answers = append(answers, string(b))
	}
	for _, a := range answers {
		if a != answers[0] {
			t.Errorf("answers differ: %s and %s", a, answers[0])
		}
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, servicetest.SQLite(t, "identity", identity.Migrations))
		var err error
		for range 10 {
			_, err = w.login(t, "root", "wrong password here")
			want(t, "a wrong password", err, errs.Unauthenticated)
		}
		_, err = w.login(t, "root", password)
		want(t, "the eleventh attempt", err, errs.Limited)
		if r := errs.Public(err).Retry; r <= 0 || r > time.Minute {
			t.Errorf("Retry = %v; want a few seconds", r)
		}
		time.Sleep(errs.Public(err).Retry)
		for range 20 { // what succeeds does not count
			w.mustLogin(t, "root")
		}
		from := bus.WithCaller(t.Context(), bus.Caller{From: "198.51.100.7"})
		for i := range 31 {
			_, err = api.Login.Call(from, w.Deps.Bus, api.LoginIn{Body: api.LoginBody{User: "user" + strings.Repeat("x", i), Password: "wrong"}})
		}
		want(t, "an origin that tries many names", err, errs.Limited)
		w.mustLogin(t, "root")
	})
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, servicetest.SQLite(t, "identity", identity.Migrations))
		tok, err := w.token(t, w.as(t, w.admin), api.CreateTokenBody{Expires: api.Duration(24 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(12*time.Hour - time.Second)
		w.as(t, w.admin)
		time.Sleep(time.Second)
		_, err = w.authenticate(t, w.admin)
		want(t, "a session after 12 h", err, errs.Unauthenticated)
		time.Sleep(12*time.Hour - time.Second)
		w.as(t, tok.Secret)
		time.Sleep(time.Second)
		_, err = w.authenticate(t, tok.Secret)
		want(t, "a token after its time", err, errs.Unauthenticated)
	})
}

func TestTokens(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		if _, err := api.CreateNamespace.Call(w.as(t, w.admin), w.Deps.Bus, api.CreateNamespaceIn{Body: api.CreateNamespaceBody{Name: "prod"}}); err != nil {
			t.Fatal(err)
		}
		w.create(t, "anna", grant("default", api.Author), grant("prod", api.Viewer))
		anna := w.as(t, w.mustLogin(t, "anna"))

		plain, err := w.token(t, anna, api.CreateTokenBody{})
		if err != nil || !strings.HasPrefix(plain.Secret, "tutti_") || len(plain.Secret) != len("tutti_")+43 {
			t.Fatalf("CreateToken = %+v, %v", plain, err)
		}
		scoped, err := w.token(t, anna, api.CreateTokenBody{Grants: []api.GrantView{grant("default", api.Viewer)}})
		if err != nil {
			t.Fatal(err)
		}
		check := func(tok api.Token, grants ...bus.Grant) {
			t.Helper()
			a, err := w.authenticate(t, tok.Secret)
			if err != nil || !cmp.Equal(a.Caller.Grants, grants) || a.Session || a.Caller.Subject != "user:anna" || a.Caller.From != tok.ID {
				t.Errorf("Authenticate = %+v, %v; want %v", a, err, grants)
			}
		}
		check(plain, bus.Grant{Namespace: "default", Role: "author"}, bus.Grant{Namespace: "prod", Role: "viewer"})
		check(scoped, bus.Grant{Namespace: "default", Role: "viewer"})

		_, err = w.token(t, anna, api.CreateTokenBody{Grants: []api.GrantView{grant("prod", api.Operator)}})
		want(t, "a token that exceeds its user", err, errs.Denied)
		_, err = w.token(t, anna, api.CreateTokenBody{Grants: []api.GrantView{grant("*", api.Viewer)}})
		want(t, "a token for everywhere", err, errs.Denied)
		_, err = w.token(t, anna, api.CreateTokenBody{User: "root"})
		want(t, "a token for another user", err, errs.Denied)
		_, err = w.token(t, w.as(t, scoped.Secret), api.CreateTokenBody{})
		want(t, "a scoped token making an unscoped one", err, errs.Denied)
		_, err = w.token(t, w.as(t, scoped.Secret), api.CreateTokenBody{Grants: []api.GrantView{grant("default", api.Operator)}})
		want(t, "a scoped token making a stronger one", err, errs.Denied)
		_, err = w.token(t, anna, api.CreateTokenBody{Expires: api.Duration(1001 * 24 * time.Hour)})
		want(t, "a token for too long", err, errs.Invalid)
		_, err = w.token(t, anna, api.CreateTokenBody{Grants: []api.GrantView{grant("default", bus.SystemRole)}})
		want(t, "a token with the system role", err, errs.Invalid)
		_, err = w.token(t, w.as(t, w.admin), api.CreateTokenBody{User: "anna", Grants: []api.GrantView{grant("default", api.Admin)}})
		want(t, "an administrator making a token that exceeds its user", err, errs.Denied)

		// What the user loses, its tokens lose.
		down := []api.GrantView{grant("default", api.Viewer)}
		if _, err := api.UpdateUser.Call(w.as(t, w.admin), w.Deps.Bus, api.UpdateUserIn{Name: "anna", Body: api.UpdateUserBody{Grants: &down}}); err != nil {
			t.Fatal(err)
		}
		check(plain, bus.Grant{Namespace: "default", Role: "viewer"})

		list := func(ctx context.Context) int {
			p, err := api.ListTokens.Call(ctx, w.Deps.Bus, api.Nothing{})
			if err != nil {
				t.Fatal(err)
			}
			for _, tok := range p.Items {
				if tok.Secret != "" {
					t.Error("ListTokens shows a secret")
				}
			}
			return len(p.Items)
		}
		if mine, all := list(anna), list(w.as(t, w.admin)); mine != 2 || all != 2 {
			t.Errorf("ListTokens gives %d and %d; want 2 and 2", mine, all)
		}
		w.create(t, "ben", grant("default", api.Author))
		ben := w.as(t, w.mustLogin(t, "ben"))
		if n := list(ben); n != 0 {
			t.Errorf("ben sees %d tokens of anna", n)
		}
		_, err = api.RevokeToken.Call(ben, w.Deps.Bus, api.TokenIn{ID: plain.ID})
		want(t, "ben revoking anna's token", err, errs.NotFound)
		if _, err := api.RevokeToken.Call(anna, w.Deps.Bus, api.TokenIn{ID: plain.ID}); err != nil {
			t.Fatal(err)
		}
		_, err = w.authenticate(t, plain.Secret)
		want(t, "a revoked token", err, errs.Unauthenticated)
		if _, err := api.DeleteUser.Call(w.as(t, w.admin), w.Deps.Bus, api.UserIn{Name: "anna"}); err != nil {
			t.Fatal(err)
		}
		_, err = w.authenticate(t, scoped.Secret)
		want(t, "a token of a deleted user", err, errs.Unauthenticated)
	})
}

func TestNobodyGrantsWhatTheyDoNotHold(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.create(t, "local", grant("default", api.Admin))
		local := w.as(t, w.mustLogin(t, "local"))
		_, err := api.CreateUser.Call(local, w.Deps.Bus, api.CreateUserIn{Body: api.CreateUserBody{Name: "x", Password: password}})
		want(t, "an admin of one namespace creating users", err, errs.Denied)
		_, err = w.token(t, local, api.CreateTokenBody{Grants: []api.GrantView{grant("*", api.Viewer)}})
		want(t, "an admin of one namespace granting in all", err, errs.Denied)
		_, err = api.CreateUser.Call(w.as(t, w.admin), w.Deps.Bus, api.CreateUserIn{Body: api.CreateUserBody{Name: "x", Password: password, Grants: []api.GrantView{grant("nowhere", api.Viewer)}}})
		want(t, "a grant in no namespace", err, errs.Invalid)
		_, err = api.CreateUser.Call(w.as(t, w.admin), w.Deps.Bus, api.CreateUserIn{Body: api.CreateUserBody{Name: "root", Password: password}})
		want(t, "a user that exists", err, errs.Conflict)
		for _, name := range []string{"", "Anna", "a b", "a\nb", "ä", "-", "*"} {
			_, err = api.CreateUser.Call(w.as(t, w.admin), w.Deps.Bus, api.CreateUserIn{Body: api.CreateUserBody{Name: name, Password: password}})
			want(t, "a user named "+name, err, errs.Invalid)
		}
		_, err = api.CreateUser.Call(w.as(t, w.admin), w.Deps.Bus, api.CreateUserIn{Body: api.CreateUserBody{Name: "x", Password: password, Mail: "a@b\r\nBcc: c@d"}})
		want(t, "a mail address with a header in it", err, errs.Invalid)
	})
}

func TestLastAdministrator(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		yes, none := true, []api.GrantView{}
		update := func(name string, b api.UpdateUserBody) error {
			_, err := api.UpdateUser.Call(w.as(t, w.admin), w.Deps.Bus, api.UpdateUserIn{Name: name, Body: b})
			return err
		}
		want(t, "turning off the last administrator", update("root", api.UpdateUserBody{Off: &yes}), errs.Conflict)
		want(t, "taking its grants", update("root", api.UpdateUserBody{Grants: &none}), errs.Conflict)
		_, err := api.DeleteUser.Call(w.as(t, w.admin), w.Deps.Bus, api.UserIn{Name: "root"})
		want(t, "deleting it", err, errs.Conflict)
		w.create(t, "second", grant("*", api.Admin))
		w.create(t, "third", grant("*", api.Admin))

		// All turn each other off at once: one must remain.
		admins := []string{"root", "second", "third"}
		ctx := map[string]context.Context{}
		for _, name := range admins {
			ctx[name] = w.as(t, w.mustLogin(t, name))
		}
		done := make(chan error)
		for i, name := range admins {
			go func() {
				_, err := api.UpdateUser.Call(ctx[name], w.Deps.Bus, api.UpdateUserIn{Name: admins[(i+1)%3], Body: api.UpdateUserBody{Off: &yes}})
				done <- err
			}()
		}
		refused := 0
		for range admins {
			if err := <-done; err != nil {
				want(t, "the last one off", err, errs.Conflict)
				refused++
			}
		}
		if refused != 1 {
			t.Errorf("%d of 3 were refused; want 1", refused)
		}
	})
}

func TestNamespaces(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		make := func(ctx context.Context, name string) error {
			_, err := api.CreateNamespace.Call(ctx, w.Deps.Bus, api.CreateNamespaceIn{Body: api.CreateNamespaceBody{Name: name}})
			return err
		}
		root := w.as(t, w.admin)
		exist := func() []string {
			a, err := w.authenticate(t, w.admin)
			if err != nil {
				t.Fatal(err)
			}
			return a.Namespaces
		}
		before := exist()
		if err := make(root, "prod"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([][]string{{"default"}, {"default", "prod"}}, [][]string{before, exist()}); diff != "" {
			t.Errorf("namespaces that who administers all is told of, before and after (-want +got):\n%s", diff)
		}
		want(t, "the same again", make(root, "prod"), errs.Conflict)
		want(t, "the default one", make(root, "default"), errs.Conflict)
		want(t, "every namespace", make(root, "*"), errs.Invalid)
		want(t, "a path", make(root, "../etc"), errs.Invalid)
		w.create(t, "anna", grant("prod", api.Viewer))
		names := func(ctx context.Context) (out []string) {
			p, err := api.ListNamespaces.Call(ctx, w.Deps.Bus, api.Nothing{})
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range p.Items {
				out = append(out, n.Name)
			}
			return out
		}
		if diff := cmp.Diff([]string{"default", "prod"}, names(root)); diff != "" {
			t.Errorf("root sees (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"prod"}, names(w.as(t, w.mustLogin(t, "anna")))); diff != "" {
			t.Errorf("anna sees (-want +got):\n%s", diff)
		}
	})
}

func TestNothingSecretIsKept(t *testing.T) {
	t.Parallel()
	w := start(t, servicetest.SQLite(t, "identity", identity.Migrations))
	tok, err := w.token(t, w.as(t, w.admin), api.CreateTokenBody{})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(w.Config.Dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no database: %v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{password, w.admin, tok.Secret} {
			if strings.Contains(string(b), secret) {
				t.Errorf("%s holds a secret in the clear", f)
			}
		}
	}
	rows, err := w.Deps.DB.Acts(t.Context(), "", 0, 100)
	if err != nil || len(rows) == 0 {
		t.Fatalf("no audit trail: %v", err)
	}
	for _, r := range rows {
		if strings.Contains(string(r.Detail), "argon2") || strings.Contains(string(r.Detail), tok.Secret) {
			t.Errorf("the audit trail says too much: %s", r.Detail)
		}
	}
}
