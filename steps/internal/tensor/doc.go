// Package tensor multiplies row-major float32 matrices on an explicit number of threads, and converts between the
// dtypes of stored tensors.
//
// Every element of a product is summed over K in order with the exact fused multiply-add (package kernel), whatever
// the machine, the number of threads and the path taken: packed beforehand, packed at use, or unpacked panel by panel
// from another form all give the same bits.
package tensor
