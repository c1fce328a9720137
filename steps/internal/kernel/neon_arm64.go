//go:build !purego

package kernel

// hasNEON is true: every arm64 has it. Tests compare with plain Go by taking it away.
var hasNEON = true
