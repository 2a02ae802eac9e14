package app

import (
	"fmt"
	"os"

	"tutti/internal/ansible/local"
	"tutti/internal/task"
	"tutti/internal/task/all"
	"tutti/internal/task/exectask"
	"tutti/internal/terraform/tfcli"
)

// RunTerraform is the process below which tofu or terraform runs, for the hidden command
// terraform-run. It returns the exit code.
func RunTerraform() int { return tfcli.Main() }

// RunAnsible is the process below which ansible-playbook runs, for the hidden command ansible-run. It
// returns the exit code.
func RunAnsible() int { return local.Main() }

// types returns the task types that the server runs, and that the engine knows, and the drivers of
// those that are declared in documents.
func (p *platform) types() (task.Registry, task.Drivers, error) {
	shim := p.c.Shim
	if len(shim) == 0 {
		self, err := os.Executable()
		if err != nil {
			return task.Registry{}, nil, fmt.Errorf("find this program: %w", err)
		}
		shim = []string{self, "shim"}
	}
	tf := p.c.Terraform
	tf.Dir, tf.Box, tf.Shim = p.path("terraform"), p.box, shim
	if len(tf.Runner) == 0 {
		tf.Runner = []string{shim[0], "terraform-run"}
	}
	play := p.c.Ansible
	play.Dir, play.Box, play.Shim = p.path("ansible"), p.box, shim
	if len(play.Runner) == 0 {
		play.Runner = []string{shim[0], "ansible-run"}
	}
	d := all.Deps{Terraform: tf, Ansible: play, Guard: p.guard, Shim: shim, Work: p.path("work"), Programs: exectask.NewPlaces(p.c.Programs), Bus: p.bus, Blobs: p.blobs}
	return all.Types(d), all.Drivers(d), nil
}
