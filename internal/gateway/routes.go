package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"tutti/api"
	"tutti/api/wire"
	"tutti/bus"
	"tutti/web"
)

// openCalls are the routes of the API that need no authentication; see open.
var openCalls = []string{
	"GET /healthz", "GET /readyz", "GET /v1/openapi.json", "GET /v1/bootstrap", "POST /v1/bootstrap", "POST /v1/login", "POST /v1/login-links/follow",
}

// The routes that are not methods of package api.
const (
	uploadRoute   = "POST /v1/namespaces/{namespace}/files"
	downloadRoute = "GET /v1/namespaces/{namespace}/files/{id}/content"
	streamRoute   = "GET /v1/namespaces/{namespace}/stream"
)

// handler answers a request, or returns the error to answer with.
type handler func(w http.ResponseWriter, r *http.Request) error

// operation is a method of package api as it is served.
type operation struct {
	*wire.Route
	params []paramSchema
	body   *bodySchema // nil where the method takes none
	limit  int64       // of the body, in bytes
}

// Limits of bodies, in bytes.
const (
	defaultLimit = 1 << 20
	reportLimit  = 7 << 20 // what workers report in batches; it travels in one message of the bus
	applyLimit   = 5 << 20 // the texts, of 4 MiB at most, as JSON
)

// limits are the methods that take larger bodies.
var limits = map[string]int64{
	api.ApplyDefinitions.Name: applyLimit, api.ValidateDefinitions.Name: applyLimit,
	api.PollTasks.Name: reportLimit, api.AppendLog.Name: reportLimit, api.CompleteTask.Name: reportLimit,
	api.Orchestrate.Name: reportLimit,
}

// routes serves everything there is.
func (g *Gateway) routes() error {
	ops, err := g.schema.operations()
	if err != nil {
		return err
	}
	for _, op := range ops {
		if err := g.handle(op.Info.HTTP, op.Info.Perm, g.method(op)); err != nil {
			return fmt.Errorf("method %s: %w", op.Info.Name, err)
		}
	}
	return g.own()
}

// operations returns the methods of package api that have a route.
func (s *schemas) operations() ([]*operation, error) {
	var ops []*operation
	for _, m := range api.Methods {
		i := m.Info()
		if i.HTTP == "" {
			continue
		}
		r, err := wire.New(i)
		if err != nil {
			return nil, err
		}
		op := &operation{Route: r, limit: defaultLimit}
		if l, ok := limits[i.Name]; ok {
			op.limit = l
		}
		if err := s.add(op); err != nil {
			return nil, err
		}
		ops = append(ops, op)
	}
	return ops, nil
}

// ownRoute is a route that is no method.
type ownRoute struct {
	pattern, perm string
	h             handler
}

// own serves the routes that are not methods: files, the stream, the web UI, health.
func (g *Gateway) own() error {
	routes := append(g.orchestrateRoutes(), []ownRoute{
		{uploadRoute, "file.write", g.upload},
		{downloadRoute, "file.read", g.download},
		{streamRoute, "run.read", g.stream},
		{exportRoute, "audit.read", g.exportAudit},
		{refsRoute, "request.read", g.refs},
		{packRoute, "request.read", g.pack},
		{assetRoute, bus.Open, asset},
		{"GET /healthz", bus.Open, g.healthz},
		{"GET /readyz", bus.Open, g.readyz},
		{"GET /v1/openapi.json", bus.Open, g.openapi},
	}...)
	for _, r := range routes {
		if err := g.handle(r.pattern, r.perm, r.h); err != nil {
			return err
		}
	}
	for _, pattern := range pageRoutes(web.Pages()) {
		if err := g.handle(pattern, bus.Open, page); err != nil {
			return err
		}
	}
	return nil
}

// handle serves pattern with h for callers who are known, or, where perm is bus.Open and pattern is
// one of open, for everybody. Whether they hold perm in the namespace is checked where h calls the
// bus. A route that another has taken is an error.
func (g *Gateway) handle(pattern, perm string, h handler) (err error) {
	switch {
	case perm == "" || perm == bus.System:
		return fmt.Errorf("the route %s declares no permission for users", pattern)
	case perm == bus.Open && !slices.Contains(open, pattern):
		return fmt.Errorf("the route %s would need no authentication, and is no exception", pattern)
	case perm != bus.Open:
		h = g.authenticated(h)
	}
	switch {
	case pattern == refsRoute || pattern == packRoute:
		h = basic(h)
	case strings.Contains(pattern, " "+orchestrateBase):
		h = bare(h)
	}
	defer func() {
		if p := recover(); p != nil { // how ServeMux refuses a route that conflicts with another
			err = fmt.Errorf("the route %s: %v", pattern, p)
		}
	}()
	g.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			g.fail(w, r, err)
		}
	})
	return nil
}
