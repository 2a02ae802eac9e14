// Package all lists the task types built into Tutti. To add one, add its line.
package all

import (
	"tutti/bus"
	"tutti/internal/ansible"
	"tutti/internal/ansible/awx"
	"tutti/internal/ansible/local"
	"tutti/internal/blob"
	"tutti/internal/netguard"
	"tutti/internal/task"
	"tutti/internal/task/ansibletask"
	"tutti/internal/task/budgettask"
	"tutti/internal/task/exectask"
	"tutti/internal/task/filetask"
	"tutti/internal/task/gittask"
	"tutti/internal/task/httptask"
	"tutti/internal/task/mailtask"
	"tutti/internal/task/nooptask"
	"tutti/internal/task/rollouttask"
	"tutti/internal/task/starlarktask"
	"tutti/internal/task/terraformtask"
	"tutti/internal/task/vspheretask"
	"tutti/internal/terraform"
	"tutti/internal/terraform/tfcli"
	"tutti/internal/terraform/tfe"
	"tutti/sdk"
)

// Deps is what the task types need. For the specs alone, the zero Deps will do.
type Deps struct {
	// Bus carries calls to the services.
	Bus *bus.Bus
	// Guard decides which addresses tasks may connect to; nil allows public ones.
	Guard *netguard.Guard
	// Blobs keeps the contents of files.
	Blobs blob.Store
	// Shim is the command line of this binary that reaches shim.Main.
	Shim []string
	// Work is the folder where programs run, on a disk that survives a restart.
	Work string
	// Programs bounds how many programs of exec run at a time; nil is no bound.
	Programs exectask.Places
	// Terraform says how tofu or terraform runs on this machine.
	Terraform tfcli.Config
	// Ansible says how ansible-playbook runs on this machine.
	Ansible local.Config
}

// Drivers returns the drivers of the task types that documents declare.
func Drivers(d Deps) task.Drivers {
	return task.Drivers{
		httptask.NewREST(d.Guard),
		exectask.NewDriver(d.Shim, d.Work, d.Programs),
		starlarktask.NewDriver(),
		task.Outside(),
	}
}

// Types returns the task types.
func Types(d Deps) task.Registry {
	return task.NewRegistry(append(append(terraforms(d), ansibles(d)...),
		nooptask.New(),
		httptask.New(d.Guard),
		exectask.New(d.Shim, d.Work, d.Programs),
		starlarktask.New(),
		mailtask.New(d.Bus),
		filetask.NewPut(d.Bus, d.Blobs),
		filetask.NewGet(d.Bus, d.Blobs),
		gittask.New(d.Bus),
		rollouttask.New(d.Bus),
		budgettask.NewHold(d.Bus),
		budgettask.NewRelease(d.Bus),
		vspheretask.NewCreate(d.Guard),
		vspheretask.NewRead(d.Guard),
		vspheretask.NewDestroy(d.Guard),
	)...)
}

// terraforms returns the task types of Terraform, with its drivers.
func terraforms(d Deps) []sdk.TaskType {
	return terraformtask.New(terraformtask.Deps{
		Drivers: terraform.Drivers{"cli": tfcli.New(d.Terraform), "tfe": tfe.New(tfe.Config{Dial: d.Guard.DialContext})},
		Source:  task.NewSource("terraform", d.Bus, d.Guard),
	})
}

// ansibles returns the task types of Ansible, with its drivers.
func ansibles(d Deps) []sdk.TaskType {
	return ansibletask.New(ansibletask.Deps{
		Drivers: ansible.Drivers{ansible.Local: local.New(d.Ansible), ansible.AWX: awx.New(awx.Config{Dial: d.Guard.DialContext})},
		Source:  task.NewSource("ansible", d.Bus, d.Guard),
	})
}
