package browsertest

import (
	"os"
	"strings"
	"testing"

	"tutti/api"
	"tutti/sdk"
)

// The first person makes the administrator in the browser, with the token of the data folder.
func TestFirstUse(t *testing.T) {
	t.Parallel()
	b := Open(t)
	server, tokenFile := fresh(t)
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		t.Fatal(err)
	}
	tab := b.Tab(t, server, "")
	tab.Resize(1440, 900, "light")
	tab.Go("/requests?state=failed")
	tab.See("Make the first administrator")
	tab.Fill("Bootstrap token", strings.TrimSpace(string(token)))
	tab.Fill("User", "root")
	tab.Fill("Password", Password)
	tab.Fill("Password again", Password)
	tab.Click("Make administrator and log in")
	tab.See("No request matches") // where it was meant to go
	tab.Forgive("401")
	tab.Press("g")
	tab.Press("h")
	tab.See("Needs you")
}

// A request failed: a person sees why, retries the task with another input, and it succeeds.
func TestRetryWithChanges(t *testing.T) {
	t.Parallel()
	b := Open(t)
	s := Serve(t)
	x := s.Fill()
	tab := b.Tab(t, s.Server, "")
	tab.Resize(1440, 900, "light")
	tab.Go("/login")
	tab.Fill("User", "olga")
	tab.Fill("Password", Password)
	tab.Click("Log in")
	tab.See("Needs you")
	tab.Go("/requests/" + x.Failed.ID)
	tab.See("Play agent failed after 3 attempts")
	tab.See("answered 503")
	failed := sdkTask(s, x.Failed)
	tab.Click("Retry with changes…")
	tab.Fill("Input, as JSON.", strings.ReplaceAll(failed, "/broken", "/work"))
	tab.Click("Retry with this input")
	s.Await(x.Failed.ID, api.Succeeded)
	tab.Gone("Play agent failed") // without being loaded anew
	tab.Until("the state to be told", `document.querySelector('.head .chip')?.dataset.state === 'succeeded'`)
}

// sdkTask returns the input of the task that failed in a request, as JSON.
func sdkTask(s *Site, r api.Request) string {
	s.t.Helper()
	return string(Call(s, s.Olga, api.GetTask, api.GetTaskIn{NS: api.NS{Namespace: sdk.DefaultNamespace}, ID: r.Run, Path: r.Failure.Task}).Input)
}
