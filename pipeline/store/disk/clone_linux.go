package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// cloneFile makes dst share the bytes of src, copy on write, where the file
// system can (btrfs, XFS, bcachefs).
func cloneFile(dst, src *os.File) error {
	return unix.IoctlFileClone(int(dst.Fd()), int(src.Fd()))
}
