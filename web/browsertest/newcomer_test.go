package browsertest

import (
	_ "embed"
	"strings"
	"testing"

	"tutti/api"
)

// newcomerDefinitions are a virtual machine that somebody approves, and that does not boot from an old image.
//
//go:embed testdata/newcomer.yaml
var newcomerDefinitions string

// What somebody does who has never seen it, with a browser alone: orders a VM, sees why it waits, approves, sees it
// break and the line of the log that says why, tries again with another input, and has it.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	b := Open(t)
	s := Serve(t)
	s.Apply(newcomerDefinitions)
	tab := b.Tab(t, s.Server, s.Session("olga"))
	tab.Resize(1440, 900, "light")

	// Orders: only what is offered can be chosen, and what cannot says why.
	tab.Go("/")
	tab.Press("g")
	tab.Press("c")
	tab.Click("Virtual machine")
	tab.Fill("Name", "web-01")
	tab.Until("the closed network to be off", `(() => { const r = [...document.querySelectorAll('label')].find((l) => l.innerText.trim() === 'DMZ'); return r?.querySelector('input').disabled && r.title.includes('firewall review') })()`)
	tab.Click("INTRANET")
	tab.See("Makes web-01 by vm.build v1")
	tab.Click("Review what it does")
	tab.See("What will be done")
	tab.See("Approve the cost")
	tab.Click("Request web-01")
	tab.Until("the page of the request", `location.pathname.startsWith('/requests/req_')`)
	id := strings.TrimPrefix(Eval[string](tab, "location.pathname"), "/requests/")

	// Sees why it waits, and approves.
	tab.See("Why nothing goes on")
	tab.See("Is 12 a month for web-01 fine?")
	tab.Click("Approve the cost")
	tab.Click("Approve")

	// It breaks; the banner says where, the log why.
	tab.See("Boot it failed")
	tab.Click("Logs")
	tab.Fill("Find in the log", "kernel panic")
	tab.See("1 of 1")
	tab.Until("the line that explains it", `document.querySelector('.log-row[data-found]')?.innerText.includes('kernel panic: the image rhel-6 has no driver for this disk')`)

	// Tries again with another image.
	tab.Click("Timeline")
	tab.Click("Retry with changes…")
	input := Eval[string](tab, `document.querySelector('dialog textarea').value`)
	tab.Fill("Input, as JSON.", strings.Replace(input, `"image": "rhel-6"`, `"image": "rhel-9"`, 1))
	tab.Click("Retry with this input")
	tab.Until("the success to be told", `document.querySelector('.head .chip')?.dataset.state === 'succeeded'`)
	if r := s.Await(id, api.Succeeded); r.Name != "web-01" {
		t.Errorf("the request made %q", r.Name)
	}
	tab.Forgive("422") // what was not filled in yet
}

// A connection that is lost is said; what happened meanwhile is there once it is back.
func TestLoseTheConnection(t *testing.T) {
	t.Parallel()
	b := Open(t)
	s := Serve(t)
	x := s.Fill()
	c := through(t, s.Server)
	tab := b.Tab(t, c.server, s.Session("olga"))
	tab.Resize(1440, 900, "light")
	tab.Go("/requests/" + x.Waiting.ID)
	tab.See("Why nothing goes on")
	c.Cut()
	tab.See("Reconnecting, data as of")
	Call(s, s.Olga, api.ApproveTask, api.DecideIn{ID: x.Waiting.Run, Body: api.DecideBody{Task: "allow"}})
	s.Await(x.Waiting.ID, api.Succeeded)
	c.Mend()
	tab.Until("it to catch up", `document.querySelector('.head .chip')?.dataset.state === 'succeeded'`)
	tab.Gone("Reconnecting")
	tab.See("Tell the owner")
	tab.Forgive("ERR_")
	tab.Forgive("Failed to fetch")
}

// Updates that are held back change nothing until they are let in.
func TestFreeze(t *testing.T) {
	t.Parallel()
	b := Open(t)
	s := Serve(t)
	x := s.Fill()
	tab := b.Tab(t, s.Server, s.Session("olga"))
	tab.Resize(1440, 900, "dark")
	tab.Go("/requests/" + x.Waiting.ID + "?tab=events")
	tab.See("task.waiting")
	tab.Press("u")
	tab.See("Updates are held back")
	Call(s, s.Olga, api.ApproveTask, api.DecideIn{ID: x.Waiting.Run, Body: api.DecideBody{Task: "allow"}})
	s.Await(x.Waiting.ID, api.Succeeded)
	tab.Until("how many are held back", `/held back, \d+ new/.test(document.body.innerText)`)
	if state := Eval[string](tab, `document.querySelector('.head .chip').dataset.state`); state != string(api.Waiting) {
		t.Errorf("while updates are held back the state is %s; want what it was", state)
	}
	tab.Press("u")
	tab.Gone("Updates are held back")
	tab.Until("what was held back", `document.querySelector('.head .chip')?.dataset.state === 'succeeded'`)
}

