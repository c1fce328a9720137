package disk

import (
	"encoding/binary"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A stat is what identifies the content of a file without reading it. Times
// are in nanoseconds since 1970.
type stat struct {
	Dev, Ino           uint64
	Size, Mtime, Ctime int64
}

// statBytes is the length of an encoded stat.
const statBytes = 40

// lstat returns the stat data of the regular file at path. What is not a
// regular file does not exist, for a cache.
func lstat(path string) (stat, error) {
	var st unix.Stat_t
	for {
		err := unix.Lstat(path, &st)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return stat{}, &os.PathError{Op: "lstat", Path: path, Err: err}
		}
		break
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return stat{}, &os.PathError{Op: "lstat", Path: path, Err: unix.ENOENT}
	}
	return newStat(&st), nil
}

// fstat returns the stat data of f, and whether other names share its file.
func fstat(f *os.File) (_ stat, linked bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return stat{}, false, &os.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	return newStat(&st), st.Nlink > 1, nil
}

func newStat(st *unix.Stat_t) stat {
	return stat{
		Dev: uint64(st.Dev), Ino: uint64(st.Ino), Size: st.Size,
		Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(),
	}
}

func (st stat) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, st.Dev)
	b = binary.LittleEndian.AppendUint64(b, st.Ino)
	b = binary.LittleEndian.AppendUint64(b, uint64(st.Size))
	b = binary.LittleEndian.AppendUint64(b, uint64(st.Mtime))
	return binary.LittleEndian.AppendUint64(b, uint64(st.Ctime))
}

// decodeStat reads the first statBytes of b.
func decodeStat(b []byte) stat {
	u := binary.LittleEndian.Uint64
	return stat{u(b), u(b[8:]), int64(u(b[16:])), int64(u(b[24:])), int64(u(b[32:]))}
}

// sharesFile reports whether the file of info has other names.
func sharesFile(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink > 1
}
