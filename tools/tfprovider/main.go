// Command terraform-provider-vcenter is a small Terraform provider: the resource vcenter_machine, a
// virtual machine in a vCenter, which can be created, read, updated, deleted and imported. The example
// examples/vm-terraform-ansible uses it, and so do the tests, against the vCenter simulator. It is no
// replacement for a vendor's provider.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
)

// address is what a configuration names as the provider's source. The host is nobody's: the provider
// comes from a folder (tools/tofu-mirror), never from a registry.
const address = "tutti.example/demo/vcenter"

func main() {
	if err := providerserver.Serve(context.Background(), newProvider, providerserver.ServeOpts{Address: address}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
