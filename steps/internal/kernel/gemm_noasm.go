//go:build !amd64 || purego

package kernel

func machineTiles() []*Tile { return nil }
