// Package examples holds pipelines to start from.
package examples

import "embed"

// Quickstart is the folder quickstart: the files of a pipeline that needs
// nothing else.
//
//go:embed quickstart
var Quickstart embed.FS
