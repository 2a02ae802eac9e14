//go:build !bug

package workflow

// bug is the name of the mistake this engine makes on purpose: none. The tests build engines that make
// one, with the tag bug, to show that it would be found.
const bug = ""
