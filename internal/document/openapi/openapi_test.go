package openapi_test

import (
	"strings"
	"testing"

	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/document/openapi"
	"tutti/internal/task"
	"tutti/internal/task/httptask"
)

const cloud = `openapi: 3.0.3
info: {title: Cloud API, version: "1"}
servers: [{url: "https://cloud.example.org/v2/"}]
security: [{bearer: []}]
paths:
  /servers/{server_id}/disks:
    parameters:
      - {name: server_id, in: path, required: true, schema: {type: string}}
      - $ref: "#/components/parameters/Trace"
    post:
      operationId: createDisk
      summary: Add a disk
      description: It is formatted at once.
      parameters:
        - {name: tags, in: query, explode: false, schema: {type: array, items: {type: string}}}
        - {name: X-Region, in: header, schema: {type: string, enum: [eu, us]}}
      requestBody:
        required: true
        content:
          application/json: {schema: {$ref: "#/components/schemas/Disk"}}
      responses:
        201: {description: done, content: {application/json: {schema: {$ref: "#/components/schemas/Disk"}}}}
    delete:
      security: [{basic: []}]
      responses: {"204": {description: gone}}
  /upload:
    put:
      operationId: upload
      requestBody: {required: true, content: {application/octet-stream: {}}}
      responses: {"200": {description: ok}}
  /elsewhere:
    get:
      operationId: elsewhere
      parameters: [{$ref: "other.yaml#/x"}]
  /{missing}:
    get: {operationId: unfilled}
components:
  securitySchemes:
    bearer: {type: http, scheme: bearer}
    basic: {type: http, scheme: basic}
  parameters:
    Trace: {name: trace, in: query, schema: {type: boolean}}
  schemas:
    Disk:
      type: object
      required: [id, gb]
      additionalProperties: false
      properties:
        id: {type: string, format: uuid, readOnly: true}
        gb: {type: integer, minimum: 0, exclusiveMinimum: true}
        note: {type: string, nullable: true, pattern: '^(?=x)'}
        parent: {$ref: "#/components/schemas/Disk"}
`

const created = `kind: TaskType
name: cloud.create-disk
title: Add a disk
doc: It is formatted at once.
with:
  $defs:
    Disk:
      additionalProperties: false
      properties:
        gb:
          exclusiveMinimum: 0
          type: integer
        note:
          type:
            - string
            - "null"
        parent:
          $ref: '#/$defs/Disk'
      required:
        - gb
      type: object
  additionalProperties: false
  properties:
    X_Region:
      enum:
        - eu
        - us
      type: string
    body:
      $ref: '#/$defs/Disk'
    server:
      default: https://cloud.example.org/v2
      description: Base URL of the API, such as https://api.example.org
      format: uri
      type: string
    server_id:
      type: string
    tags:
      items:
        type: string
      type: array
    token:
      description: Token of the API; a secret
      type: string
    trace:
      type: boolean
  required:
    - server_id
    - token
    - body
  type: object
out:
  $defs:
    Disk:
      properties:
        gb:
          exclusiveMinimum: 0
          type: integer
        id:
          type: string
        note:
          type:
            - string
            - "null"
        parent:
          $ref: '#/$defs/Disk'
      required:
        - id
        - gb
      type: object
  $ref: '#/$defs/Disk'
rest:
  method: POST
  url: ${{ with.server }}/servers/${{ with.server_id }}/disks
  query:
    tags: '${{ with.tags == nil ? nil : join(map(with.tags, string(#)), ",") }}'
    trace: ${{ with.trace }}
  headers:
    Authorization: Bearer ${{ with.token }}
    X-Region: ${{ with.X_Region }}
  body: ${{ with.body }}
`

func read(t *testing.T, text string) *openapi.Description {
	t.Helper()
	d, err := openapi.Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sound fails t unless text is a TaskType that a server would take.
func sound(t testing.TB, text []byte) {
	t.Helper()
	docs, problems := document.Parse("type.yaml", text)
	if len(problems) > 0 || len(docs) != 1 {
		t.Fatalf("%d documents, %v in\n%s", len(docs), problems, text)
	}
	if _, _, problems := (task.Drivers{httptask.NewREST(nil)}).Compile(docs[0]); len(problems) > 0 {
		t.Errorf("%v in\n%s", problems, text)
	}
}

func TestTaskType(t *testing.T) {
	t.Parallel()
	d := read(t, cloud)
	got, err := d.TaskType("createDisk", "")
	if err != nil || string(got) != created {
		t.Errorf("TaskType = %v\n%s\nwant\n%s", err, got, created)
	}
	sound(t, got)
	got, err = d.TaskType("DELETE /servers/{server_id}/disks", "cloud.disk.delete")
	if err != nil || !strings.Contains(string(got), `Authorization: Basic ${{ b64(with.user + ":" + with.password) }}`) || !strings.Contains(string(got), "name: cloud.disk.delete\n") {
		t.Errorf("TaskType = %v\n%s\nwant basic authorization, and the name that was given", err, got)
	}
	sound(t, got)
}

func TestOperations(t *testing.T) {
	t.Parallel()
	var ids []string
	for _, o := range read(t, cloud).Operations() {
		ids = append(ids, o.ID)
	}
	if got, want := strings.Join(ids, ","), "elsewhere,createDisk,DELETE /servers/{server_id}/disks,upload,unfilled"; len(ids) != 5 {
		t.Errorf("operations = %s; want %s", got, want)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	d := read(t, cloud)
	for operation, want := range map[string]string{
		"createDisc": `no operation "createDisc"`, "upload": "application/octet-stream", "elsewhere": "which is elsewhere", "unfilled": "no parameter fills",
	} {
		if _, err := d.TaskType(operation, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("TaskType(%s) = %v; want %s", operation, err, want)
		}
	}
	for text, want := range map[string]string{
		"swagger: '2.0'": "no OpenAPI description", "openapi: 3.1.0": "no operations", "a: [": "neither JSON nor YAML", "[]": "no OpenAPI",
	} {
		if _, err := openapi.Read([]byte(text)); err == nil || !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("Read(%q) = %v; want %s", text, err, want)
		}
	}
}

// Whatever a description says, what comes out is a document that a server reads, or an error.
func FuzzTaskType(f *testing.F) {
	f.Add(cloud)
	f.Add(strings.ReplaceAll(cloud, "3.0.3", "3.1.0"))
	f.Add(`{"openapi":"3.1.0","paths":{"/a${{ b }}":{"get":{"parameters":[{"in":"query","name":"x\n- y"}]}}}}`)
	f.Add(`{"openapi":"3.1.0","paths":{"/a":{"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/paths"}}}}}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := openapi.Read([]byte(text))
		if err != nil {
			return
		}
		for _, o := range d.Operations() {
			if doc, err := d.TaskType(o.ID, "imported"); err == nil {
				sound(t, doc)
			}
		}
	})
}
