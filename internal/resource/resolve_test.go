package resource

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/store"
)

func setup(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, store.Config{Dir: t.TempDir()})
	w.define(example(t, "vm.yaml"), example(t, "small.yaml"))
	return w
}

func TestResolve(t *testing.T) {
	t.Parallel()
	w := setup(t)
	got, err := w.resolveVM("small-vm", `{"name":"web-01","disks":[{"gb":100}]}`)
	if err != nil {
		t.Fatal(err)
	}
	const spec = `{"cpu":2,"disks":[{"gb":100,"tier":"slow"}],"managed":false,"memory_gb":8,"memory_mb":8192,"name":"web-01","network":"INTRANET_DEV","owner":"user:anna"}`
	want := api.Resolved{Entry: "small-vm", Type: "virtual-machine", Name: "web-01", Spec: json.RawMessage(spec), Workflow: "vm.build",
		Inputs: json.RawMessage(`{"host":"web-01.INTRANET_DEV","spec":` + spec + `}`), Notify: []string{"ops@example.com"}}
	want.Action, want.Params = api.ActionCreate, json.RawMessage(`{"disks":[{"gb":100}],"name":"web-01"}`)
	if len(got.Changes) != 8 {
		t.Errorf("resolve tells of %d changes; want one a field: %+v", len(got.Changes), got.Changes)
	}
	got.Changes = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("resolve (-want +got):\n%s", diff)
	}
	full := `{"name":"web-02","cpu":1,"memory_gb":1,"network":"INTRANET_PROD","managed":true}`
	if got, err := w.resolveVM("virtual-machine", full); err != nil || got.Workflow != "vm.managed" || got.Entry != "virtual-machine" {
		t.Errorf("resolve of the type itself = %+v, %v; want vm.managed", got, err)
	}
	if got, err := w.resolveVM("small-vm", `{"name":"web-01","cpu":2,"network":"INTRANET_PROD"}`); err != nil || !strings.Contains(string(got.Spec), "PROD") {
		t.Errorf("the fixed value sent, a default changed: %s, %v", got.Spec, err)
	}
}

func TestResolveRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	vm := func(cpu string) string {
		return `{"name":"web-01","cpu":` + cpu + `,"memory_gb":1,"network":"INTRANET_DEV"}`
	}
	for name, c := range map[string]struct {
		entry, params string
		kind          errs.Kind
		want          []string // locations, or parts of the text
	}{
		"all problems at once": {"virtual-machine", `{"name":"X","cpu":99,"netwrok":"INTRANET_DEV","disks":[{"gb":0,"teir":1}]}`, errs.Invalid,
			[]string{"body.params.cpu", "body.params.name", "did you mean network?", "memory_gb", "body.params.disks[0].gb", "did you mean tier?"}},
		"a fixed field":            {"small-vm", `{"name":"web-01","cpu":4}`, errs.Invalid, []string{"body.params.cpu: cpu is fixed to 2 by small-vm (leave it out, or order virtual-machine)"}},
		"the handler's problems":   {"small-vm", `{"name":"web-01","disks":[{"gb":10},{"gb":11}]}`, errs.Invalid, []string{"body.params.disks[1].gb: a disk of 11 GB is not offered (choose one of [10, 20, 40, 100])"}},
		"the handler's refusal":    {"virtual-machine", vm("13"), errs.Invalid, []string{"body.params: thirteen is right out"}},
		"a mistake of the handler": {"virtual-machine", vm("14"), errs.Invalid, []string{"the handler of virtual-machine failed: line 10"}},
		"a handler's wrong answer": {"virtual-machine", vm("15"), errs.Invalid, []string{"did not return a dict"}},
		"a runaway handler":        {"virtual-machine", vm("16"), errs.Invalid, []string{"the handler of virtual-machine failed", "steps"}},
		"no workflow":              {"virtual-machine", vm("20"), errs.Invalid, []string{"no workflow of virtual-machine is for this", "spec.cpu <= 16"}},
		"an unknown entry":         {"smal-vm", `{}`, errs.NotFound, []string{"smal-vm"}},
		"no object":                {"small-vm", `[1]`, errs.Invalid, []string{"body.params: not an object"}},
		"no JSON":                  {"small-vm", `{"a":`, errs.Invalid, nil},
		"a number too large":       {"small-vm", `{"name":"web-01","disks":[{"gb":9007199254740993}]}`, errs.Invalid, []string{"body.params.disks[0].gb: the number is too large"}},
		"a number beyond all":      {"small-vm", `{"name":"web-01","disks":[{"gb":1e999}]}`, errs.Invalid, []string{"body.params.disks[0].gb"}},
		"deep nesting":             {"small-vm", strings.Repeat(`{"a":`, 3000) + "1" + strings.Repeat("}", 3000), errs.Invalid, []string{"nested deeper"}},
		"huge params":              {"small-vm", `{"name":"` + strings.Repeat("x", maxParams) + `"}`, errs.TooLarge, []string{"limit"}},
	} {
		raw := json.RawMessage(c.params)
		var err error
		if json.Valid(raw) {
			_, err = w.resolveVM(c.entry, c.params)
		} else {
			_, err = w.resolve(t.Context(), api.ResolveIn{NS: inDefault, Ask: api.Ask{Entry: c.entry, Params: raw}})
		}
		if errs.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: %v (%q); want %q", name, err, errs.KindOf(err), c.kind)
			continue
		}
		for _, part := range c.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v; want %q in it", name, err, part)
			}
		}
	}
	_, err := w.resolveVM("smal-vm", `{}`)
	if hint := errs.Public(err).Hint; hint != "did you mean small-vm?" {
		t.Errorf("hint %q; want the name that was meant", hint)
	}
	_, err = w.resolveVM("virtual-machine", vm("14"))
	if hint := errs.Public(err).Hint; !strings.Contains(hint, "tell the author of resource type virtual-machine") {
		t.Errorf("hint %q; want it to say whose fault it is", hint)
	}
	_, err = api.ResolveResource.Call(bus.AsService(t.Context(), "request"), w.bus, api.ResolveIn{NS: api.NS{Namespace: "other"}, Ask: api.Ask{Entry: "small-vm"}})
	if !errs.Is(err, errs.NotFound) {
		t.Errorf("resolve in another namespace = %v; want not found", err)
	}
	if _, err := api.ResolveResource.Call(w.as(api.Admin), w.bus, api.ResolveIn{NS: inDefault, Ask: api.Ask{Entry: "small-vm"}}); !errs.Is(err, errs.Denied) {
		t.Errorf("resolve by a user = %v; want denied", err)
	}
}

