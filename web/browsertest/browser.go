// Package browsertest looks at the web UI as people do: in a browser, against a real server with
// definitions, requests and runs in it. A test takes a Site and a Tab, goes to an address, waits for
// what should be there, clicks, types. Nothing sleeps: everything waits for a condition.
//
// Every page is in shots (shots.go): tests draw it in both themes, wide and narrow, and want no
// complaint in the console and no fault of accessibility. `make ui-shots` keeps the pictures.
package browsertest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long anything may take to appear; machines under load are slow.
const patience = 30 * time.Second

//go:embed testdata/axe.min.js
var axe string

// chromium returns the browser, or skips the test where there is none.
func chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("TUTTI_TEST_REQUIRE") != "" {
		t.Fatal("chromium is not installed, and TUTTI_TEST_REQUIRE asks for all tests")
	}
	t.Skip("SKIPPED: chromium is not installed: the web UI is NOT tested in a browser")
	return ""
}

// Browser is a headless Chromium with a profile of its own.
type Browser struct{ ctx context.Context }

// shared is the browser of all tests: to start one costs a second, and tabs in contexts of their own (cookies,
// storage, connections) know nothing of one another.
var shared struct {
	once    sync.Once
	browser *Browser
	close   func()
	err     error
}

// Open returns the browser, started for the first test that asks.
func Open(t testing.TB) *Browser {
	t.Helper()
	path := chromium(t)
	shared.once.Do(func() { shared.browser, shared.close, shared.err = start(path) })
	if shared.err != nil {
		t.Fatalf("start the browser: %v", shared.err)
	}
	return shared.browser
}

// Close ends the browser, where one was started.
func Close() {
	if shared.close != nil {
		shared.close()
	}
}

func start(path string) (*Browser, func(), error) {
	profile, err := os.MkdirTemp("", "tutti-browser-")
	if err != nil {
		return nil, nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true), chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("lang", "en"), chromedp.Env("TZ=UTC"), chromedp.WSURLReadTimeout(patience),
	)
	alloc, stop := chromedp.NewExecAllocator(context.Background(), options...)
	// What this version of the library does not know of a newer browser is none of a test's business.
	ctx, end := chromedp.NewContext(alloc, chromedp.WithErrorf(func(string, ...any) {}))
	closed := func() {
		end()
		stop()
		_ = os.RemoveAll(profile)
	}
	if err := chromedp.Run(ctx); err != nil {
		closed()
		return nil, nil, err
	}
	return &Browser{ctx}, closed, nil
}

// Tab is a page of a browser, in a context (cookies, storage) of its own.
type Tab struct {
	t      testing.TB
	ctx    context.Context
	server string

	mu         sync.Mutex
	complaints []string
}

// Tab opens a tab on a server; session "" is nobody's. When the test ends it fails where the console
// holds errors that Forgive did not name.
func (b *Browser) Tab(t testing.TB, server, session string) *Tab {
	t.Helper()
	ctx, end := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	tab := &Tab{t: t, ctx: ctx, server: server}
	chromedp.ListenTarget(ctx, tab.heard)
	if err := chromedp.Run(ctx); err != nil { // the tab lives as long as the context of its first run
		t.Fatalf("open a tab: %v", err)
	}
	tab.do("open a tab", log.Enable(), runtime.Enable())
	if session != "" {
		tab.do("set the session", network.SetCookie("tutti_session", session).WithURL(server).WithHTTPOnly(true).WithSameSite(network.CookieSameSiteStrict))
	}
	t.Cleanup(func() {
		end()
		for _, c := range tab.Complaints() {
			t.Errorf("the browser's console: %s", c)
		}
	})
	return tab
}

// heard collects what the page complains of.
func (b *Tab) heard(event any) {
	said := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError {
			said = e.Entry.Text + " " + e.Entry.URL
		}
	case *runtime.EventExceptionThrown:
		said = e.ExceptionDetails.Error()
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			for _, a := range e.Args {
				said += string(a.Value) + a.Description + " "
			}
		}
	}
	if said != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.complaints = append(b.complaints, said)
	}
}

// Complaints returns what the console holds, and forgets it.
func (b *Tab) Complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.complaints
	b.complaints = nil
	return c
}

// Forgive forgets complaints with a text in them, such as "401": the page was meant to run into it.
func (b *Tab) Forgive(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var left []string
	for _, c := range b.complaints {
		if !strings.Contains(c, text) {
			left = append(left, c)
		}
	}
	b.complaints = left
}

func (b *Tab) do(what string, actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v\n%s", what, err, b.sees())
	}
}

// sees returns what the page shows, for messages.
func (b *Tab) sees() string {
	var text string
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	_ = chromedp.Run(ctx, chromedp.Evaluate(`location.href + "\n" + document.body.innerText.slice(0, 1500)`, &text))
	return fmt.Sprintf("the page shows:\n%s\nand its console: %v", text, b.Complaints())
}

// Resize sets the size of the window, in pixels, and the theme: "light" or "dark".
func (b *Tab) Resize(width, height int64, theme string) {
	b.t.Helper()
	b.do("resize",
		emulation.SetDeviceMetricsOverride(width, height, 1, width < 700),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}))
}

