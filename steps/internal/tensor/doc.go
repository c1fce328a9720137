// Package tensor multiplies row-major float32 matrices on an explicit number of threads, and converts between the
// dtypes of stored tensors.
//
// Every element of a product is summed over K in order with the exact fused multiply-add (package kernel), whatever
// the machine, the number of threads and the path taken: packed beforehand, packed at use, or unpacked panel by panel
// from another form all give the same bits.
//
// A product is cut into units of work, rows of A times a group of lanes (columns of B), which threads take in turn.
// A unit runs over K block by block: it brings a block of its lanes into the layout of the tile, unless that lies
// ready, and multiplies it with all its rows, which it reads where they are. So B is unpacked as often as the rows are
// cut, which is once unless there are thousands, and A is copied only for Aᵀ·B of many rows.
package tensor
