//go:build !purego

package quant

// wide reports whether unpacking uses 512-bit registers.
func wide() bool { return hasAVX512 }
