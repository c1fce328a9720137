//go:build unix

package optim

import (
	"os"

	"golang.org/x/sys/unix"
)

const canMap = true

// mapFile maps the n bytes of a file; what is written there is the file's.
func mapFile(f *os.File, n int) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func unmap(b []byte) error { return unix.Munmap(b) }