// What is compiled is kept by digest; a new version counts at the next call.
func TestChangedTypeCountsAtOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const params = `{"name":"web-01","disks":[]}`
	if _, err := w.resolveVM("small-vm", params); err != nil {
		t.Fatal(err)
	}
	before := w.gets
	if _, err := w.resolveVM("small-vm", params); err != nil || w.gets-before != 2 {
		t.Errorf("a second call asked for %d definitions, %v; want the preset and the type", w.gets-before, err)
	}
	w.define(swap(t, example(t, "vm.yaml"), "use: vm.build", "use: vm.other"))
	if got, err := w.resolveVM("small-vm", params); err != nil || got.Workflow != "vm.other" {
		t.Errorf("after a new version the workflow is %s, %v; want vm.other", got.Workflow, err)
	}
	delete(w.defs, [2]string{api.KindResourceType, "virtual-machine"})
	if _, err := w.resolveVM("small-vm", params); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "does not exist any more") {
		t.Errorf("a preset without its type: %v", err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.define("kind: ResourceType\nname: share\nschema: {properties: {unit: {}}}\nnameFrom: share-${{ spec.unit }}\nworkflow: a\n")
	for params, want := range map[string]string{`{"unit":"x"}`: "share-x", `{"unit":7}`: "share-7", `{"unit":"a/../b"}`: "", `{"unit":"\n"}`: "", `{"unit":{}}`: "", `{}`: "share-"} {
		got, err := w.resolveVM("share", params)
		if got.Name != want || (want == "") != errs.Is(err, errs.Invalid) {
			t.Errorf("resolve(%s) = %q, %v; want %q", params, got.Name, err, want)
		}
	}
	w.define("kind: ResourceType\nname: plain\nschema: {}\nworkflow: a\n")
	for params, ok := range map[string]bool{`{"name":"a"}`: true, `{"name":7}`: false, `{}`: false, `{"name":".a"}`: false} {
		if _, err := w.resolveVM("plain", params); (err == nil) != ok {
			t.Errorf("resolve(%s) = %v; want success %v", params, err, ok)
		}
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"": "body.params", "cpu": "body.params.cpu", "spec": "body.params", "spec.cpu": "body.params.cpu", "spec[0]": "body.params[0]",
		"spectrum": "body.params.spectrum", "[0].a": "body.params[0].a",
	} {
		if got := place(path); got != want {
			t.Errorf("place(%q) = %q; want %q", path, got, want)
		}
	}
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.define("kind: Preset\nname: lost\nof: nothing\n", "kind: Preset\nname: big-vm\nof: virtual-machine\ndescription: Big\ntags: [large]\nset: {cpu: 32}\n")
	page, err := api.ListEntries.Call(w.as(api.Viewer), w.bus, api.ListEntriesIn{NS: inDefault})
	want := []api.Entry{
		{Name: "big-vm", Kind: "Preset", Type: "virtual-machine", Title: "big-vm", Doc: "Big", Tags: []string{"large"}, Locked: map[string]any{"cpu": 32.0}},
		{Name: "small-vm", Kind: "Preset", Type: "virtual-machine", Title: "Small virtual machine", Doc: "A machine in the data centre", Tags: []string{"compute"}, Locked: map[string]any{"cpu": 2.0, "memory_gb": 8.0}},
		{Name: "virtual-machine", Kind: "ResourceType", Type: "virtual-machine", Title: "Virtual machine", Doc: "A machine in the data centre", Tags: []string{"compute"}},
	}
	if diff := cmp.Diff(want, page.Items); err != nil || diff != "" {
		t.Errorf("catalogue: %v (-want +got):\n%s", err, diff)
	}
	e, err := api.GetEntry.Call(w.as(api.Viewer), w.bus, api.EntryIn{NS: inDefault, Name: "small-vm"})
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Required   []string
		Properties map[string]map[string]any
	}
	if err := json.Unmarshal(e.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"name"}, schema.Required); diff != "" || schema.Properties["cpu"] != nil || schema.Properties["network"]["default"] != "INTRANET_DEV" {
		t.Errorf("the form of small-vm is %s; want name required, cpu left out, network filled in", e.Schema)
	}
	if e, err = api.GetEntry.Call(w.as(api.Viewer), w.bus, api.EntryIn{NS: inDefault, Name: "virtual-machine"}); err != nil || !strings.Contains(string(e.Schema), "cpu") {
		t.Errorf("the form of virtual-machine is %s, %v", e.Schema, err)
	}
}

// Whatever is sent, params are read as they are, or refused as the sender's mistake.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":"x"}]}`, `{"a":9007199254740993}`, `{"a":-1e999}`, `[]`, `null`, `{"a":1,"a":2}`, "{\"\\u0000\":\"\xff\"}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := decode(raw)
		if err != nil {
			if k := errs.KindOf(err); k != errs.Invalid && k != errs.TooLarge {
				t.Errorf("decode(%q) = %v, of kind %q", raw, err, k)
			}
			return
		}
		again, err := decode(document.Canonical(v))
		if err != nil || !cmp.Equal(v, again) {
			t.Errorf("decode(%q) = %v; again %v, %v", raw, v, again, err)
		}
	})
}
