// Package modules finds the CUE modules that pipelines import: the schema,
// which this program serves itself, and templates, which any OCI registry may
// hold.
//
// What holds:
//
//   - The built-in module is known in every version up to SchemaVersion within
//     its major: fields are only ever added to it, so the newest serves all.
//   - CUE_REGISTRY says where other modules are, as in CUE; passwords are those
//     of the container client (docker login), or of cue login.
//   - Fetched modules stand in CUE's own cache (CUE_CACHE_DIR), so that cue and
//     editors find them too. Once there, no registry is asked again.
//   - What a registry sends is hostile: it is bounded, held against its digest
//     and checked as a whole before the cache sees any of it.
package modules
