package browsertest

import (
	"strings"
	"testing"

	"tutti/api"
)

// What a newcomer does: find it in the catalogue, fill it in, be told what is wrong, see what it will do, ask for it.
func TestOrder(t *testing.T) {
	t.Parallel()
	b := Open(t)
	s := Serve(t)
	s.Fill()
	tab := b.Tab(t, s.Server, s.Session("anna"))
	tab.Resize(1440, 900, "light")
	tab.Go("/catalogue")
	tab.Click("Web server")
	tab.See("Still to be settled: Name, Network.")

	tab.Click("Review what it does")
	tab.See("is needed")
	tab.Fill("Name", "Web 1")
	tab.Click("INTRANET_DEV")
	tab.See(`name has the wrong form: "Web 1"`)
	tab.Forgive("422")
	tab.Fill("Name", "web-dev-11")
	tab.See("Makes web-dev-11 by server.build v1")

	// The draft outlives the page.
	tab.Go("/catalogue/web-server/new")
	tab.See("Makes web-dev-11 by server.build v1")

	tab.Click("Review what it does")
	tab.See("What will be done")
	tab.See("Allocate the network")
	tab.Click("Request web-dev-11")
	tab.Until("the request's page", `location.pathname.startsWith('/requests/req_')`)
	id := strings.TrimPrefix(Eval[string](tab, "location.pathname"), "/requests/")
	if r := s.Await(id, api.Succeeded); r.Name != "web-dev-11" || r.Requester != "user:anna" {
		t.Errorf("the request is %+v; want web-dev-11 of anna", r)
	}
	tab.Forgive("404")
}

// Who may decide an approval sees what it is about, needs a reason to reject, and who asked may not decide.
func TestApprove(t *testing.T) {
	t.Parallel()
	b := Open(t)
	s := Serve(t)
	x := s.Fill()
	anna := b.Tab(t, s.Server, s.Session("anna"))
	anna.Resize(1440, 900, "light")
	anna.Go("/approvals")
	anna.See("It costs 240 a month")
	anna.See("You cannot decide: it needs the role approver in default")

	olga := b.Tab(t, s.Server, s.Session("olga"))
	olga.Resize(400, 900, "dark")
	olga.Go("/approvals")
	olga.Click("Build shop-prod-01 for production?")
	olga.See("shop-prod-01")
	olga.Until("reject to be off", `[...document.querySelectorAll('button')].some((b) => b.innerText.startsWith('Reject') && b.ariaDisabled === 'true')`)
	olga.Click("Approve")
	olga.See("Nothing waits for a decision")
	s.Await(x.Waiting.ID, api.Succeeded)
	anna.See("Nothing waits for a decision") // by the stream
}

// A workflow with an error says where; mended and published, it is the next version.
func TestEditWorkflow(t *testing.T) {
	t.Parallel()
	b := Open(t)
	s := Serve(t)
	s.Apply("kind: Workflow\nname: hello\ntasks:\n  greet: { use: noop }\n")
	tab := b.Tab(t, s.Server, s.Session("olga"))
	tab.Resize(1440, 900, "light")
	tab.Go("/workflows/hello?part=problems")
	tab.See("Nothing is wrong with it")
	tab.Until("the editor", `!!document.querySelector('.editor')?.shadowRoot?.querySelector('.cm-content')`)
	edit := func(from, to string) {
		t.Helper()
		Eval[bool](tab, `(() => {
  const content = document.querySelector('.editor').shadowRoot.querySelector('.cm-content')
  const view = content.cmTile?.view ?? content.cmView?.view
  const at = view.state.doc.toString().indexOf(`+quoted(from)+`)
  view.dispatch({ changes: { from: at, to: at + `+quoted(from)+`.length, insert: `+quoted(to)+` } })
  return true
})()`)
	}
	edit("noop", "nop")
	tab.See(`there is no task type "nop"`)
	tab.See("hello.yaml:4:17")
	tab.Until("a mark in the gutter", `!!document.querySelector('.editor').shadowRoot.querySelector('.cm-lint-marker-error')`)
	tab.Forgive("422")
	edit("nop", "noop, title: Say hello")
	tab.See("sound, not published")
	tab.Click("Publish…")
	tab.See("becomes version 2")
	tab.Fill("Why", "it says what it does")
	tab.Click("Publish version 2")
	tab.See("v2")
	tab.See("published")
	if d := Call(s, s.Olga, api.GetDefinition, api.GetDefinitionIn{Kind: api.KindWorkflow, Name: "hello"}); d.Version != 2 || !strings.Contains(d.Source, "Say hello") {
		t.Errorf("the definition is version %d: %s", d.Version, d.Source)
	}
}
