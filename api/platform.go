package api

import (
	"time"

	"tutti/bus"
)

// File is something uploaded. Its content is in the blob store, by digest.
type File struct {
	ID        string    `json:"id"` // file_…
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Type      string    `json:"type"`   // media type
	Digest    string    `json:"digest"` // sha256:…
	Size      int64     `json:"size"`   // bytes
	Trace     string    `json:"trace,omitempty"`
	By        string    `json:"by"`
	Created   time.Time `json:"created"`
}

// AddFileIn records content that is in the blob store. Bytes never travel on the bus; the gateway and
// the workers put them into the blob store and get them from there.
type AddFileIn struct {
	NS
	Key    string // idempotency key; empty makes a new file each time
	Name   string
	Type   string
	Digest string
	Size   int64
}

// FileIn names a file by ID, or by digest.
type FileIn struct {
	NS
	ID string `path:"id" doc:"File ID, or sha256:… digest"`
}

// ListFilesIn asks for files.
type ListFilesIn struct {
	NS
	Paging
	Trace string `query:"trace"`
}

// The file methods. Upload and download are routes of the gateway: POST and GET …/files/{id}/content.
var (
	AddFile    = bus.Method[AddFileIn, File]{Name: "file.add", Perm: "file.write", Doc: "Record an uploaded file."}
	GetFile    = bus.Method[FileIn, File]{Name: "file.get", HTTP: "GET /v1/namespaces/{namespace}/files/{id}", Perm: "file.read", Doc: "Get what is known of a file."}
	ListFiles  = bus.Method[ListFilesIn, Page[File]]{Name: "file.list", HTTP: "GET /v1/namespaces/{namespace}/files", Perm: "file.read", Doc: "List files, newest first."}
	DeleteFile = bus.Method[FileIn, Nothing]{Name: "file.delete", HTTP: "DELETE /v1/namespaces/{namespace}/files/{id}", Perm: "file.write", Doc: "Delete a file."}
)

// Message is a mail that was or will be sent.
type Message struct {
	ID        string    `json:"id"`
	Namespace string    `json:"namespace"`
	To        []string  `json:"to"`
	Subject   string    `json:"subject"`
	Text      string    `json:"text,omitempty"`
	Trace     string    `json:"trace,omitempty"`
	State     State     `json:"state"` // pending, succeeded, failed
	Error     string    `json:"error,omitempty"`
	Tries     int       `json:"tries"`
	Created   time.Time `json:"created"`
	Sent      time.Time `json:"sent,omitzero"`
}

// SendIn asks for a mail. It is accepted, not sent, when the call answers.
type SendIn struct {
	NS
	Key     string // idempotency key
	To      []string
	Subject string
	Text    string
}

// ListMessagesIn asks for mails.
type ListMessagesIn struct {
	NS
	Paging
	Trace string `query:"trace"`
}

// The notification methods.
var (
	SendMail     = bus.Method[SendIn, Message]{Name: "notify.send", Perm: "mail.send", Doc: "Send a mail."}
	ListMessages = bus.Method[ListMessagesIn, Page[Message]]{Name: "notify.list", HTTP: "GET /v1/namespaces/{namespace}/messages", Perm: "request.read", Doc: "List mails, newest first."}
)

// Presence is a sign of life of a process of Tutti or of a worker.
type Presence struct {
	ID       string         `json:"id"`   // of the instance
	Name     string         `json:"name"` // service or worker pool
	Host     string         `json:"host"`
	PID      int            `json:"pid"`
	Version  string         `json:"version"`
	Platform string         `json:"platform"` // go1.26 linux/amd64
	Started  time.Time      `json:"started"`
	Seen     time.Time      `json:"seen"`
	State    string         `json:"state"` // up, down (missed three beats)
	Load     map[string]any `json:"load,omitempty"`
}

// BeatEvery is how often presence is refreshed; after BeatTTL without a beat something is down.
const (
	BeatEvery = 5 * time.Second
	BeatTTL   = 15 * time.Second
)

// The presence methods.
var (
	Beat         = bus.Method[Presence, Nothing]{Name: "presence.beat", Perm: bus.System, Doc: "Give a sign of life."}
	ListPresence = bus.Method[Nothing, Page[Presence]]{Name: "presence.list", HTTP: "GET /v1/presence", Perm: bus.Anyone, Doc: "List services and workers with their last sign of life."}
)

// SecretInfo is what may be known of a secret: everything but its value.
type SecretInfo struct {
	Name    string    `json:"name"`
	Version int       `json:"version"`
	By      string    `json:"by"`
	Updated time.Time `json:"updated"`
}

// SecretIn names a secret.
type SecretIn struct {
	NS
	Name string `path:"name" pattern:"^[a-z][a-z0-9_]{0,62}$"`
}

// SetSecretIn stores a secret.
type SetSecretIn struct {
	NS
	Name string `path:"name" pattern:"^[a-z][a-z0-9_]{0,62}$" doc:"Letters, digits and _, so that expressions can name it"`
	Body SetSecretBody
}

// SetSecretBody holds the value.
type SetSecretBody struct {
	Value string `json:"value" minLength:"1" maxLength:"65536"`
}

// ListSecretsIn asks for the names of secrets.
type ListSecretsIn struct{ NS }

// ResolveSecretsIn asks for values, for a dispatch.
type ResolveSecretsIn struct {
	NS
	Names []string
}

// ResolvedSecrets are values by name.
type ResolvedSecrets struct{ Values map[string]string }

// The secret methods. Values are write-only in the API.
var (
	ListSecrets    = bus.Method[ListSecretsIn, Page[SecretInfo]]{Name: "secret.list", HTTP: "GET /v1/namespaces/{namespace}/secrets", Doc: "List secrets by name, without values."}
	SetSecret      = bus.Method[SetSecretIn, SecretInfo]{Name: "secret.set", HTTP: "PUT /v1/namespaces/{namespace}/secrets/{name}", Doc: "Store a secret; it can be used but never read back."}
	DeleteSecret   = bus.Method[SecretIn, Nothing]{Name: "secret.delete", HTTP: "DELETE /v1/namespaces/{namespace}/secrets/{name}", Perm: "secret.set", Doc: "Delete a secret."}
	ResolveSecrets = bus.Method[ResolveSecretsIn, ResolvedSecrets]{Name: "secret.resolve", Perm: bus.System, Doc: "Get values, for the answer to a trusted worker."}
)

// SearchIn looks an ID up, by a prefix of at least 4 characters after its kind.
type SearchIn struct {
	NS
	ID string `query:"id" minLength:"3" maxLength:"64" required:"true"`
}

// Found is an object an ID prefix may mean.
type Found struct {
	Kind  string `json:"kind"` // request, run, file
	ID    string `json:"id"`
	Title string `json:"title,omitempty"`
	State State  `json:"state,omitempty"`
}

// FindIn asks one service for objects by ID prefix.
type FindIn struct {
	NS
	Prefix string
}

// Find is the method by which a service answers for the IDs of a kind: "run", "request", "file".
func Find(kind string) bus.Method[FindIn, Page[Found]] {
	return bus.Method[FindIn, Page[Found]]{Name: "find." + kind, Perm: "run.read", Doc: "Find objects by a prefix of their ID."}
}

// The methods the gateway answers itself, by asking the services.
var (
	Search = bus.Method[SearchIn, Page[Found]]{Name: "search", HTTP: "GET /v1/namespaces/{namespace}/search", Perm: "run.read", Doc: "Find requests, runs and files by a prefix of their ID."}
)
