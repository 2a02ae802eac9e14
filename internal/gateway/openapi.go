package gateway

import (
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"tutti/api"
	"tutti/bus"
)

// openapi answers with the OpenAPI 3.1 document.
func (g *Gateway) openapi(w http.ResponseWriter, _ *http.Request) error {
	doc, err := described()
	if err != nil {
		return err
	}
	send(w, http.StatusOK, "application/vnd.oai.openapi+json;version=3.1", doc)
	return nil
}

// described is OpenAPI, made when it is first asked for: it takes longer than all else at the start.
var described = sync.OnceValues(OpenAPI)

// OpenAPI returns the document that GET /v1/openapi.json answers with, without a server.
func OpenAPI() ([]byte, error) {
	s := newSchemas()
	ops, err := s.operations()
	if err != nil {
		return nil, err
	}
	return s.document(ops)
}

const about = `One orchestrator for everything that has to happen in order. Errors are RFC 9457 documents with a kind, a hint and the
place of each problem. Lists take limit and cursor. Times are RFC 3339 in UTC, durations 90s, 15m or 2d. A POST
that makes something takes an Idempotency-Key: the same key and body make it once.`

// document returns the OpenAPI document of ops and of the gateway's own routes, as JSON.
func (s *schemas) document(ops []*operation) (doc []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // how huma refuses a type
			err = fmt.Errorf("OpenAPI document: %v", p)
		}
	}()
	d := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "Tutti", Version: "1", Description: about},
		Components: &huma.Components{Schemas: s.reg, SecuritySchemes: map[string]*huma.SecurityScheme{
			"token":   {Type: "http", Scheme: "bearer", Description: "An API token, or the secret of a session."},
			"session": {Type: "apiKey", In: "cookie", Name: cookieName, Description: "The session of a browser."},
		}},
		Security: []map[string][]string{{"token": {}}, {"session": {}}},
	}
	problem := s.reg.Schema(reflect.TypeFor[ErrorDocument](), true, "")
	for _, op := range ops {
		o := s.operation(op.Info)
		for _, p := range op.params {
			o.Parameters = append(o.Parameters, &huma.Param{Name: p.Name, In: p.In, Description: p.schema.Description, Required: p.Required, Schema: p.schema})
		}
		if op.body != nil {
			o.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: op.body.schema}}}
		}
		d.AddOperation(o)
	}
	for _, o := range s.special() {
		d.AddOperation(o)
	}
	for _, item := range d.Paths {
		for _, o := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete, item.Patch} {
			if o != nil {
				o.Responses["default"] = &huma.Response{Description: "What went wrong", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problem}}}
			}
		}
	}
	return d.MarshalJSON()
}

// operation returns the entry of a method, without its parameters.
func (s *schemas) operation(i bus.Info) *huma.Operation {
	verb, path, _ := strings.Cut(i.HTTP, " ")
	tag, _, _ := strings.Cut(i.Name, ".")
	status := i.Status
	if status == 0 {
		status = http.StatusOK
	}
	o := &huma.Operation{
		Method: verb, Path: path, OperationID: i.Name, Summary: i.Doc, Tags: []string{tag},
		Responses: map[string]*huma.Response{strconv.Itoa(status): {
			Description: http.StatusText(status), Content: map[string]*huma.MediaType{"application/json": {Schema: s.reg.Schema(i.Out, true, i.Name)}},
		}},
		Extensions: map[string]any{"x-tutti-permission": i.Perm},
	}
	if i.Perm == bus.Open {
		o.Security = []map[string][]string{}
		o.Extensions["security"] = []any{} // huma leaves an empty list out
	}
	return o
}

// special returns the entries of the routes that are not methods.
func (s *schemas) special() []*huma.Operation {
	text := &huma.Schema{Type: huma.TypeString}
	param := func(in, name, doc string) *huma.Param {
		return &huma.Param{Name: name, In: in, Description: doc, Required: in == "path", Schema: text}
	}
	namespace := param("path", "namespace", "Namespace, such as default")
	bytes := map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}

	up := s.operation(bus.Info{Name: "file.upload", HTTP: uploadRoute, Perm: "file.write", Status: http.StatusCreated, Out: reflect.TypeFor[api.File](), Doc: "Upload a file."})
	up.Description = "The body is the content, of any media type; or multipart/form-data, whose first file is taken."
	up.Parameters = []*huma.Param{namespace, param("query", "name", "What the file is called"), param("header", "Idempotency-Key", "The same key gives the same file")}
	up.RequestBody = &huma.RequestBody{Required: true, Content: bytes}

	down := s.operation(bus.Info{Name: "file.download", HTTP: downloadRoute, Perm: "file.read", Out: reflect.TypeFor[api.Nothing](), Doc: "Download the content of a file."})
	down.Parameters = []*huma.Param{namespace, param("path", "id", "File ID, or sha256:… digest")}
	down.Responses = map[string]*huma.Response{"200": {Description: "The content", Content: bytes}}

	stream := s.operation(bus.Info{Name: "stream", HTTP: streamRoute, Perm: "run.read", Out: reflect.TypeFor[api.Nothing](), Doc: "Follow runs, logs and events as they happen."})
	stream.Description = "Server-sent events. The id of each is the cursor to continue after; its data has topic and data."
	stream.Parameters = []*huma.Param{namespace,
		{Name: "topic", In: "query", Required: true, Description: "run:ID, log:ID, trace:ID, events, requests, runs, approvals, counts, presence or rollout:ENTITY, up to 20; run:ID@N starts after number N",
			Schema: &huma.Schema{Type: huma.TypeArray, Items: text}},
		param("query", "after", "The cursor of the last event seen; also Last-Event-ID")}
	stream.Responses = map[string]*huma.Response{"200": {Description: "The events", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: text}}}}

	export := s.operation(bus.Info{Name: "audit.export", HTTP: exportRoute, Perm: "audit.read", Out: reflect.TypeFor[api.Nothing](), Doc: "Take the audit trail, or what matches of it, away whole."})
	export.Parameters = []*huma.Param{namespace, param("query", "q", "Words and key:value, as of audit.list"), param("query", "format", "jsonl, the default, or csv")}
	export.Responses = map[string]*huma.Response{"200": {Description: "The acts, newest first", Content: map[string]*huma.MediaType{"application/jsonl": {Schema: text}, "text/csv": {Schema: text}}}}
	return []*huma.Operation{up, down, stream, export}
}
