//go:build bug

package workflow

import "os"

// bug is the name of the mistake this engine makes on purpose.
var bug = os.Getenv("TUTTI_BUG")
