// Package tensor multiplies row-major float32 matrices on an explicit number of threads, and converts between the
// dtypes of stored tensors.
//
// Every element of a product is summed over K in order with the exact fused multiply-add (package kernel), whatever
// the machine, the number of threads and the path taken: packed beforehand, packed at use, or unpacked panel by panel
// from another form all give the same bits.
//
// Products in bf16 (GemmBF16 and its kin) round both matrices to bfloat16 and sum in float32 in the order of the tiles
// of AMX; they have other bits, as defined and as independent of machine, threads and path (kernel.BF16Step).
package tensor
