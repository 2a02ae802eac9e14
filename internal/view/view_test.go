package view

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"tutti/api"
	"tutti/bus"
	"tutti/bus/membus"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/netguard"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/store/pgtest"
)

// world is the service with stand-ins for its neighbours.
type world struct {
	*testing.T
	*Service
	bus *bus.Bus

	mu   sync.Mutex
	docs map[string]string // of views, by name
}

var inDefault = api.NS{Namespace: "default"}

func newWorld(t *testing.T, c store.Config) *world {
	t.Helper()
	w := &world{T: t, bus: bus.New(&membus.Bus{}, []byte("a key for tests"), api.Allow), docs: map[string]string{}}
	db, err := store.Open(t.Context(), c, "view", Migrations)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	guard, err := netguard.Parse([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Guard: guard})(service.Deps{Name: "view", DB: db, Bus: w.bus, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w.Service = s.(*Service)
	for _, err := range []error{
		w.handle(t.Context()),
		api.GetDefinition.Handle(t.Context(), w.bus, func(_ context.Context, in api.GetDefinitionIn) (api.Definition, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			text, ok := w.docs[in.Name]
			if !ok {
				return api.Definition{}, errs.New(errs.NotFound, "no %s %q", in.Kind, in.Name)
			}
			docs, problems := document.Parse("view.yaml", []byte(text))
			if len(problems) > 0 {
				return api.Definition{}, errs.New(errs.Invalid, "broken").WithProblems(problems...)
			}
			return api.Definition{Kind: in.Kind, Name: in.Name, Namespace: "default", Document: docs[0].JSON}, nil
		}),
		api.ListDefinitions.Handle(t.Context(), w.bus, func(context.Context, api.ListDefinitionsIn) (out api.Page[api.Definition], err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for name := range w.docs {
				out.Items = append(out.Items, api.Definition{Kind: api.KindView, Name: name})
			}
			return out, nil
		}),
		api.ResolveSecrets.Handle(t.Context(), w.bus, func(_ context.Context, in api.ResolveSecretsIn) (api.ResolvedSecrets, error) {
			out := api.ResolvedSecrets{Values: map[string]string{}}
			for _, name := range in.Names {
				out.Values[name] = "a-password-of-" + name
			}
			return out, nil
		}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) define(name, system, address, more string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.docs[name] = fmt.Sprintf("kind: View\nname: %s\nsystem: %s\nwith: { url: %q, user: reader, password: \"${{ secrets.reader }}\", insecureSkipVerify: true }\n%s", name, system, address, more)
}

func (w *world) as(role string) context.Context {
	return bus.WithCaller(w.Context(), bus.Caller{Subject: "user:anna", Grants: []bus.Grant{{Namespace: "default", Role: role}}})
}

// vcsim runs a vCenter with a datacenter, two clusters and two datastores.
func vcsim(t *testing.T) string {
	t.Helper()
	m := simulator.VPX()
	m.Cluster, m.Datastore, m.Machine, m.Host = 2, 2, 0, 0
	if err := m.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Remove)
	for _, e := range m.Map().All("DistributedVirtualPortgroup") { // as a vCenter does
		if pg := e.(*simulator.DistributedVirtualPortgroup); strings.Contains(pg.Name, "DVUplinks") {
			pg.Tag = []types.Tag{{Key: "SYSTEM/DVS.UPLINKPG"}}
		}
	}
	m.Service.Listen = &url.URL{User: url.UserPassword("reader", "a-password-of-reader")}
	s := m.Service.NewServer()
	t.Cleanup(s.Close)
	u := *s.URL
	u.User = nil
	return u.String()
}

func TestVCenter(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(*testing.T) store.Config{
		"sqlite":   func(t *testing.T) store.Config { return store.Config{Dir: t.TempDir()} },
		"postgres": func(t *testing.T) store.Config { return store.Config{URL: pgtest.URL(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, config(t))
			w.define("dc", "vcenter", vcsim(t), "")
			at := api.ViewIn{NS: inDefault, Name: "dc"}
			if v, err := w.get(t.Context(), at); err != nil || !v.At.IsZero() || v.Content != nil {
				t.Errorf("before it was read: %+v, %v", v, err)
			}
			v, err := api.RefreshView.Call(w.as(api.Operator), w.bus, at)
			if err != nil || v.Failure != "" || v.Clusters != 2 || v.Storage != 2 || v.Networks < 2 || v.At.IsZero() {
				t.Fatalf("refresh = %+v, %v", v, err)
			}
			if slices.ContainsFunc(v.Content.Networks, func(n api.ViewNetwork) bool { return strings.Contains(n.Name, "DVUplinks") }) {
				t.Errorf("the networks are %+v; want none that are uplinks", v.Content.Networks)
			}
			c := v.Content.Clusters[0]
			if c.Name != "DC0_C0" || c.Datacenter != "DC0" || c.Hosts != 3 || c.Cores == 0 || c.MemoryMB == 0 {
				t.Errorf("the first cluster is %+v", c)
			}
			if s := v.Content.Storage[0]; s.Name != "LocalDS_0" || !slices.Equal(s.Clusters, []string{"DC0_C0", "DC0_C1"}) || s.CapacityGB == 0 {
				t.Errorf("the first storage is %+v", s)
			}
			o, err := w.offer(t.Context(), at)
			if err != nil || len(o.Places) != 0 || len(o.Networks) != v.Networks {
				t.Errorf("with nothing decided %d places are offered, %v; want none", len(o.Places), err)
			}
			in := api.PermitIn{NS: inDefault, Name: "dc", Body: api.PermitBody{Cells: []api.PermitCell{{Cluster: "DC0_C1", Storage: "LocalDS_0", Permitted: true}}}}
			if _, err := api.PermitCells.Call(w.as(api.Author), w.bus, in); !errs.Is(err, errs.Denied) {
				t.Errorf("an author permits: %v; want denied", err)
			}
			m, err := api.PermitCells.Call(w.as(api.Admin), w.bus, in)
			if err != nil || len(m.Cells) != 4 || !m.Cells[2].Permitted || m.Cells[2].By != "user:anna" || m.Cells[0].Permitted || m.Default != "deny" {
				t.Errorf("the matrix is %+v, %v", m, err)
			}
			o, err = w.offer(t.Context(), at)
			if err != nil || len(o.Places) != 1 || o.Places[0].Cluster != "DC0_C1" || o.Places[0].Storage != "LocalDS_0" || !slices.Contains(o.Places[0].Networks, "DC0_DVPG0") {
				t.Errorf("offered is %+v, %v", o.Places, err)
			}
			in.Body.Cells[0].Storage = "LocalDS_9"
			if _, err := api.PermitCells.Call(w.as(api.Admin), w.bus, in); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "body.cells[0]") {
				t.Errorf("a pair that is not there: %v", err)
			}
			// The vCenter goes; what was seen stays, with the reason why it is old.
			w.define("dc", "vcenter", "http://127.0.0.1:1", "default: permit\n")
			v, err = w.refresh(t.Context(), at)
			if err != nil || v.Failure == "" || v.Clusters != 2 || strings.Contains(v.Failure, "a-password") {
				t.Errorf("with the vCenter gone: %+v, %v", v, err)
			}
			if o, err = w.offer(t.Context(), at); err != nil || len(o.Places) != 4 {
				t.Errorf("with all permitted %d places are offered, %v; want 4", len(o.Places), err)
			}
		})
	}
}

// standIn is an APIC as its REST API guide describes it: aaaLogin gives a token, class queries need it as
// a cookie and come in pages, errors are objects.
func standIn(t *testing.T, groups int) string {
	t.Helper()
	fail := func(w http.ResponseWriter, status int, code, text string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"totalCount":"1","imdata":[{"error":{"attributes":{"code":%q,"text":%q}}}]}`, code, text)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/aaaLogin.json", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			AaaUser struct{ Attributes struct{ Name, Pwd string } }
		}
		if json.NewDecoder(r.Body).Decode(&in) != nil || in.AaaUser.Attributes.Name != "reader" || in.AaaUser.Attributes.Pwd != "a-password-of-reader" {
			fail(w, http.StatusUnauthorized, "401", "TACACS+ Server authentication DENIED")
			return
		}
		fmt.Fprint(w, `{"totalCount":"1","imdata":[{"aaaLogin":{"attributes":{"token":"t0ken","refreshTimeoutSeconds":"600"}}}]}`)
	})
	mux.HandleFunc("POST /api/aaaLogout.json", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"totalCount":"0","imdata":[]}`) })
	mux.HandleFunc("GET /api/class/fvAEPg.json", func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("APIC-cookie"); err != nil || c.Value != "t0ken" {
			fail(w, http.StatusForbidden, "403", "Token was invalid (Error: Token timeout)")
			return
		}
		var page, size int
		fmt.Sscan(r.URL.Query().Get("page"), &page)
		fmt.Sscan(r.URL.Query().Get("page-size"), &size)
		var out []string
		for i := page * size; i < min(groups, (page+1)*size); i++ {
			out = append(out, fmt.Sprintf(`{"fvAEPg":{"attributes":{"name":"web-%04d","dn":"uni/tn-prod/ap-shop/epg-web-%04d"}}}`, i, i))
		}
		fmt.Fprintf(w, `{"totalCount":"%d","imdata":[%s]}`, groups, strings.Join(out, ","))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func TestACI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, store.Config{Dir: t.TempDir()})
	w.define("fabric", "aci", standIn(t, 1201), "")
	at := api.ViewIn{NS: inDefault, Name: "fabric"}
	v, err := w.refresh(t.Context(), at)
	if err != nil || v.Failure != "" || v.Networks != 1201 {
		t.Fatalf("refresh = %d networks, %q, %v; want 1201", v.Networks, v.Failure, err)
	}
	if n := v.Content.Networks[7]; n.Name != "web-0007" || n.Tenant != "prod" || n.Application != "shop" {
		t.Errorf("a network is %+v", n)
	}
	page, err := w.list(t.Context(), api.ListViewsIn{NS: inDefault})
	if err != nil || len(page.Items) != 1 || page.Items[0].Content != nil || page.Items[0].Networks != 1201 {
		t.Errorf("list = %+v, %v", page, err)
	}
	for name, c := range map[string]struct{ address, user, want string }{
		"another password": {standIn(t, 1), "writer", "DENIED"},
		"no APIC":          {httptestPlain(t), "reader", "JSON"},
	} {
		w.define("fabric", "aci", c.address, "")
		w.mu.Lock()
		w.docs["fabric"] = strings.Replace(w.docs["fabric"], "user: reader", "user: "+c.user, 1)
		w.mu.Unlock()
		if v, err := w.refresh(t.Context(), at); err != nil || !strings.Contains(v.Failure, c.want) || v.Networks != 1201 {
			t.Errorf("%s: %q, %v; want %q", name, v.Failure, err, c.want)
		}
	}
}

func httptestPlain(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	t.Cleanup(s.Close)
	return s.URL
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, store.Config{Dir: t.TempDir()})
	good := "kind: View\nname: v\nsystem: aci\nwith: { url: https://apic.example.org, user: u, password: \"${{ secrets.p }}\" }\n"
	for text, want := range map[string]string{
		good:                                   "",
		good + "refresh: 1s\n":                 "1s",
		good + "color: red\n":                  "color",
		strings.Replace(good, "aci", "nsx", 1): "system",
		strings.Replace(good, "secrets.p", "inputs.p", 1): `no "inputs"`,
		strings.Replace(good, "user: u, ", "", 1):         "user",
	} {
		out, err := api.CheckKind(api.KindView).Call(bus.AsService(t.Context(), "definition"), w.bus, api.CheckIn{NS: inDefault, Files: []api.SourceFile{{Name: "v.yaml", Text: text}}})
		got := fmt.Sprint(out.Problems)
		if err != nil || (want == "") != (len(out.Problems) == 0) || !strings.Contains(got, want) {
			t.Errorf("check of %q = %s, %v; want %q", text, got, err, want)
		}
	}
}
