package resource

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/store"
)

const diskType = `kind: ResourceType
name: disk
schema:
  type: object
  required: [name]
  properties:
    name: { type: string }
    vm: { type: string, x-options: { resources: virtual-machine, where: "resource.spec.network == params.network", title: "resource.name + ' of ' + resource.owner" } }
    network: { type: string, default: INTRANET_DEV }
    size: { type: integer }
    mounts: { type: array, items: { type: object, properties: { kind: { type: string } } } }
handler: |
  def options(params, context):
      sizes = [10, 20]
      if params.get("network") == "INTRANET_PROD":
          sizes.append(100)
      return {"size": sizes, "mounts.kind": ["nfs", {"value": "smb", "title": "Samba", "off": "it is switched off"}]}
  def handle(spec, context):
      return spec
workflow: vm.build
`

func TestOptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, store.Config{Dir: t.TempDir()})
	w.define(example(t, "vm.yaml"), example(t, "small.yaml"), diskType)
	for _, r := range []struct{ name, network string }{{"web-01", "INTRANET_DEV"}, {"web-02", "INTRANET_PROD"}} {
		err := w.db.Tx(t.Context(), func(tx *store.Tx) error {
			c := change{ResourceChange: api.ResourceChange{Request: "req_" + r.name, State: api.Succeeded, By: "user:anna"}, namespace: "default", typ: "virtual-machine", name: r.name, pos: 1}
			made := api.Request{ID: c.Request, Namespace: c.namespace, Type: c.typ, Name: c.name, Spec: json.RawMessage(`{"network":"` + r.network + `"}`)}
			return errors.Join(record(tx, c), describe(tx, made, made.Items()[0]), settle(tx, c.namespace, c.typ, c.name))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	ask := func(params string) map[string][]api.Option {
		t.Helper()
		got, err := api.EntryOptions.Call(w.as(api.Operator), w.bus, api.EntryOptionsIn{NS: api.NS{Namespace: "default"}, Name: "disk", Body: api.EntryOptionsBody{Params: json.RawMessage(params)}})
		if err != nil {
			t.Fatal(err)
		}
		return got.Fields
	}
	kinds := []api.Option{{Value: json.RawMessage(`"nfs"`)}, {Value: json.RawMessage(`"smb"`), Title: "Samba", Off: "it is switched off"}}
	want := map[string][]api.Option{
		"vm":          {{Value: json.RawMessage(`"web-01"`), Title: "web-01 of user:anna"}},
		"size":        {{Value: json.RawMessage(`10`)}, {Value: json.RawMessage(`20`)}},
		"mounts.kind": kinds,
	}
	if diff := cmp.Diff(want, ask(`{}`)); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	if got := ask(`{"network":"INTRANET_PROD"}`); len(got["size"]) != 3 || string(got["vm"][0].Value) != `"web-02"` {
		t.Errorf("options of another network = %v", got)
	}
	for params, want := range map[string]string{
		`{"name":"a","vm":"web-01","size":10,"mounts":[{"kind":"nfs"}]}`: "",
		`{"name":"a","vm":"web-02"}`:                                     "body.params.vm: web-02 is not offered (choose web-01)",
		`{"name":"a","size":100}`:                                        "body.params.size: 100 is not offered (choose one of 10, 20)",
		`{"name":"a","mounts":[{"kind":"nfs"},{"kind":"smb"}]}`:          "body.params.mounts[1].kind: it is switched off (choose nfs)",
	} {
		_, err := w.resolveVM("disk", params)
		if want == "" && err != nil {
			t.Errorf("resolve(%s) = %v", params, err)
		}
		if want != "" && (!errs.Is(err, errs.Invalid) || !strings.Contains(problemsOf(err), want)) {
			t.Errorf("resolve(%s) = %s; want %s", params, problemsOf(err), want)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, store.Config{Dir: t.TempDir()})
	w.define(example(t, "vm.yaml"))
	for old, by := range map[string]string{
		"resources: virtual-machine": "types: virtual-machine",
		"where: ":                    "when: ",
		"params.network\"":           "parms.network\"",
		"resource.spec.network ==":   "resource.spec.network = ",
	} {
		if got := w.ask(api.KindResourceType, swap(t, diskType, old, by)); len(got) == 0 || !strings.Contains(got[0], ":8:") {
			t.Errorf("with %q: %v; want a problem in line 8", by, got)
		}
	}
}

func problemsOf(err error) string {
	var out []string
	for _, p := range errs.Public(err).Problems {
		out = append(out, p.Location+": "+p.Message+" ("+p.Hint+")")
	}
	return strings.Join(out, "; ")
}
