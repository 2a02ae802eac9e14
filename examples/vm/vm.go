// Package vm holds the definitions of a service that builds virtual machines, as plain files to read,
// change and apply: `tutti apply -f examples/vm`. They are embedded for `tutti demo`; there is nothing
// else in the package.
package vm

import "embed"

// Files are the definitions.
//
//go:embed *.yaml
var Files embed.FS
