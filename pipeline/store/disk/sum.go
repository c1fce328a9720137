package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pipe-run/pipe/pipeline"
)

// sums remembers the digests of files outside the cache by their stat data:
//
//	memo/files   header, then records {uint32 length, path, stat, digest, CRC-32C}
//
// Processes append under memo/files.lock, after reading what others appended;
// a torn record at the end is overwritten by the next one.
type sums struct {
	store *Store

	mu     sync.Mutex // guards what follows; held while the file lock is
	known  map[string]fileSum
	log    uint64 // inode of the log that was read
	offset int64  // end of the last whole record
	count  int    // records in the log
}

// A fileSum is what is remembered of a path.
type fileSum struct {
	stat   stat
	digest pipeline.Digest
}

const (
	sumsHeader = "pipe file memo 1\n"
	sumsFixed  = statBytes + len(pipeline.Digest{}) + 4 // of a record, beside length and path
	usualSum   = sumsFixed + 4 + 40                     // of a record, about
	maxPath    = 1 << 16

	// settled is how long a file must not have changed to be remembered: a
	// later change could leave the times as they are, as coarse as clocks of
	// file systems tick.
	settled = 2 * time.Second
)

// Sum looks at the regular file at path, which symbolic links may lead to. It
// reads the file unless path, device, inode, size, mtime and ctime are those
// of an earlier call, by any process. Sum is safe for concurrent use.
func (s *Store) Sum(path string) (pipeline.FileSum, error) {
	f, err := s.sums.sum(path)
	if err != nil {
		return pipeline.FileSum{}, fmt.Errorf("hashing %s: %w", path, err)
	}
	return f, nil
}

func (m *sums) sum(path string) (f pipeline.FileSum, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return f, err
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return f, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return f, errNotRegular
	}
	f.Executable = st.Mode&0o111 != 0
	now := newStat(&st)
	m.mu.Lock()
	if m.known == nil {
		m.known = map[string]fileSum{}
		m.refresh()
	}
	known, ok := m.known[path]
	m.mu.Unlock()
	if ok && known.stat == now {
		f.Digest, f.Size = known.digest, now.Size
	} else {
		f.Digest, f.Size, err = m.read(path)
	}
	return f, err
}

var errNotRegular = errors.New("not a regular file")

// read hashes the file at path and remembers it when it has settled.
func (m *sums) read(path string) (d pipeline.Digest, size int64, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return d, 0, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return d, 0, err
	} else if !info.Mode().IsRegular() {
		return d, 0, errNotRegular
	}
	before, _, err := fstat(f)
	if err != nil {
		return d, 0, err
	}
	start := time.Now()
	if d, size, err = sum(context.Background(), f); err != nil {
		return d, 0, err
	}
	after, _, err := fstat(f)
	if err != nil {
		return d, 0, err
	}
	if after != before || size != after.Size {
		return d, 0, errors.New("the file was changed while it was read")
	}
	if start.Sub(time.Unix(0, max(after.Mtime, after.Ctime))) >= settled {
		m.remember(path, fileSum{after, d})
	}
	return d, size, nil
}

// remember appends to the log, if it can.
func (m *sums) remember(path string, f fileSum) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[path] = f
	if len(path) > maxPath || m.store.prepare() != nil {
		return
	}
	lock, err := os.OpenFile(m.path()+".lock", os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return
	}
	defer lock.Close()
	if flock(lock, unix.LOCK_EX) != nil {
		return
	}
	m.refresh()
	m.known[path] = f
	if m.log == 0 || m.count > 1000 && m.count > 2*len(m.known) {
		m.rewrite()
		return
	}
	log, err := os.OpenFile(m.path(), os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer log.Close()
	b := f.append(nil, path)
	m.store.hook("append file memo")
	if n, err := log.WriteAt(b, m.offset); err == nil {
		m.offset += int64(n)
		m.count++
	}
}

func (m *sums) path() string { return filepath.Join(m.store.dir, "memo", "files") }

// refresh reads what was appended since the last time.
func (m *sums) refresh() {
	log, err := os.Open(m.path())
	if err != nil {
		m.log = 0
		return
	}
	defer log.Close()
	st, _, err := fstat(log)
	if err != nil {
		return
	}
	if st.Ino != m.log || st.Size < m.offset {
		m.log, m.offset, m.count = 0, int64(len(sumsHeader)), 0
		header := make([]byte, len(sumsHeader))
		if _, err := log.ReadAt(header, 0); err != nil || string(header) != sumsHeader {
			return // remember makes a new one
		}
		m.log = st.Ino
	}
	if st.Size <= m.offset {
		return
	}
	b := make([]byte, st.Size-m.offset)
	n, _ := log.ReadAt(b, m.offset)
	if len(m.known) == 0 {
		m.known = make(map[string]fileSum, n/usualSum)
	}
	for b = b[:n]; ; m.count++ {
		path, f, size := decodeFileSum(b)
		if size == 0 {
			return
		}
		m.known[path] = f
		m.offset += int64(size)
		b = b[size:]
	}
}

// rewrite replaces the log by one that holds what is known.
func (m *sums) rewrite() {
	b := []byte(sumsHeader)
	for _, path := range sortedNames(m.known) {
		b = m.known[path].append(b, path)
	}
	f, err := m.store.temp()
	if err != nil {
		return
	}
	defer m.store.discard(f)
	if _, err := f.Write(b); err != nil {
		return
	}
	st, _, err := fstat(f)
	m.store.hook("rewrite file memo")
	if err != nil || os.Rename(f.Name(), m.path()) != nil {
		return
	}
	m.log, m.offset, m.count = st.Ino, int64(len(b)), len(m.known)
}

func (f fileSum) append(b []byte, path string) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(path)))
	b = f.stat.append(append(b, path...))
	b = append(b, f.digest[:]...)
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

// decodeFileSum reads the first record of b; its size is 0 when there is no
// whole one.
func decodeFileSum(b []byte) (path string, f fileSum, size int) {
	if len(b) < 4 {
		return "", f, 0
	}
	n := int(min(binary.LittleEndian.Uint32(b), maxPath+1))
	if n > maxPath || len(b) < 4+n+sumsFixed {
		return "", f, 0
	}
	size = 4 + n + sumsFixed
	if checksum(b[:size-4]) != binary.LittleEndian.Uint32(b[size-4:]) {
		return "", f, 0
	}
	path = string(b[4 : 4+n])
	f.stat = decodeStat(b[4+n:])
	copy(f.digest[:], b[4+n+statBytes:])
	return path, f, size
}
