package api

import (
	"encoding/json"
	"time"

	"tutti/bus"
)

// View is what is known of an end system, such as a vCenter: read only, and kept for a while.
type View struct {
	Name   string `json:"name"`
	Title  string `json:"title,omitempty"`
	System string `json:"system"` // vcenter or aci
	// At is when what is known was read; zero before the first time. Age is how long ago that is.
	At  time.Time `json:"at,omitzero"`
	Age Duration  `json:"age,omitempty"`
	// Refresh is how old it becomes before it is read again.
	Refresh Duration `json:"refresh"`
	// Failure says why the last reading failed; what was known before stays.
	Failure string `json:"failure,omitempty"`
	// Tried is when it was last read, or tried to.
	Tried    time.Time `json:"tried,omitzero"`
	Networks int       `json:"networks"`
	Clusters int       `json:"clusters"`
	Storage  int       `json:"storage"`
	// Content is what was found; only in GetView.
	Content *ViewContent `json:"content,omitempty"`
}

// ViewContent is what an end system has to build on. All lists are in the order of names.
type ViewContent struct {
	Networks []ViewNetwork `json:"networks"`
	Clusters []ViewCluster `json:"clusters"`
	Storage  []ViewStorage `json:"storage"`
}

// ViewNetwork is a network, port group or endpoint group.
type ViewNetwork struct {
	Name       string `json:"name"`
	Datacenter string `json:"datacenter,omitempty"`
	// Tenant and Application are ACI's.
	Tenant      string `json:"tenant,omitempty"`
	Application string `json:"application,omitempty"`
	// Clusters are those whose hosts reach it.
	Clusters []string `json:"clusters,omitempty"`
}

// ViewCluster is a cluster of hosts.
type ViewCluster struct {
	Name       string `json:"name"`
	Datacenter string `json:"datacenter,omitempty"`
	Hosts      int    `json:"hosts"`
	Cores      int    `json:"cores"`
	MemoryMB   int64  `json:"memoryMB"`
}

// ViewStorage is a datastore.
type ViewStorage struct {
	Name       string `json:"name"`
	Datacenter string `json:"datacenter,omitempty"`
	CapacityGB int64  `json:"capacityGB"`
	FreeGB     int64  `json:"freeGB"`
	// Clusters are those whose hosts reach it.
	Clusters []string `json:"clusters,omitempty"`
}

// Cell is one field of the matrix of clusters by storage.
type Cell struct {
	Datacenter string `json:"datacenter,omitempty" maxLength:"200"`
	Cluster    string `json:"cluster" minLength:"1" maxLength:"200"`
	Storage    string `json:"storage" minLength:"1" maxLength:"200"`
	// Permitted says that machines of the cluster may have disks there. By decided it, at At; nobody has
	// where they are empty.
	Permitted bool      `json:"permitted"`
	By        string    `json:"by,omitempty"`
	At        time.Time `json:"at,omitzero"`
	// Reachable says that a host of the cluster has the storage, as last seen.
	Reachable bool `json:"reachable"`
}

// Matrix says which storage the machines of which cluster may use.
type Matrix struct {
	View  string    `json:"view"`
	At    time.Time `json:"at,omitzero"` // of what was seen
	Age   Duration  `json:"age,omitempty"`
	Cells []Cell    `json:"cells"`
	// Default is what counts where nobody decided: permit or deny.
	Default string `json:"default"`
}

// Offer is what may be ordered of a view: the networks, and the permitted pairs that are reachable.
type Offer struct {
	At       time.Time     `json:"at,omitzero"`
	Age      Duration      `json:"age,omitempty"`
	Networks []ViewNetwork `json:"networks"`
	Places   []Place       `json:"places"`
}

// Place is where a machine may be built.
type Place struct {
	Datacenter string `json:"datacenter,omitempty"`
	Cluster    string `json:"cluster"`
	Storage    string `json:"storage"`
	FreeGB     int64  `json:"freeGB"`
	// Networks are those that the cluster reaches.
	Networks []string `json:"networks"`
}

// ViewIn names a view.
type ViewIn struct {
	NS
	Name string `path:"name"`
}

// ListViewsIn asks for the views.
type ListViewsIn struct{ NS }

// PermitIn permits and denies cells.
type PermitIn struct {
	NS
	Name string `path:"name"`
	Body PermitBody
}

// PermitBody holds the cells to decide; the others stay as they are.
type PermitBody struct {
	Cells []PermitCell `json:"cells" minItems:"1" maxItems:"10000"`
}

// PermitCell is a decision about one cell.
type PermitCell struct {
	Datacenter string `json:"datacenter,omitempty" maxLength:"200"`
	Cluster    string `json:"cluster" minLength:"1" maxLength:"200"`
	Storage    string `json:"storage" minLength:"1" maxLength:"200"`
	Permitted  bool   `json:"permitted"`
}

