package tasktypes_test

import (
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	tasktypes "tutti/examples/task-types"
	"tutti/internal/document"
	"tutti/internal/netguard"
	"tutti/internal/task"
	"tutti/internal/task/httptask"
	"tutti/internal/task/tasktest"
)

// call is a task, what the far side has to be asked, what it answers, and what comes of it.
type call struct {
	with string // without the server
	// ask is the method and the path with its query; auth what stands in Authorization, or the header token.
	ask, auth string
	sent      string // the body, as JSON; "" is none
	status    int
	answer    string
	out       string // or, where it is no object, the failure type
}

const basic = "Basic dTpw" // u:p

var calls = map[string][]call{
	"netbox.ip.reserve": {
		{`{"token":"t","prefix":7,"name":"web"}`, "POST /api/ipam/prefixes/7/available-ips/", "Token t", `{"dns_name":"web","status":"active"}`,
			201, `{"id":42,"address":"192.0.2.7/24","family":{"value":4}}`, `{"address":"192.0.2.7/24","id":42}`},
		{`{"token":"t","prefix":7,"name":"web"}`, "POST /api/ipam/prefixes/7/available-ips/", "Token t", `{"dns_name":"web","status":"active"}`,
			409, `{"detail":"An insufficient number of addresses"}`, "netbox.full"},
	},
	"netbox.ip.release": {{`{"token":"t","id":42}`, "DELETE /api/ipam/ip-addresses/42/", "Token t", "", 204, "", `{}`}},
	"netbox.ip.list": {{`{"token":"t","parent":"192.0.2.0/24"}`, "GET /api/ipam/ip-addresses/?limit=200&parent=192.0.2.0%2F24", "Token t", "",
		200, `{"count":1,"next":null,"results":[{"address":"192.0.2.7/24"}]}`, `{"addresses":["192.0.2.7/24"]}`}},
	"phpipam.ip.reserve": {
		{`{"app":"a","token":"t","subnet":3,"name":"web"}`, "POST /api/a/addresses/first_free/3/", "t", `{"hostname":"web"}`,
			201, `{"code":201,"success":true,"id":"11","data":"192.0.2.7"}`, `{"address":"192.0.2.7","id":"11"}`},
		{`{"app":"a","token":"t","subnet":3,"name":"web"}`, "POST /api/a/addresses/first_free/3/", "t", `{"hostname":"web"}`,
			404, `{"code":404,"success":false,"message":"No free addresses found"}`, "phpipam.refused"},
	},
	"phpipam.ip.release": {{`{"app":"a","token":"t","id":"11"}`, "DELETE /api/a/addresses/11/", "t", "", 200, `{"code":200,"success":true}`, `{}`}},
	"infoblox.host.create": {{`{"user":"u","password":"p","name":"web.example.org","network":"192.0.2.0/24"}`, "POST /wapi/v2.12/record:host?_return_fields=name%2Cipv4addrs", basic,
		`{"name":"web.example.org","ipv4addrs":[{"ipv4addr":"func:nextavailableip:192.0.2.0/24"}]}`,
		201, `{"_ref":"record:host/ZG5z:web.example.org/default","name":"web.example.org","ipv4addrs":[{"ipv4addr":"192.0.2.7"}]}`, `{"address":"192.0.2.7","ref":"record:host/ZG5z:web.example.org/default"}`}},
	"infoblox.host.delete": {{`{"user":"u","password":"p","ref":"record:host/ZG5z:web.example.org/default"}`, "DELETE /wapi/v2.12/record:host/ZG5z:web.example.org/default", basic, "",
		200, `"record:host/ZG5z:web.example.org/default"`, `{}`}},
	"servicenow.record.create": {
		{`{"user":"u","password":"p","table":"cmdb_ci_server","fields":{"name":"web"}}`, "POST /api/now/table/cmdb_ci_server", basic, `{"name":"web"}`,
			201, `{"result":{"sys_id":"0123456789abcdef0123456789abcdef","name":"web"}}`, `{"id":"0123456789abcdef0123456789abcdef","number":null}`},
		{`{"user":"u","password":"p","table":"cmdb_ci_server","fields":{}}`, "POST /api/now/table/cmdb_ci_server", basic, `{}`,
			403, `{"error":{"message":"Operation Failed","detail":"ACL"},"status":"failure"}`, "servicenow.refused"},
	},
	"servicenow.record.update": {{`{"user":"u","password":"p","table":"t","id":"0123456789abcdef0123456789abcdef","fields":{"a":1}}`,
		"PATCH /api/now/table/t/0123456789abcdef0123456789abcdef", basic, `{"a":1}`, 200, `{"result":{"sys_id":"x"}}`, `{"id":"x"}`}},
	"zabbix.host.create": {
		{`{"token":"t","name":"web","address":"192.0.2.7","groups":["2"]}`, "POST /api_jsonrpc.php", "Bearer t",
			`{"id":1,"jsonrpc":"2.0","method":"host.create","params":{"groups":[{"groupid":"2"}],"host":"web","interfaces":[{"dns":"","ip":"192.0.2.7","main":1,"port":"10050","type":1,"useip":1}],"templates":[]}}`,
			200, `{"jsonrpc":"2.0","result":{"hostids":["10084"]},"id":1}`, `{"id":"10084"}`},
		{`{"token":"t","name":"web","address":"192.0.2.7","groups":["2"]}`, "POST /api_jsonrpc.php", "Bearer t",
			`{"id":1,"jsonrpc":"2.0","method":"host.create","params":{"groups":[{"groupid":"2"}],"host":"web","interfaces":[{"dns":"","ip":"192.0.2.7","main":1,"port":"10050","type":1,"useip":1}],"templates":[]}}`,
			200, `{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params.","data":"Host exists"},"id":1}`, "zabbix.refused"},
	},
	"zabbix.host.delete": {{`{"token":"t","id":"10084"}`, "POST /api_jsonrpc.php", "Bearer t", `{"jsonrpc":"2.0","method":"host.delete","id":1,"params":["10084"]}`,
		200, `{"jsonrpc":"2.0","result":{"hostids":["10084"]},"id":1}`, `{}`}},
	"foreman.host.create": {
		{`{"user":"u","password":"p","name":"web","hostgroup":5}`, "POST /api/v2/hosts", basic, `{"host":{"name":"web","hostgroup_id":5}}`, 201, `{"id":9,"name":"web.example.org"}`, `{"id":9,"name":"web.example.org"}`},
		{`{"user":"u","password":"p","name":"web","hostgroup":5}`, "POST /api/v2/hosts", basic, `{"host":{"name":"web","hostgroup_id":5}}`,
			422, `{"error":{"full_messages":["Name has already been taken"]}}`, "foreman.refused"},
	},
	"foreman.host.delete": {{`{"user":"u","password":"p","id":9}`, "DELETE /api/v2/hosts/9", basic, "", 404, `{"error":{"message":"Resource host not found"}}`, `{}`}},
}

