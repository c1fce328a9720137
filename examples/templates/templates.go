// Package templates embeds the gallery: a CUE module of templates that pipe
// serves itself.
package templates

import "embed"

// FS holds the module: a folder for each package, and cue.mod/module.cue.
//
//go:embed */*.cue
var FS embed.FS
