// Command openapi prints what the web UI is made from: the OpenAPI document, with -roles which role each permission
// needs, or with -kinds the JSON Schemas of definitions, which its editor completes from. No server has to run for it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"

	"tutti/api"
	"tutti/internal/gateway"
	"tutti/internal/request"
	"tutti/internal/resource"
	tasks "tutti/internal/task/all"
	"tutti/internal/view"
	"tutti/internal/workflow/definition"
)

func main() {
	roles := flag.Bool("roles", false, "print the weakest role of each permission, as TypeScript")
	kinds := flag.Bool("kinds", false, "print the JSON Schemas of definitions by kind")
	flag.Parse()
	do := document
	switch {
	case *roles:
		do = permissions
	case *kinds:
		do = schemas
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func document() error {
	doc, err := gateway.OpenAPI()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(doc)
	return err
}

func schemas() error {
	all := resource.Schemas()
	all[api.KindWorkflow] = definition.Schema()
	all[api.KindView], all[api.KindTrigger] = view.Schema(), request.TriggerSchema()
	all[api.KindTaskType] = tasks.Drivers(tasks.Deps{}).Schema()
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", " ")
	return e.Encode(all)
}

func permissions() error {
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