// Go opens an address of the UI, such as /requests, and waits until it is drawn.
func (b *Tab) Go(path string) {
	b.t.Helper()
	b.do("go to "+path, chromedp.Navigate(b.server+path))
	b.Settled()
}

// Settled waits until a page is drawn and nothing is being read any more.
func (b *Tab) Settled() {
	b.t.Helper()
	b.Until("the page is drawn", `!!document.querySelector('main h1') && !document.querySelector('.skeletons') && document.fonts.status === 'loaded'`)
}

// Until waits for a JavaScript expression to become true.
func (b *Tab) Until(what, expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	err := chromedp.Run(ctx, chromedp.Poll(expression, nil, chromedp.WithPollingTimeout(patience), chromedp.WithPollingInterval(30*time.Millisecond)))
	if err != nil {
		b.t.Fatalf("waited for %s in vain: %v\n%s", what, err, b.sees())
	}
}

// quoted returns text as a JavaScript string.
func quoted(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// See waits until the page shows a text; case matters, how it is spaced does not.
func (b *Tab) See(text string) {
	b.t.Helper()
	b.Until(fmt.Sprintf("%q", text), fmt.Sprintf(`document.body.innerText.replace(/\s+/g, ' ').includes(%s)`, quoted(text)))
}

// Gone waits until the page no longer shows a text.
func (b *Tab) Gone(text string) {
	b.t.Helper()
	b.Until(fmt.Sprintf("%q to go", text), fmt.Sprintf(`!document.body.innerText.replace(/\s+/g, ' ').includes(%s)`, quoted(text)))
}

// named finds what can be clicked or filled by its visible text or label: whole, or else its beginning.
const named = `((name) => {
  const all = [...document.querySelectorAll('dialog[open] *, [role=menu] *, main *, header *, nav *')].filter((e) =>
    e.matches('a, button, input, select, textarea, summary, [role=tab], [role=menuitem], [role=option]') && e.getClientRects().length > 0)
  const labels = (e) => [e.getAttribute('aria-label'), e.title, ...[...(e.labels ?? [])].map((l) => l.innerText), e.matches('input, select, textarea') ? e.name : e.innerText]
    .filter(Boolean).map((s) => s.replace(/\s+/g, ' ').trim())
  return all.find((e) => labels(e).includes(name)) ?? all.find((e) => labels(e).some((l) => l.startsWith(name)))
})(%s)`

// Click clicks on a link, button or tab by its text or label, once it is there and not off.
func (b *Tab) Click(name string) {
	b.t.Helper()
	find := fmt.Sprintf(named, quoted(name))
	b.Until(fmt.Sprintf("%q to click on", name), fmt.Sprintf(`(() => { const e = %s; if (!e || e.disabled || e.ariaDisabled === 'true') return false; e.scrollIntoView({block: 'nearest'}); e.focus(); e.click(); return true })()`, find))
}

// Fill puts text into a field by its label.
func (b *Tab) Fill(label, text string) {
	b.t.Helper()
	find := fmt.Sprintf(named, quoted(label))
	b.Until(fmt.Sprintf("the field %q", label), fmt.Sprintf(`(() => {
  const e = %s
  if (!e || !('value' in e)) return false
  const proto = e instanceof HTMLSelectElement ? HTMLSelectElement : e instanceof HTMLTextAreaElement ? HTMLTextAreaElement : HTMLInputElement
  Object.getOwnPropertyDescriptor(proto.prototype, 'value').set.call(e, %s)
  e.dispatchEvent(new Event('input', { bubbles: true }))
  e.dispatchEvent(new Event('change', { bubbles: true }))
  return true
})()`, find, quoted(text)))
}

// Press presses keys one after another: "g", "r", or "\r" for Enter (see chromedp/kb).
func (b *Tab) Press(keys string) {
	b.t.Helper()
	b.do("press "+keys, chromedp.KeyEvent(keys))
}

// Eval returns the value of a JavaScript expression, awaited where it is a promise.
func Eval[T any](b *Tab, expression string) (v T) {
	b.t.Helper()
	b.do("evaluate "+expression, chromedp.Evaluate(expression, &v, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return v
}

// Faults returns what axe finds wrong with the accessibility of the page; rules are all of axe's, or "colour" for
// those about colours, which are what another theme can break.
func (b *Tab) Faults(rules string) []string {
	b.t.Helper()
	if !Eval[bool](b, `'axe' in window`) {
		b.do("load axe", chromedp.Evaluate(axe, nil))
	}
	only := ""
	if rules == "colour" {
		only = `, runOnly: {type: 'rule', values: ['color-contrast', 'link-in-text-block']}`
	}
	return Eval[[]string](b, `axe.run(document, {resultTypes: ['violations']`+only+`}).then((r) =>
  r.violations.map((v) => v.id + ': ' + v.help + ' ' + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + ' ' + (n.failureSummary ?? '').replace(/\s+/g, ' ')).join(' | ')))`)
}

// Shot returns a picture of the whole page as PNG.
func (b *Tab) Shot() []byte {
	b.t.Helper()
	var png []byte
	b.do("take a picture", chromedp.ActionFunc(func(ctx context.Context) (err error) {
		png, err = page.CaptureScreenshot().WithFormat(page.CaptureScreenshotFormatPng).Do(ctx)
		return err
	}))
	return png
}
