// Package heap keeps the garbage collector out of short commands.
package heap

import (
	"os"
	"runtime/debug"
)

// percent is how much the heap of pipe itself may grow between collections.
// The tables that our dependencies make at start, 4 MB, are as much as Go
// starts with: at 100 % a collection falls into every start and is half of
// its time. Now the first one comes at 16 MB.
const percent = 400

// raised is what the percentage was at start. The variable is set while
// packages are initialised, before most dependencies, and not in main: there
// it would be too late.
var raised = raise()

func raise() int {
	if os.Getenv("GOGC") != "" {
		return -1
	}
	return debug.SetGCPercent(percent)
}

// Lower undoes the rise, for a process that has much to compute in memory
// that was foretold to the user.
func Lower() {
	if raised >= 0 {
		debug.SetGCPercent(raised)
	}
}
