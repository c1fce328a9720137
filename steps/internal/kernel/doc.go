// Package kernel holds the loops that numbers are made of: the exact fused multiply-add, elementary functions, the
// microkernels of matrix multiplication, the loops over rows of a transformer (norms, gates, softmax, rotations), the
// update of AdamW and the random numbers.
//
// Plain Go defines every bit; assembly only speeds it up and equals it bit for bit (NaN payloads excepted: which NaN
// comes out is not defined). So that the compiler cannot fuse x*y+z behind our back on arm64 or under GOAMD64=v3,
// every product that feeds a sum is either FMA or wrapped in a conversion, float32(x*y) or float64(x*y).
//
// Sums over a row are float64 in eight lanes, element i in lane i%8, added pairwise at the end: the same bits whatever
// the width of a register. Elementwise kernels come from gen/vector for AVX2, AVX-512 and NEON.
//
// Build with the tag purego for plain Go alone, with noavx512 to leave out the AVX-512 kernels.
package kernel
