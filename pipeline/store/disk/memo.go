package disk

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/pipe-run/pipe/pipeline"
)

// The memo remembers the stat data that each blob had when its bytes were
// known to be right, so that a blob need not be hashed again while they stay
// the same. It is a log that all processes append to:
//
//	memo/blobs     header, then records {digest, stat, CRC-32C}
//
// Making or removing a hard link changes the ctime of the linked file. So
// pipe's own links, unlinks and renames are made, together with their record,
// under an exclusive lock (memo/lock): whoever sees stat data he does not
// know takes the lock, reads what was appended meanwhile, and looks again.
// Only when they are still unknown is the blob hashed.
//
// A record is appended with one write and checked by its CRC: a torn or lost
// one costs hashing the blob again, nothing else.
type memo struct {
	store *Store

	mu     sync.Mutex // guards what follows; held while the file lock is
	known  map[pipeline.Digest]stat
	inodes map[inode]pipeline.Digest // of which blob a file was the content
	log    uint64                    // inode of the log that was read
	offset int64                     // up to which the log was read
	count  int                       // records in the log
}

const (
	memoHeader = "pipe blob memo 1\n"
	memoRecord = len(pipeline.Digest{}) + statBytes + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// get returns what is known of d without reading the log.
func (m *memo) get(d pipeline.Digest) (stat, bool) {
	m.mu.Lock()
	st, ok := m.known[d]
	m.mu.Unlock()
	if !ok {
		st, ok = m.store.snapshotStat(d)
	}
	return st, ok
}

// An entry is one record of the memo.
type entry struct {
	digest pipeline.Digest
	stat   stat
}

// An inode is a file, whatever its names.
type inode struct{ dev, ino uint64 }

// update calls f under the lock of the memo, with the log read to its end, and
// appends what f noted, also when it returns an error. When the log cannot be
// locked or written, as in a read-only cache, the notes hold for this process.
func (m *memo) update(f func(note func(pipeline.Digest, stat)) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	lock, lockErr := m.lock()
	if lockErr == nil {
		defer lock.Close()
	}
	m.refresh()
	var entries []entry
	err := f(func(d pipeline.Digest, st stat) {
		m.set(d, st)
		entries = append(entries, entry{d, st})
	})
	if lockErr == nil && len(entries) > 0 {
		m.append(entries)
	}
	return err
}

// set makes st what is known of d.
func (m *memo) set(d pipeline.Digest, st stat) {
	m.known[d] = st
	m.inodes[inode{st.Dev, st.Ino}] = d
}

// current returns the newest stat data of d. It is called in update.
func (m *memo) current(d pipeline.Digest) (stat, bool) {
	if st, ok := m.known[d]; ok {
		return st, true
	}
	return m.store.snapshotStat(d)
}

func (m *memo) lock() (*os.File, error) {
	if err := m.store.prepare(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(m.store.dir, "memo", "lock"), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	if err := flock(f, unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (m *memo) path() string { return filepath.Join(m.store.dir, "memo", "blobs") }

// refresh reads what was appended to the log since the last time. A log that
// is unreadable or malformed teaches nothing.
func (m *memo) refresh() {
	f, err := os.Open(m.path())
	if err != nil {
		return
	}
	defer f.Close()
	st, _, err := fstat(f)
	if err != nil {
		return
	}
	if st.Ino != m.log || st.Size < m.offset {
		m.log, m.offset, m.count = st.Ino, int64(len(memoHeader)), 0
	}
	if st.Size <= m.offset {
		return
	}
	b := make([]byte, st.Size-m.offset)
	n, _ := f.ReadAt(b, m.offset)
	b = b[:n-n%memoRecord]
	m.offset += int64(len(b))
	for ; len(b) > 0; b = b[memoRecord:] {
		m.count++
		if e, ok := decodeEntry(b); ok {
			m.set(e.digest, e.stat)
		}
	}
}

func (e entry) append(b []byte) []byte {
	start := len(b)
	b = append(b, e.digest[:]...)
	b = e.stat.append(b)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func decodeEntry(b []byte) (e entry, ok bool) {
	body := b[:memoRecord-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[memoRecord-4:]) {
		return e, false
	}
	copy(e.digest[:], body)
	e.stat = decodeStat(body[len(e.digest):])
	return e, true
}

// append writes entries to the end of the log, which a torn record does not
// put out of step, or a new log when there is none.
func (m *memo) append(entries []entry) {
	if m.log == 0 || m.count > 10_000 && m.count > 4*len(m.known) {
		m.rewrite()
		return
	}
	var b []byte
	for _, e := range entries {
		b = e.append(b)
	}
	f, err := os.OpenFile(m.path(), os.O_WRONLY, 0)
	if err != nil {
		m.log = 0
		return
	}
	defer f.Close()
	m.store.hook("append memo")
	n, _ := f.WriteAt(b, m.offset)
	m.offset += int64(n - n%memoRecord)
	m.count += n / memoRecord
}

// rewrite replaces the log by one that holds what is known.
func (m *memo) rewrite() {
	b := []byte(memoHeader)
	for d, st := range m.known {
		b = entry{d, st}.append(b)
	}
	f, err := os.CreateTemp(filepath.Join(m.store.dir, "tmp"), "memo-")
	if err != nil {
		return
	}
	defer f.Close()
	_, err = f.Write(b)
	st, _, statErr := fstat(f)
	if err = errors.Join(err, statErr); err == nil {
		m.store.hook("rewrite memo")
		err = os.Rename(f.Name(), m.path())
	}
	if err != nil {
		os.Remove(f.Name())
		return
	}
	m.log, m.offset, m.count = st.Ino, int64(len(b)), len(m.known)
}

// forget drops d from what is known. The log keeps its record, which no file
// can match: a new file has a ctime of its own.
func (m *memo) forget(d pipeline.Digest) {
	m.mu.Lock()
	delete(m.known, d)
	m.mu.Unlock()
}
