package disk

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
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

// A folder is cas/ or ac/, for many looks at files in it: an open one spares
// the system the way to it.
type folder struct {
	fd     int
	prefix string // of the names, with a slash; empty in an open folder
}

// folderAt returns the folder at path, not opened.
func folderAt(path string) folder { return folder{unix.AT_FDCWD, path + "/"} }

// openFolder opens the folder at path if it can. The caller closes it.
func openFolder(path string) folder {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return folderAt(path)
	}
	return folder{fd: fd}
}

func (f folder) close() {
	if f.fd != unix.AT_FDCWD {
		unix.Close(f.fd)
	}
}

// lstat is lstat of the file of this name, a digest or key.
func (f folder) lstat(name [sha256.Size]byte) (stat, error) {
	var st unix.Stat_t
	path := append(make([]byte, 0, 256), f.prefix...)
	path = append(hex.AppendEncode(path, name[:1]), '/')
	path = hex.AppendEncode(path, name[:])
	for {
		err := unix.Fstatat(f.fd, string(path), &st, unix.AT_SYMLINK_NOFOLLOW)
		switch {
		case err == unix.EINTR:
			continue
		case err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG:
			err = unix.ENOENT
		}
		return newStat(&st), err
	}
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
