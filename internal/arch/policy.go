// Package arch keeps the shape of the code: who may import whom, whose tables a statement may name,
// what is documented, and a few habits. It is all tests over the source; the policy itself is the
// tables in this file, meant to be read by people.
//
// To add a package, give it a place in layers. To add a service, add its name to the layer
// "services". Every other change to a table here is a decision, and gets its reason beside it.
package arch

// layer is one step of the import order. A package may import the layers above its own line.
type layer struct {
	name string
	// packages are patterns: * stands for any text within one element, a last ... for the folder
	// and everything below it, which then belong together and may import each other.
	packages []string
	// peers lets the packages of the layer import each other (Go itself refuses cycles).
	peers bool
	// wired marks implementations: only the lists `all` and internal/app may import them.
	wired bool
	// only, unless nil, are the layers that may be imported, instead of all above.
	only []string
	// remedy says what to do about an import of a neighbour in the same layer.
	remedy string
}

// layers is DESIGN.md's import order, lowest first. Tests may import what they like, and so may
// packages named …test, which in turn only tests may import.
var layers = []layer{
	// web is files. redact, because what a worker takes secrets out of leaves the process right there, in the sdk.
	{name: "leaves", packages: []string{"errs", "id", "internal/redact/...", "web"}},
	{name: "bus", packages: []string{"bus"}},
	{name: "api", packages: []string{"api/..."}},
	// Low, because a task type is written once, against the sdk, for the server and for users alike.
	{name: "sdk", packages: []string{"sdk/..."}, only: []string{"leaves", "bus", "api"}},
	// Pure, so that the engine's pure parts may read documents.
	{name: "documents", packages: []string{"internal/document/..."}, only: []string{"leaves"}},
	// Others take it into their programs; so do the engine's pure parts.
	{name: "planner", peers: true, packages: []string{"rollout/..."}, only: []string{}},
	{name: "carriers", packages: []string{"bus/membus", "bus/natsbus"}, wired: true},
	{name: "platform", peers: true, packages: []string{
		"internal/store/...", "internal/netguard/...", "internal/blob", "internal/secretbox/...",
		"internal/shim/...", "internal/script/...", "internal/gitrepo/...", "internal/durable",
	}},
	{name: "blob stores", packages: []string{"internal/blob/*blob/..."}, wired: true},
	{name: "service", packages: []string{"internal/service"}},
	{name: "seams", packages: []string{"internal/task", "internal/terraform", "internal/ansible"}, peers: true},
	{name: "engine", peers: true, only: []string{"leaves", "bus", "api", "documents", "planner"}, packages: []string{
		"internal/workflow/expr", "internal/workflow/dag", "internal/workflow/definition", "internal/workflow/core", "internal/workflow/simulate",
	}},
	{name: "drivers", packages: []string{"internal/task/*task/...", "internal/terraform/tf*/...", "internal/ansible/*/..."}, wired: true,
		remedy: "drivers do not know each other: share through the seam internal/task"},
	{name: "services", packages: []string{
		"internal/workflow/...", "internal/worker/...", "internal/converge/...", "internal/definition/...", "internal/dropin/...", "internal/request/...", "internal/resource/...",
		"internal/file/...", "internal/logs/...", "internal/notify/...", "internal/overview/...", "internal/presence/...", "internal/identity/...",
		"internal/secret/...", "internal/rollouts/...", "internal/view/...", "internal/gateway/...",
	}, remedy: "services do not know each other: declare the call or the event in api and make it on the bus"},
	{name: "lists", packages: []string{"internal/*/all"}},
	{name: "app", packages: []string{"internal/app/..."}},
	{name: "examples", packages: []string{"examples/..."}},
	{name: "demo", packages: []string{"internal/demo/..."}},
	{name: "cli", packages: []string{"internal/cli/..."}},
	// Above cli, whose tables it prints.
	{name: "bench", packages: []string{"internal/bench/..."}},
	{name: "cmd", packages: []string{"cmd/..."}},
	{name: "tooling", packages: []string{"internal/arch", "docs", "specs", "tools/..."}, only: []string{}},
}

// wiring are the layers that know implementations.
var wiring = []string{"lists", "app"}

// pure are the packages whose every decision is a function of their arguments (DESIGN.md section 3).
// None may start a goroutine or import one of impure; those that are deterministic may not read the
// clock or, without locks, share state between goroutines either. expr may: it bounds evaluations in time, and pools
// its machines, neither of which shows in a result.
var pure = map[string]struct{ deterministic, locks bool }{
	"internal/workflow/expr":       {},
	"internal/workflow/dag":        {deterministic: true},
	"internal/workflow/definition": {deterministic: true},
	"internal/workflow/core":       {deterministic: true},
	"internal/workflow/simulate":   {deterministic: true},
	// Its store in memory and its engine are shared between goroutines; what decides is not.
	"rollout": {deterministic: true, locks: true},
}

// embeddable are the packages that others take into their programs: they import the standard library and
// each other, nothing else of ours and no module.
var embeddable = []string{"rollout/..."}

// impure are the imports that reach outside a process or differ from run to run. A name covers
// the packages below it.
var impure = []string{"net", "os", "io/ioutil", "syscall", "database/sql", "log", "plugin", "math/rand", "crypto/rand", "golang.org/x/sys", "golang.org/x/sync"}

// harmless are exceptions to impure: they only parse.
var harmless = []string{"net/url", "net/netip"}

// clocks are the functions of package time that read or wait for the clock.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// rootless are the packages where a context starts; everywhere else it is handed down.
var rootless = []string{"cmd/...", "internal/cli/...", "tools/..."}

// maxLines is how long a file may get before it should be two.
const maxLines = 500

// long are the files that may be longer, each with the reason.
var long = map[string]string{}
