//go:build !noavx512

package quant

const wantAVX512 = true
