//go:build amd64 && !purego && !linux

package kernel

func enableAMX() bool { return false }
