package disk

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// The file "used" says when results were last wanted: a log of records {key,
// seconds since 1970, CRC-32C} that processes append to. One record per
// result and usePeriod is enough to tell old from new.

const (
	useRecord = len(pipeline.Key{}) + 8 + 4
	usePeriod = 6 * 60 * 60 // seconds
)

func (s *Store) usedPath() string { return filepath.Join(s.dir, "used") }

// noteUse appends that keys are wanted now. Failing, it costs nothing but a
// wrong guess of gc.
func (s *Store) noteUse(keys []pipeline.Key) {
	now := time.Now().Unix()
	var b []byte
	s.mu.Lock()
	for _, k := range keys {
		if now-s.used[k] < usePeriod {
			continue
		}
		s.used[k] = now
		start := len(b)
		b = binary.LittleEndian.AppendUint64(append(b, k[:]...), uint64(now))
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
	}
	s.mu.Unlock()
	if len(b) == 0 {
		return
	}
	s.hook("note use")
	f, err := os.OpenFile(s.usedPath(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return
	}
	defer f.Close()
	f.Write(b) // one write: records of other processes stay whole
}

// lastUses reads the log. A record that is torn is skipped byte by byte, until
// the next whole one.
func (s *Store) lastUses() map[pipeline.Key]int64 {
	b, err := os.ReadFile(s.usedPath())
	uses := map[pipeline.Key]int64{}
	if err != nil {
		return uses
	}
	for len(b) >= useRecord {
		body, sum := b[:useRecord-4], b[useRecord-4:useRecord]
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(sum) {
			b = b[1:]
			continue
		}
		k := pipeline.Key(body[:32])
		uses[k] = max(uses[k], int64(binary.LittleEndian.Uint64(body[32:])))
		b = b[useRecord:]
	}
	return uses
}
