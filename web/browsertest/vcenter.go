package browsertest

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/vmware/govmomi/simulator"

	"tutti/api"
)

// look has a site look at a vCenter, and permits some of what it has. The simulator has variables of its process:
// one test alone may use it.
func (s *Site) look(t testing.TB) {
	t.Helper()
	m := simulator.VPX()
	m.Cluster, m.Datastore, m.Machine, m.Host = 3, 4, 0, 0
	if err := m.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Remove)
	m.Service.Listen = &url.URL{User: url.UserPassword("reader", Password)}
	server := m.Service.NewServer()
	t.Cleanup(server.Close)
	at := *server.URL
	at.User = nil
	Call(s, s.Olga, api.SetSecret, api.SetSecretIn{NS: api.NS{Namespace: "default"}, Name: "reader", Body: api.SetSecretBody{Value: Password}})
	s.Apply(fmt.Sprintf("kind: View\nname: vcenter-south\nsystem: vcenter\nwith: { url: %q, user: reader, password: \"${{ secrets.reader }}\", insecureSkipVerify: true }\n", at.String()))
	in := api.ViewIn{NS: api.NS{Namespace: "default"}, Name: "vcenter-south"}
	v := Call(s, s.Olga, api.RefreshView, in)
	if v.Failure != "" {
		t.Fatalf("the vCenter cannot be read: %s", v.Failure)
	}
	var cells []api.PermitCell
	for i, c := range Call(s, s.Olga, api.GetMatrix, in).Cells {
		if i%5 != 4 { // nobody decided about the others
			cells = append(cells, api.PermitCell{Datacenter: c.Datacenter, Cluster: c.Cluster, Storage: c.Storage, Permitted: i%4 != 1})
		}
	}
	Call(s, s.Olga, api.PermitCells, api.PermitIn{NS: in.NS, Name: in.Name, Body: api.PermitBody{Cells: cells}})
}
