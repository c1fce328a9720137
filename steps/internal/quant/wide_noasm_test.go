//go:build !amd64 || purego

package quant

func wide() bool { return false }
