//go:build (!amd64 && !arm64) || purego

package kernel

func machineTiles() []*Tile { return nil }
