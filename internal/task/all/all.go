// Package all is the list of the task types built into Tutti. To add one, write it in a directory of
// its own beside this one and add its line.
package all

import (
	"tutti/bus"
	"tutti/internal/blob"
	"tutti/internal/netguard"
	"tutti/internal/task"
	"tutti/internal/task/exectask"
	"tutti/internal/task/filetask"
	"tutti/internal/task/gittask"
	"tutti/internal/task/httptask"
	"tutti/internal/task/mailtask"
	"tutti/internal/task/nooptask"
	"tutti/internal/task/starlarktask"
	"tutti/internal/task/vspheretask"
	"tutti/sdk"
)

// Needs are what task types work with.
type Needs struct {
	// Guard dials what a user names.
	Guard *netguard.Guard
	// Shim is the command line that runs shim.Main; Work the folder it works in.
	Shim []string
	Work string
	// Bus reaches the services, and Blobs is where files are; only inside the server.
	Bus   *bus.Bus
	Blobs blob.Store
}

// Types returns the task types of the server.
func Types(n Needs) task.Registry {
	return task.NewRegistry(append(Outside(n),
		filetask.NewPut(n.Bus, n.Blobs),
		filetask.NewGet(n.Bus, n.Blobs),
		gittask.New(n.Bus),
		mailtask.New(n.Bus),
	)...)
}

// Outside returns the task types that need nothing of the server, so that any worker can run them. Of
// n it uses Guard, Shim and Work.
func Outside(n Needs) []sdk.TaskType {
	return []sdk.TaskType{
		exectask.New(n.Shim, n.Work),
		httptask.New(n.Guard),
		nooptask.New(),
		starlarktask.New(),
		vspheretask.NewCreate(n.Guard),
		vspheretask.NewDestroy(n.Guard),
		vspheretask.NewRead(n.Guard),
	}
}