// Each task type is carried out against a stand-in that answers what the vendor's documents say.
func TestTaskTypes(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(tasktypes.Files, "*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no task types", err)
	}
	untried := slices.Collect(maps.Keys(calls))
	for _, f := range files {
		text, err := tasktypes.Files.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		docs, problems := document.Parse(f, text)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		for _, d := range docs {
			untried = slices.DeleteFunc(untried, func(name string) bool { return name == d.Name })
			if len(calls[d.Name]) == 0 {
				t.Errorf("%s: nothing tries %s", f, d.Name)
			}
			for _, c := range calls[d.Name] {
				t.Run(d.Name, func(t *testing.T) {
					t.Parallel()
					c.try(t, d)
				})
			}
		}
	}
	if len(untried) > 0 {
		t.Errorf("no file has %v", untried)
	}
}

// try carries out the call against a stand-in.
func (c call) try(t *testing.T, d *document.Document) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		auth := r.Header.Get("Authorization") + r.Header.Get("token")
		if ask := r.Method + " " + r.URL.RequestURI(); ask != c.ask || auth != c.auth || canonical(t, body) != canonical(t, []byte(c.sent)) {
			t.Errorf("it asks %s as %q with %s; want %s as %q with %s", ask, auth, body, c.ask, c.auth, c.sent)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(c.status)
		_, _ = io.WriteString(w, c.answer)
	}))
	defer s.Close()
	guard, err := netguard.Parse([]string{s.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	typ, _, problems := (task.Drivers{httptask.NewREST(guard)}).Compile(d)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	with := json.RawMessage(strings.Replace(c.with, "{", `{"server":"`+s.URL+`",`, 1))
	got, failure, _ := tasktest.NewTry(t, typ, with).Do(t.Context(), typ)
	switch {
	case failure != nil:
		if failure.Type != c.out {
			t.Errorf("it fails with %+v; want %s", *failure, c.out)
		}
		tasktest.Declared(t, typ, *failure)
	case !strings.HasPrefix(c.out, "{") || canonical(t, got.Out) != canonical(t, []byte(c.out)):
		t.Errorf("it gives %s; want %s", got.Out, c.out)
	}
}

func canonical(t *testing.T, b []byte) string {
	if len(b) == 0 {
		return ""
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Errorf("%s is not JSON: %v", b, err)
	}
	return string(document.Canonical(v))
}
