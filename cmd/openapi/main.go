// Command openapi prints what the web UI's types are made from: the OpenAPI document or, with -roles, which role
// each permission needs. No server has to run for it.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"

	"tutti/api"
	"tutti/internal/gateway"
)

func main() {
	roles := flag.Bool("roles", false, "print the weakest role of each permission, as TypeScript")
	flag.Parse()
	if err := show(*roles); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func show(roles bool) error {
	if !roles {
		doc, err := gateway.OpenAPI()
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(doc)
		return err
	}
	weakest := map[string]string{}
	var perms []string
	for _, role := range api.Roles {
		for _, p := range api.PermissionsOf(role) {
			if weakest[p] == "" {
				weakest[p] = role
				perms = append(perms, p)
			}
		}
	}
	slices.Sort(perms)
	fmt.Print("// The weakest role that holds each permission. Made by `make ui-types`.\nexport const roleFor = {\n")
	for _, p := range perms {
		fmt.Printf("  '%s': '%s',\n", p, weakest[p])
	}
	_, err := fmt.Print("} as const\n\nexport type Permission = keyof typeof roleFor\n")
	return err
}
