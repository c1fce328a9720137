// Package schemas embeds what a pipeline file may say, in CUE.
package schemas

import "embed"

// FS holds the package: *.cue and cue.mod/module.cue.
//
//go:embed *.cue cue.mod/module.cue
var FS embed.FS

//go:generate go run ../internal/stepdocs ../docs/steps.md
