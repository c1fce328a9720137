package disk

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// A Tombstone says that a result was deleted to make room. The file "evicted"
// holds them as JSON lines, the latest last.
type Tombstone struct {
	Key  pipeline.Key `json:"key"`
	Time time.Time    `json:"time"`
	Size int64        `json:"size"` // bytes freed
}

// maxTombstones bounds the file: older ones are forgotten.
const maxTombstones = 100_000

func (s *Store) evictedPath() string { return filepath.Join(s.dir, "evicted") }

// Tombstone returns the last tombstone of k. It reads the file each time; ask
// only about misses, or take all of [Store.Tombstones].
func (s *Store) Tombstone(k pipeline.Key) (Tombstone, bool) {
	t, ok := s.Tombstones()[k]
	return t, ok
}

// Tombstones returns the last tombstone of each key that has one.
func (s *Store) Tombstones() map[pipeline.Key]Tombstone {
	all := map[pipeline.Key]Tombstone{}
	for _, t := range s.readTombstones() {
		all[t.Key] = t
	}
	return all
}

// readTombstones skips lines that are malformed.
func (s *Store) readTombstones() (all []Tombstone) {
	f, err := os.Open(s.evictedPath())
	if err != nil {
		return nil
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var t Tombstone
		if json.Unmarshal(lines.Bytes(), &t) == nil && !t.Key.IsZero() {
			all = append(all, t)
		}
	}
	return all
}

// bury adds tombstones. It is called while no other process has the cache
// open.
func (s *Store) bury(fresh []Tombstone) error {
	if len(fresh) == 0 {
		return nil
	}
	all := append(s.readTombstones(), fresh...)
	all = all[max(0, len(all)-maxTombstones):]
	var b bytes.Buffer
	var errs []error
	for _, t := range all {
		line, err := json.Marshal(t)
		errs = append(errs, err)
		b.Write(append(line, '\n'))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.writeFile(s.evictedPath(), 0o666, b.Bytes())
}