// What runs is cancelled, after the dialog said what that does.
func TestCancel(t *testing.T) {
	t.Parallel()
	b := Open(t)
	s := Serve(t)
	x := s.Fill()
	tab := b.Tab(t, s.Server, s.Session("anna"))
	tab.Resize(400, 900, "light")
	tab.Go("/requests/" + x.Running.ID)
	tab.See("Play agent")
	tab.Click("Cancel…")
	tab.See("that runs or waits is stopped")
	tab.Click("Cancel the run")
	tab.Until("it to be cancelled", `document.querySelector('.head .chip')?.dataset.state === 'cancelled'`)
	s.Await(x.Running.ID, api.Cancelled)

	// And several at once, from the list.
	tab.Resize(1440, 900, "light")
	again := s.Request("web-server", `{"name": "web-dev-08", "network": "INTRANET_DEV", "mode": "hold"}`)
	s.Await(again.ID, api.Running)
	tab.Go("/requests")
	tab.Click("Choose web-server web-dev-08")
	tab.Click("Cancel 1 request…")
	tab.Click("Cancel 1 request")
	tab.See("1 request cancelled")
	s.Await(again.ID, api.Cancelled)
}

// Runs are counted by state, and several are cancelled at once.
func TestRunsTogether(t *testing.T) {
	t.Parallel()
	b := Open(t)
	s := Serve(t)
	s.Apply("kind: Workflow\nname: ask\ntitle: Ask somebody\ntasks: { wait: { use: approval, with: { text: \"Go on?\" } } }\n")
	first, second := s.start("ask"), s.start("ask")
	tab := b.Tab(t, s.Server, s.Session("olga"))
	tab.Resize(1440, 900, "light")
	tab.Go("/runs")
	tab.See("Waiting 2")
	tab.Click("Choose all")
	tab.See("2 runs chosen")
	tab.Click("Cancel 2 runs…")
	tab.Click("Cancel 2 runs")
	tab.See("2 runs cancelled")
	for _, r := range []api.Run{first, second} {
		if got := s.ended(r.ID); got.State != api.Cancelled {
			t.Errorf("run %s is %s; want cancelled", r.ID, got.State)
		}
	}
	tab.See("Cancelled 2")
}

// The link that a demo prints logs a browser in, once.
func TestDemoLink(t *testing.T) {
	t.Parallel()
	b := Open(t)
	s := Serve(t)
	link := Call(s, s.Admin, api.MakeLink, api.MakeLinkIn{Body: api.MakeLinkBody{User: "olga"}})
	tab := b.Tab(t, s.Server, "")
	tab.Resize(1440, 900, "light")
	tab.Go("/login#link=" + link.Secret)
	tab.See("Needs you")
	tab.Until("nothing of the link to be left", `!location.href.includes('link=')`)
	tab.Forgive("401")

	other := b.Tab(t, s.Server, "")
	other.Go("/login#link=" + link.Secret)
	other.See("Log in")
	other.Until("it to say that it was used", `!!document.querySelector('.errbox, [role=alert]')`)
	other.Forgive("40")
}

// Events are found by what they say, and come by themselves.
func TestEvents(t *testing.T) {
	t.Parallel()
	b := Open(t)
	s := Serve(t)
	x := s.Fill()
	tab := b.Tab(t, s.Server, s.Session("anna"))
	tab.Resize(1440, 900, "light")
	tab.Go("/events")
	tab.See("request.request.finished")
	tab.Fill("Find in the events", "type:request.request web-dev-06 state:failed")
	tab.Until("the address to hold the search", `new URLSearchParams(location.search).get('q') === 'type:request.request web-dev-06 state:failed'`)
	tab.Until("one row", `document.querySelectorAll('.table tbody tr:not([aria-hidden])').length === 1`)
	tab.Click("web-server web-dev-06")
	tab.Until("the page of the request", `location.pathname === '/requests/`+x.Failed.ID+`'`)

	tab.Go("/events?q=object:nothing-yet")
	tab.See("No event matches")
	tab.Go("/events?q=web-dev-09")
	tab.See("No event matches")
	s.Request("web-server", `{"name": "web-dev-09", "network": "INTRANET_DEV", "mode": "fine"}`)
	tab.See("request.request.received") // by the stream
	tab.Fill("Find in the events", "colour:red")
	tab.See(`there is no key "colour"`)
	tab.Forgive("422")
}
