// Package pipeline is the vocabulary of pipe: the words that the compiler,
// the planner, the scheduler, the stores and the steps speak with each other.
// It imports only the standard library; everything else may import it.
//
// A pipeline file compiles to a [Graph] of [Node] values. A node whose inputs
// are known becomes an [Action]; the SHA-256 of its canonical JSON is its
// [Key]. An [Executor] turns an action into a [Result]: artifacts, which are
// trees of files in a [Store], found again through a [Cache].
package pipeline