// The view methods.
var (
	ListViews   = bus.Method[ListViewsIn, Page[View]]{Name: "view.list", HTTP: "GET /v1/namespaces/{namespace}/views", Perm: "request.read", Doc: "List the views of end systems by name."}
	GetView     = bus.Method[ViewIn, View]{Name: "view.get", HTTP: "GET /v1/namespaces/{namespace}/views/{name}", Perm: "request.read", Doc: "Get what is known of an end system, and how old that is."}
	RefreshView = bus.Method[ViewIn, View]{Name: "view.refresh", HTTP: "POST /v1/namespaces/{namespace}/views/{name}/refresh", Doc: "Read an end system now."}
	GetMatrix   = bus.Method[ViewIn, Matrix]{Name: "view.matrix", HTTP: "GET /v1/namespaces/{namespace}/views/{name}/matrix", Perm: "request.read", Doc: "Get the matrix of clusters by storage, of what is there and what was decided."}
	PermitCells = bus.Method[PermitIn, Matrix]{Name: "view.permit", HTTP: "PUT /v1/namespaces/{namespace}/views/{name}/matrix", Doc: "Permit and deny cells of the matrix."}
	GetOffer    = bus.Method[ViewIn, Offer]{Name: "view.offer", HTTP: "GET /v1/namespaces/{namespace}/views/{name}/offer", Perm: "request.read", Doc: "Get what may be ordered: networks, and permitted pairs of cluster and storage."}
)

// Trigger is where an alert becomes a request.
type Trigger struct {
	Name  string `json:"name"`
	Title string `json:"title,omitempty"`
	// Live is how many of the resources it asked for there may be at this moment; Ceiling the most.
	Live    int `json:"live"`
	Ceiling int `json:"ceiling"`
	// Cooldown is how long it rests after a request; Next is when it may file the next.
	Cooldown Duration  `json:"cooldown"`
	Next     time.Time `json:"next,omitzero"`
	// Firings are the last ones, newest first; only in GetTrigger.
	Firings []Firing `json:"firings,omitempty"`
}

// Firing is an alert and what came of it.
type Firing struct {
	Fingerprint string    `json:"fingerprint"`
	Starts      time.Time `json:"starts"`
	// Outcome is filed, known (filed before), cooling, ceiling, unmatched, refused, resolved (nothing was to
	// be done) or reversed (a request to delete was filed).
	Outcome string `json:"outcome"`
	Text    string `json:"text,omitempty"`
	Request string `json:"request,omitempty"`
	// Reverse is the request that deletes what Request made.
	Reverse string    `json:"reverse,omitempty"`
	At      time.Time `json:"at"`
}

// TriggerIn names a trigger.
type TriggerIn struct {
	NS
	Name string `path:"name"`
}

// ListTriggersIn asks for the triggers.
type ListTriggersIn struct{ NS }

// FireIn delivers alerts to a trigger.
type FireIn struct {
	NS
	Name string `path:"name"`
	Body AlertBody
}

// AlertBody is what Alertmanager sends to a webhook, version 4; what is not needed is passed over.
type AlertBody struct {
	Version string  `json:"version,omitempty" maxLength:"20"`
	Alerts  []Alert `json:"alerts" maxItems:"1000"`
	// The rest of what Alertmanager sends.
	GroupKey          string          `json:"groupKey,omitempty"`
	TruncatedAlerts   int             `json:"truncatedAlerts,omitempty"`
	Status            string          `json:"status,omitempty"`
	Receiver          string          `json:"receiver,omitempty"`
	GroupLabels       json.RawMessage `json:"groupLabels,omitempty"`
	CommonLabels      json.RawMessage `json:"commonLabels,omitempty"`
	CommonAnnotations json.RawMessage `json:"commonAnnotations,omitempty"`
	ExternalURL       string          `json:"externalURL,omitempty"`
}

// Alert is one alert of Alertmanager's.
type Alert struct {
	Status       string            `json:"status" enum:"firing,resolved"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt,omitzero"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
	Fingerprint  string            `json:"fingerprint" minLength:"1" maxLength:"128"`
}

// FireOut says what came of each alert, in order.
type FireOut struct {
	Firings []Firing `json:"firings"`
}

// The trigger methods.
var (
	FireTrigger  = bus.Method[FireIn, FireOut]{Name: "trigger.fire", HTTP: "POST /v1/namespaces/{namespace}/triggers/{name}/alerts", Doc: "Take alerts in Alertmanager's format, and file the requests that the trigger makes of them."}
	ListTriggers = bus.Method[ListTriggersIn, Page[Trigger]]{Name: "trigger.list", HTTP: "GET /v1/namespaces/{namespace}/triggers", Perm: "request.read", Doc: "List triggers by name."}
	GetTrigger   = bus.Method[TriggerIn, Trigger]{Name: "trigger.get", HTTP: "GET /v1/namespaces/{namespace}/triggers/{name}", Perm: "request.read", Doc: "Get a trigger with its last firings."}
)
