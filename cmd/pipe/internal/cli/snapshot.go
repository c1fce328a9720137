package cli

import (
	"encoding/binary"

	"github.com/pipe-run/pipe/pipeline"
)

// openSnapshot makes lookups of this graph read one file instead of several
// per step.
func (s *session) openSnapshot() {
	h := pipeline.SumBytes([]byte(s.past.file))
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(s.graph.Nodes)))
	name := pipeline.SumBytes(append(h[:], n[:]...))
	s.snap = s.store.Snapshot(name.String())
}

// saveSnapshot keeps it for the next time. Without one, everything is only
// slower.
func (s *session) saveSnapshot() {
	if s.snap != nil {
		_ = s.snap.Save()
	}
}
