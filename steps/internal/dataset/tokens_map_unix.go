//go:build unix

package dataset

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps a file to be read, or returns nil.
func mapFile(file *os.File) []byte {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 || int64(int(info.Size())) != info.Size() {
		return nil
	}
	b, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil
	}
	return b
}

func unmapFile(b []byte) error { return unix.Munmap(b) }

// letGo frees the pages of a map; it is advice, and may fail.
func letGo(b []byte) {
	if b != nil {
		_ = unix.Madvise(b, unix.MADV_DONTNEED)
	}
}
