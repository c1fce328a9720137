//go:build !linux

package train

// availableMemory returns how many bytes this process can take before the
// system runs out; −1 if nobody says.
func availableMemory() int64 { return -1 }

// totalMemory returns how many bytes there are for this process at most; nobody
// says here.
func totalMemory() int64 { return -1 }
