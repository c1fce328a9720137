//go:build !linux

package train

// availableMemory returns how many bytes this process can take before the
// system runs out; −1 if nobody says.
func availableMemory() int64 { return -1 }
