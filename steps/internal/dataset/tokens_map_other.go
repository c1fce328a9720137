//go:build !unix

package dataset

import "os"

// mapFile returns nil: files are read.
func mapFile(*os.File) []byte { return nil }

func unmapFile([]byte) error { return nil }

func letGo([]byte) {}
