// Package vmterraform holds the definitions of a service that builds virtual machines with Terraform and
// configures them with Ansible, as plain files to read, change and apply: `tutti apply -f examples/vm-terraform-ansible`. They are embedded
// for `tutti demo --terraform`; there is nothing else in the package.
package vmterraform

import "embed"

// Files are the definitions.
//
//go:embed *.yaml
var Files embed.FS
