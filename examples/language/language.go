// Package language holds a tested definition for every construct of the definition language: NAME.yaml
// shows one, NAME.test.yaml says what comes of it. `tutti workflow test examples/language` runs them all.
package language

import "embed"

// Files are the definitions and their tests.
//
//go:embed *.yaml
var Files embed.FS
