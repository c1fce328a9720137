// Package compile turns pipeline files, written in CUE, into graphs. It is the
// only package that imports cuelang.org/go and github.com/dominikbraun/graph.
//
// A file is unified with #Pipeline of package schemas and evaluated once.
// Edges are data: steps.X.out.Y is a value that the schema fills in. What the
// result means is read from it step by step:
//
//   - the happy path only exports: every field of every step becomes JSON;
//   - a step that cannot be exported is diagnosed field by field against the
//     schema's own syntax (see shape), so that one mistake hides no other and
//     each is told in words about the user's file, not about the schema.
//
// Positions are those of the user's file, named as the user named it.
package compile
