package disk

import (
	"context"
	"errors"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// A Snapshot is the flat memo of one compiled graph: what [Store.Lookup]
// returned for its keys, and the stat data of all files that the hits depend
// on. With it, a run that finds everything in the cache reads one file and
// asks for stat data, on all cores, instead of opening files per step.
//
// The file memo/<name> is (integers little-endian; see snapshotfile.go):
//
//	header, number of blobs and of entries, CRC-32C of all that follows
//	blobs    digest and stat data of each
//	entries  key, stat data of the result file, result, numbers of its blobs
//
// A snapshot only remembers: without it, or when anything in it does not match
// the files, results are read from ac/.
type Snapshot struct {
	store *Store
	path  string

	blobs   []byte // snapshotBlob bytes each
	entries []snapshotEntry
	byKey   map[pipeline.Key]int

	ready   chan struct{} // closed when the files have been looked at
	checked time.Time     // when that began
	blobOK  []bool        // written before ready is closed
	fileOK  []bool

	index func() map[pipeline.Digest]int // blob by digest, made when first wanted

	mu  sync.Mutex // guards what follows
	hit []bool     // entries that Lookup returned
}

// fresh is for how long the look at the files that opens a snapshot is good
// for. Later, each hit looks again.
const fresh = 2 * time.Second

// Snapshot reads the snapshot called name, such as the digest of a compiled
// graph, and makes Lookup use it. It begins to look at the files behind it, and
// does not wait for that. A snapshot that is absent or damaged is empty.
func (s *Store) Snapshot(name string) *Snapshot {
	n := &Snapshot{store: s, path: filepath.Join(s.dir, "memo", "graph-"+filepath.Base(name)), ready: make(chan struct{})}
	raw, err := os.ReadFile(n.path)
	if err == nil {
		err = n.decode(raw)
	}
	if err != nil {
		n.blobs, n.entries = nil, nil
		if !errors.Is(err, fs.ErrNotExist) {
			s.damaged(Report{"memo", n.path, err.Error()})
		}
	}
	n.byKey = make(map[pipeline.Key]int, len(n.entries))
	for i := range n.entries {
		n.byKey[n.entries[i].key] = i
	}
	n.hit = make([]bool, len(n.entries))
	n.index = sync.OnceValue(n.makeIndex)
	n.checked = time.Now()
	go n.look()
	s.mu.Lock()
	s.snapshots = append(s.snapshots, n)
	s.mu.Unlock()
	return n
}

func (n *Snapshot) makeIndex() map[pipeline.Digest]int {
	m := make(map[pipeline.Digest]int, n.count())
	for i := range n.count() {
		m[n.digest(i)] = i
	}
	return m
}

func (n *Snapshot) count() int { return len(n.blobs) / snapshotBlob }

func (n *Snapshot) digest(i int) pipeline.Digest {
	return pipeline.Digest(n.blobs[i*snapshotBlob:][:len(pipeline.Digest{})])
}

func (n *Snapshot) stat(i int) stat {
	return decodeStat(n.blobs[i*snapshotBlob+len(pipeline.Digest{}):])
}

// look compares the files with the snapshot, in chunks on all cores.
func (n *Snapshot) look() {
	const chunk = 256
	defer close(n.ready)
	blobs, entries := n.count(), len(n.entries)
	n.blobOK, n.fileOK = make([]bool, blobs), make([]bool, entries)
	chunks := func(count int) int { return (count + chunk - 1) / chunk }
	cas, ac := openFolder(n.store.dir+"/cas"), openFolder(n.store.dir+"/ac")
	defer cas.close()
	defer ac.close()
	parallel(context.Background(), chunks(blobs)+chunks(entries), func(c int) error {
		ok, at, dir := n.blobOK, n.lookBlob, cas
		if c >= chunks(blobs) {
			c, ok, at, dir = c-chunks(blobs), n.fileOK, n.lookFile, ac
		}
		for i := c * chunk; i < min((c+1)*chunk, len(ok)); i++ {
			ok[i] = at(dir, i)
		}
		return nil
	})
}

// lookBlob compares a file in dir, which is cas/, with the snapshot.
func (n *Snapshot) lookBlob(dir folder, i int) bool {
	st, err := dir.lstat(n.digest(i))
	return err == nil && st == n.stat(i)
}

// lookFile compares a file in dir, which is ac/, with the snapshot.
func (n *Snapshot) lookFile(dir folder, i int) bool {
	e := &n.entries[i]
	st, err := dir.lstat(e.key)
	return err == nil && st == e.file
}

// lookup returns the result of k when its files are those of the snapshot,
// else nil.
func (n *Snapshot) lookup(k pipeline.Key) *pipeline.Result {
	i, ok := n.byKey[k]
	if !ok {
		return nil
	}
	<-n.ready
	e := &n.entries[i]
	late := time.Since(n.checked) > fresh
	if !n.fileOK[i] || late && !n.lookFile(folderAt(n.store.dir+"/ac"), i) {
		return nil
	}
	for j := range e.count() {
		if b := e.blob(j); !n.blobOK[b] || late && !n.lookBlob(folderAt(n.store.dir+"/cas"), b) {
			return nil
		}
	}
	r := e.result(n)
	if r != nil {
		n.mu.Lock()
		n.hit[i] = true
		n.mu.Unlock()
	}
	return r
}

// fromSnapshots returns the result of k out of a snapshot, or nil. After any
// damage was found, snapshots are not asked.
func (s *Store) fromSnapshots(k pipeline.Key) *pipeline.Result {
	s.mu.Lock()
	snapshots, reports := s.snapshots, len(s.reports)
	s.mu.Unlock()
	if reports > 0 {
		return nil
	}
	for _, n := range snapshots {
		if r := n.lookup(k); r != nil {
			return r
		}
	}
	return nil
}

// snapshotStat returns the stat data of d out of a snapshot.
func (s *Store) snapshotStat(d pipeline.Digest) (stat, bool) {
	s.mu.Lock()
	snapshots := s.snapshots
	s.mu.Unlock()
	for _, n := range snapshots {
		if i, ok := n.index()[d]; ok {
			return n.stat(i), true
		}
	}
	return stat{}, false
}

// Save writes the snapshot for the next run, with the results that this store
// looked up or recorded since it was opened, and at most as many others that
// the snapshot had before. When nothing has changed it writes nothing.
func (n *Snapshot) Save() error {
	<-n.ready
	now := time.Now().Unix()
	n.mu.Lock()
	hit := slices.Clone(n.hit)
	n.mu.Unlock()
	n.store.mu.Lock()
	results := maps.Clone(n.store.results)
	n.store.mu.Unlock()

	wanted := sortedKeys(results)
	for i, e := range n.entries {
		if hit[i] && now-e.used > usePeriod {
			wanted = append(wanted, e.key)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	n.store.noteUse(wanted)
	w := &snapshotWriter{from: n, index: map[pipeline.Digest]uint32{}}
	for _, k := range sortedKeys(results) {
		w.add(k, results[k], now)
	}
	var others []*snapshotEntry
	for i := range n.entries {
		e := &n.entries[i]
		if _, again := results[e.key]; again {
			continue
		}
		if hit[i] {
			w.keep(e, now)
		} else if now-e.used < keepUnused {
			others = append(others, e)
		}
	}
	for _, e := range others[:min(len(others), int(w.count))] {
		w.keep(e, e.used)
	}
	return n.write(w.bytes())
}

// keepUnused is for how long entries that no run wanted stay, in seconds.
const keepUnused = 7 * 24 * 60 * 60

// write replaces the file. It is not synced: a torn file fails its checksum.
func (n *Snapshot) write(b []byte) error {
	s := n.store
	if err := s.prepare(); err != nil {
		return err
	}
	f, err := s.temp()
	if err != nil {
		return err
	}
	defer s.discard(f)
	s.hook("write snapshot")
	if _, err := f.Write(b); err != nil {
		return s.explain(err)
	}
	s.hook("rename snapshot")
	if err := os.Rename(f.Name(), n.path); err != nil {
		return s.explain(err)
	}
	return s.explain(f.Close())
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
