package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
)

// An entry of a snapshot, after its key and length:
//
//	stat    of the result file
//	int64   when gc was last told of the use, seconds since 1970
//	digest  of the log, zeros without one
//	3 × 8   usage: seconds, CPU seconds (float64), peak memory (int64)
//	uint32  number of blobs, and the number of each, uint32
//	uint16  number of outputs, and for each
//	        uint16 length and bytes of name and of type, digest, int64 size

const (
	snapshotHeader = "pipe snapshot 1\n"
	snapshotBlob   = len(pipeline.Digest{}) + statBytes
	entryFixed     = statBytes + 8 + 32 + 24 + 4
)

// A snapshotEntry is decoded as far as every run needs it.
type snapshotEntry struct {
	key  pipeline.Key
	file stat
	used int64
	raw  []byte // the whole entry
}

// count returns the number of blobs of e.
func (e *snapshotEntry) count() int {
	return int(binary.LittleEndian.Uint32(e.raw[entryFixed-4:]))
}

// blob returns the number, in the snapshot, of the jth blob of e.
func (e *snapshotEntry) blob(j int) int {
	return int(binary.LittleEndian.Uint32(e.raw[entryFixed+4*j:]))
}

var errSnapshot = errors.New("malformed")

// decode reads a snapshot file into n.
func (n *Snapshot) decode(raw []byte) error {
	rest, ok := bytes.CutPrefix(raw, []byte(snapshotHeader))
	if !ok || len(rest) < 12 {
		return errSnapshot
	}
	blobs, entries := binary.LittleEndian.Uint32(rest), binary.LittleEndian.Uint32(rest[4:])
	sum := binary.LittleEndian.Uint32(rest[8:])
	if rest = rest[12:]; checksum(rest) != sum {
		return errors.New("wrong checksum")
	}
	if uint64(blobs)*uint64(snapshotBlob) > uint64(len(rest)) || uint64(entries)*uint64(36+entryFixed) > uint64(len(rest)) {
		return errSnapshot
	}
	n.blobs, rest = rest[:int(blobs)*snapshotBlob], rest[int(blobs)*snapshotBlob:]
	n.entries = make([]snapshotEntry, entries)
	for i := range n.entries {
		if len(rest) < 36 {
			return errSnapshot
		}
		size := int(binary.LittleEndian.Uint32(rest[32:]))
		if size < entryFixed || size > len(rest)-36 {
			return errSnapshot
		}
		e := &n.entries[i]
		e.key, e.raw = pipeline.Key(rest[:32]), rest[36:36+size]
		e.file = decodeStat(e.raw)
		e.used = int64(binary.LittleEndian.Uint64(e.raw[statBytes:]))
		if e.count() > (size-entryFixed)/4 {
			return errSnapshot
		}
		for j := range e.count() {
			if e.blob(j) >= int(blobs) {
				return errSnapshot
			}
		}
		rest = rest[36+size:]
	}
	return nil
}

// result decodes the result of e, or returns nil when it is malformed.
func (e *snapshotEntry) result(n *Snapshot) *pipeline.Result {
	b := e.raw[statBytes+8:]
	r := &pipeline.Result{Log: pipeline.Digest(b[:32])}
	u := binary.LittleEndian.Uint64
	r.Usage.Seconds = math.Float64frombits(u(b[32:]))
	r.Usage.CPUSeconds = math.Float64frombits(u(b[40:]))
	r.Usage.PeakMemory = int64(u(b[48:]))
	b = e.raw[entryFixed+4*e.count():]
	if len(b) < 2 {
		return nil
	}
	count := int(binary.LittleEndian.Uint16(b))
	b = b[2:]
	r.Outputs = make(map[string]pipeline.Artifact, min(count, 64))
	for range count {
		name, rest, ok1 := cutString(b)
		typ, rest, ok2 := cutString(rest)
		if !ok1 || !ok2 || len(rest) < 40 {
			return nil
		}
		r.Outputs[name] = pipeline.Artifact{Type: typ, Root: pipeline.Digest(rest[:32]), Size: int64(u(rest[32:]))}
		b = rest[40:]
	}
	return r
}

func cutString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) < 2 {
		return "", nil, false
	}
	n := int(binary.LittleEndian.Uint16(b))
	if n > len(b)-2 {
		return "", nil, false
	}
	return string(b[2 : 2+n]), b[2+n:], true
}

// A snapshotWriter collects the entries of a new snapshot.
type snapshotWriter struct {
	from    *Snapshot
	blobs   []byte
	index   map[pipeline.Digest]uint32
	entries []byte
	count   uint32
}

// blob returns the number of the blob d in the new snapshot. Stat data that
// are not known are zeros, which no file has.
func (w *snapshotWriter) blob(d pipeline.Digest) uint32 {
	i, ok := w.index[d]
	if !ok {
		i = uint32(len(w.blobs) / snapshotBlob)
		w.index[d] = i
		st, _ := w.from.store.memo.get(d)
		w.blobs = st.append(append(w.blobs, d[:]...))
	}
	return i
}

// add appends a result that was looked up or recorded by this process.
func (w *snapshotWriter) add(k pipeline.Key, c *cached, now int64) {
	le := binary.LittleEndian
	b := c.file.append(nil)
	b = le.AppendUint64(b, uint64(now))
	b = append(b, c.result.Log[:]...)
	b = le.AppendUint64(b, math.Float64bits(c.result.Usage.Seconds))
	b = le.AppendUint64(b, math.Float64bits(c.result.Usage.CPUSeconds))
	b = le.AppendUint64(b, uint64(c.result.Usage.PeakMemory))
	b = le.AppendUint32(b, uint32(len(c.blobs)))
	for _, blob := range c.blobs {
		b = le.AppendUint32(b, w.blob(blob.digest))
	}
	b = le.AppendUint16(b, uint16(len(c.result.Outputs)))
	for _, name := range sortedNames(c.result.Outputs) {
		a := c.result.Outputs[name]
		if len(name) > math.MaxUint16 || len(a.Type) > math.MaxUint16 {
			return
		}
		b = append(le.AppendUint16(b, uint16(len(name))), name...)
		b = append(le.AppendUint16(b, uint16(len(a.Type))), a.Type...)
		b = append(b, a.Root[:]...)
		b = le.AppendUint64(b, uint64(a.Size))
	}
	w.append(k, b)
}

// keep appends an entry of the old snapshot.
func (w *snapshotWriter) keep(e *snapshotEntry, used int64) {
	b := slices.Clone(e.raw)
	binary.LittleEndian.PutUint64(b[statBytes:], uint64(used))
	for j := range e.count() {
		binary.LittleEndian.PutUint32(b[entryFixed+4*j:], w.blob(w.from.digest(e.blob(j))))
	}
	w.append(e.key, b)
}

func (w *snapshotWriter) append(k pipeline.Key, b []byte) {
	w.entries = append(w.entries, k[:]...)
	w.entries = binary.LittleEndian.AppendUint32(w.entries, uint32(len(b)))
	w.entries = append(w.entries, b...)
	w.count++
}

// bytes returns the snapshot file.
func (w *snapshotWriter) bytes() []byte {
	le := binary.LittleEndian
	body := append(w.blobs, w.entries...)
	b := le.AppendUint32([]byte(snapshotHeader), uint32(len(w.index)))
	b = le.AppendUint32(b, w.count)
	b = le.AppendUint32(b, checksum(body))
	return append(b, body...)
}
