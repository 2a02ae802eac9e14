package main

import (
	"slices"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/cli"
	"tutti/internal/document"
	"tutti/internal/task/all"
	"tutti/internal/workflow"
	"tutti/internal/workflow/definition"
	"tutti/internal/workflow/simulate"
)

// offline gives c what it checks and plays workflows with, without a server.
func offline(c *cli.Config) {
	drivers := all.Drivers(all.Deps{})
	c.Schemas[simulate.KindTest] = simulate.Schema()
	c.Specs = slices.Concat(workflow.Native(), all.Types(all.Deps{}).Specs())
	c.Schemas[api.KindWorkflow] = definition.EditorSchema(c.Specs)
	c.Declare = func(d *document.Document) (t api.TaskType, problems []errs.Problem) {
		if _, _, problems = drivers.Compile(d); len(problems) > 0 {
			return t, problems
		}
		t, err := drivers.Spec(d.JSON)
		if err != nil {
			return t, []errs.Problem{{Location: d.At(""), Message: errs.Public(err).Msg}}
		}
		return t, nil
	}
}
