//go:build !noavx512

package kernel

const wantAVX512 = true
