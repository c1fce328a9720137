//go:build !amd64 || purego

package kernel

func (s *Stream) maskFast([]uint64, uint32) (done int) { return 0 }
