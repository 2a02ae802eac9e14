package browsertest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"tutti/api"
	"tutti/bus"
	"tutti/internal/app"
	"tutti/internal/identity"
	"tutti/sdk"
)

// Password is that of every user of a Site.
const Password = "correct horse battery"

// Site is a real server with people and definitions.
type Site struct {
	t testing.TB
	// Server is its address.
	Server string
	// Admin calls as the administrator of everything; Anna as an operator, Olga as an admin, both of the
	// namespace default.
	Admin, Anna, Olga *sdk.Client

	sessions map[string]string
}

// Serve starts a server, which ends with the test.
func Serve(t testing.TB) *Site {
	t.Helper()
	token := identity.NewToken()
	started := run(t, app.Config{AllowDial: []string{"127.0.0.0/8"}, Identity: identity.Config{AdminToken: token}})
	s := &Site{t: t, Server: started.Address, sessions: map[string]string{}}
	s.Admin = s.client(token)
	s.Anna = s.person("anna", api.Operator)
	s.Olga = s.person("olga", api.Admin)
	return s
}

// fresh starts a server on which nobody can log in yet; it returns its address and the file of its
// bootstrap token.
func fresh(t testing.TB) (server, token string) {
	t.Helper()
	started := run(t, app.Config{})
	return started.Address, started.BootstrapToken
}

// run runs a server on a folder and a port of its own until the test ends.
func run(t testing.TB, c app.Config) app.Started {
	t.Helper()
	ready := make(chan app.Started, 1)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	c.Data, c.Listen, c.Ready = t.TempDir(), "127.0.0.1:0", func(s app.Started) { ready <- s }
	if testing.Verbose() {
		c.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	go func() { ended <- app.Run(ctx, c) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	select {
	case s := <-ready:
		return s
	case err := <-ended:
		ended <- err
		t.Fatalf("the server did not start: %v", err)
	}
	panic("not reached")
}

func (s *Site) client(token string) *sdk.Client {
	s.t.Helper()
	c, err := sdk.New(sdk.Config{Server: s.Server, Token: token})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// person makes a user and logs it in.
func (s *Site) person(name, role string) *sdk.Client {
	s.t.Helper()
	Call(s, s.Admin, api.CreateUser, api.CreateUserIn{Body: api.CreateUserBody{
		Name: name, Password: Password, Mail: name + "@example.com", Grants: []api.GrantView{{Namespace: sdk.DefaultNamespace, Role: role}},
	}})
	session := Call(s, s.client(""), api.Login, api.LoginIn{Body: api.LoginBody{User: name, Password: Password}})
	s.sessions[name] = session.Secret
	return s.client(session.Secret)
}

// Session returns the secret of the session of a person, for Browser.Tab.
func (s *Site) Session(name string) string { return s.sessions[name] }

// Call calls a method, and fails the test where that is refused.
func Call[In, Out any](s *Site, c *sdk.Client, m bus.Method[In, Out], in In) Out {
	s.t.Helper()
	out, err := sdk.Call(s.t.Context(), c, m, in)
	if err != nil {
		s.t.Fatalf("%s: %v", m.Name, err)
	}
	return out
}

// Apply publishes documents.
func (s *Site) Apply(text string) {
	s.t.Helper()
	Call(s, s.Olga, api.ApplyDefinitions, api.ApplyIn{Body: api.ApplyBody{Files: []api.SourceFile{{Name: "test.yaml", Text: text}}}})
}

// Request asks for a resource as Anna; params is JSON.
func (s *Site) Request(entry, params string) api.Request {
	s.t.Helper()
	return Call(s, s.Anna, api.CreateRequest, api.CreateRequestIn{Body: api.CreateRequestBody{Entry: entry, Params: []byte(params)}})
}

// Await waits until a request is in a state.
func (s *Site) Await(id string, state api.State) api.Request {
	s.t.Helper()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		r := Call(s, s.Anna, api.GetRequest, api.RequestIn{ID: id})
		if r.State == state {
			return r
		}
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("request %s is %s (%v); want %s", id, r.State, r.Failure, state)
		}
	}
}

// start starts a workflow as Olga.
func (s *Site) start(workflow string) api.Run {
	s.t.Helper()
	return Call(s, s.Olga, api.StartRun, api.StartRunIn{NS: api.NS{Namespace: sdk.DefaultNamespace}, Body: api.StartRunBody{Workflow: workflow}})
}

// ended waits for a run and returns it.
func (s *Site) ended(id api.RunID) api.Run {
	s.t.Helper()
	for {
		if r := Call(s, s.Olga, api.GetRun, api.GetRunIn{NS: api.NS{Namespace: sdk.DefaultNamespace}, ID: id, Wait: api.Duration(20 * time.Second)}); r.State.Ended() {
			return r
		}
	}
}
