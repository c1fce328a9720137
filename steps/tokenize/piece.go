package tokenize

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/pipe-run/pipe/steps/internal/chat"
)

// A piece is the file "documents": what a chunk of records was encoded to, before
// any bound of length, so that other rows can be made of it. In it, numbers are
// unsigned varints (encoding/binary) but for weights:
//
//	"PIPETOK" and the version of this layout, a byte
//	records
//	    documents of the record: 1, or the 2 of a pair
//	        tokens n; n ids
//	        runs of supervised tokens; of each, how many tokens lie between it and the one before, and its length, at least 1
//	        runs of weights, which make n or are none; of each, its length, at least 1, and its weight (float32, little-endian)
//	        names of what the template did not write; of each, its length and bytes
//	the SHA-256 of all that stands before it
//
// The label of a supervised token is its id.
const (
	pieceFile  = "documents"
	pieceMagic = "PIPETOK\x01"
)

// Bounds of a piece that is read.
const (
	maxPieceBytes = 1 << 31
	maxLost       = 64  // names
	maxLostBytes  = 256 // of one
)

// errPiece is wrapped by the errors of pieces that are not as they were written.
var errPiece = errors.New("a damaged piece")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errPiece, fmt.Sprintf(format, args...))
}

// appendDocument writes one document.
func appendDocument(b []byte, d chat.Encoded) []byte {
	b = slices.Grow(b, 4*len(d.IDs)) // hardly more
	b = binary.AppendUvarint(b, uint64(len(d.IDs)))
	for _, id := range d.IDs {
		b = binary.AppendUvarint(b, uint64(uint32(id)))
	}
	b = appendRuns(b, d.Labels)
	b = appendWeights(b, d.Weights)
	b = binary.AppendUvarint(b, uint64(len(d.Lost)))
	for _, name := range d.Lost {
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
	}
	return b
}

// appendRuns writes where labels are not chat.Unsupervised.
func appendRuns(b []byte, labels []int64) []byte {
	var runs []int // start, end, start, end, …
	for i, l := range labels {
		switch supervised := l != chat.Unsupervised; {
		case supervised && (len(runs) == 0 || runs[len(runs)-1] != i):
			runs = append(runs, i, i+1)
		case supervised:
			runs[len(runs)-1]++
		}
	}
	b = binary.AppendUvarint(b, uint64(len(runs)/2))
	last := 0
	for i := 0; i < len(runs); i += 2 {
		b = binary.AppendUvarint(b, uint64(runs[i]-last))
		b = binary.AppendUvarint(b, uint64(runs[i+1]-runs[i]))
		last = runs[i+1]
	}
	return b
}

func appendWeights(b []byte, weights []float32) []byte {
	var bounds []int
	for i := range weights {
		if i > 0 && weights[i] != weights[i-1] {
			bounds = append(bounds, i)
		}
	}
	if len(weights) > 0 {
		bounds = append(bounds, len(weights))
	}
	b = binary.AppendUvarint(b, uint64(len(bounds)))
	start := 0
	for _, end := range bounds {
		b = binary.AppendUvarint(b, uint64(end-start))
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(weights[start]))
		start = end
	}
	return b
}

// seal makes a piece of records that appendRecord wrote.
func seal(records int, body []byte) []byte {
	b := binary.AppendUvarint([]byte(pieceMagic), uint64(records))
	b = append(b, body...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func appendRecord(b []byte, documents []chat.Encoded) []byte {
	b = binary.AppendUvarint(b, uint64(len(documents)))
	for _, d := range documents {
		b = appendDocument(b, d)
	}
	return b
}

// readPiece reads the piece in dir whole.
func readPiece(dir string) (*pieceReader, error) {
	f, err := os.Open(filepath.Join(dir, pieceFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxPieceBytes {
		return nil, damaged("%d bytes", info.Size())
	}
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, err
	}
	return openPiece(b)
}

// openPiece checks the frame of a piece and reads from b.
func openPiece(b []byte) (*pieceReader, error) {
	if len(b) < len(pieceMagic)+sha256.Size || string(b[:len(pieceMagic)]) != pieceMagic {
		return nil, damaged("it does not begin as one")
	}
	body := b[:len(b)-sha256.Size]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], b[len(body):]) {
		return nil, damaged("its digest is not that of its content")
	}
	p := &pieceReader{rest: body[len(pieceMagic):]}
	records, err := p.number(uint64(len(p.rest)))
	p.left = int(records)
	return p, err
}

// A pieceReader reads records one after the other. The documents of the last
// record are overwritten by the next.
type pieceReader struct {
	rest      []byte
	left      int // records
	documents [2]chat.Encoded
}

// next returns the documents of the next record, or io.EOF after the last.
func (p *pieceReader) next() ([]chat.Encoded, error) {
	if p.left == 0 {
		if len(p.rest) > 0 {
			return nil, damaged("%d bytes follow its records", len(p.rest))
		}
		return nil, io.EOF
	}
	p.left--
	n, err := p.number(uint64(len(p.documents)))
	if err != nil {
		return nil, err
	}
	for i := range p.documents[:n] {
		if err := p.document(&p.documents[i]); err != nil {
			return nil, err
		}
	}
	return p.documents[:n], nil
}

// number reads a varint that is at most limit.
func (p *pieceReader) number(limit uint64) (uint64, error) {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 || v > limit {
		return 0, damaged("a number is missing or too large")
	}
	p.rest = p.rest[n:]
	return v, nil
}

// length reads how many things follow that take at least size bytes each.
func (p *pieceReader) length(size int) (int, error) {
	n, err := p.number(uint64(len(p.rest) / size))
	return int(n), err
}

// document reads one document into d, whose memory it uses again.
func (p *pieceReader) document(d *chat.Encoded) error {
	n, err := p.length(1)
	if err != nil {
		return err
	}
	d.IDs, d.Labels = slices.Grow(d.IDs[:0], n)[:n], slices.Grow(d.Labels[:0], n)[:n]
	if err := p.ids(d.IDs); err != nil {
		return err
	}
	for i := range d.Labels {
		d.Labels[i] = chat.Unsupervised
	}
	if err := p.runs(d); err != nil {
		return err
	}
	if err := p.weights(d); err != nil {
		return err
	}
	return p.lost(d)
}

// ids fills ids.
func (p *pieceReader) ids(ids []int32) error {
	b, at := p.rest, 0
	for i := range ids {
		v, n := uint64(0), 0
		if at < len(b) && b[at] < 0x80 {
			v, n = uint64(b[at]), 1
		} else {
			v, n = binary.Uvarint(b[at:])
		}
		if n <= 0 || v > math.MaxInt32 {
			return damaged("an id is missing or too large")
		}
		ids[i], at = int32(v), at+n
	}
	p.rest = b[at:]
	return nil
}

func (p *pieceReader) runs(d *chat.Encoded) error {
	runs, err := p.length(2)
	if err != nil {
		return err
	}
	d.Supervised = 0
	at := 0
	for range runs {
		gap, err := p.number(uint64(len(d.IDs) - at))
		if err != nil {
			return err
		}
		at += int(gap)
		n, err := p.number(uint64(len(d.IDs) - at))
		if err != nil {
			return err
		}
		if n == 0 {
			return damaged("an empty run")
		}
		for range n {
			d.Labels[at] = int64(d.IDs[at])
			at++
		}
		d.Supervised += int(n)
	}
	return nil
}

func (p *pieceReader) weights(d *chat.Encoded) error {
	d.Weights = d.Weights[:0]
	runs, err := p.length(5)
	if err != nil {
		return err
	}
	if runs == 0 {
		d.Weights = nil
		return nil
	}
	for range runs {
		n, err := p.number(uint64(len(d.IDs) - len(d.Weights)))
		if err != nil {
			return err
		}
		if n == 0 || len(p.rest) < 4 {
			return damaged("an empty run, or one without a weight")
		}
		w := math.Float32frombits(binary.LittleEndian.Uint32(p.rest))
		if !(w >= 0 && w <= 1) {
			return damaged("weight %v", w)
		}
		p.rest = p.rest[4:]
		for range n {
			d.Weights = append(d.Weights, w)
		}
	}
	if len(d.Weights) != len(d.IDs) {
		return damaged("%d weights of %d tokens", len(d.Weights), len(d.IDs))
	}
	return nil
}

func (p *pieceReader) lost(d *chat.Encoded) error {
	d.Lost = nil
	names, err := p.number(maxLost)
	if err != nil {
		return err
	}
	for range names {
		n, err := p.number(maxLostBytes)
		if err != nil {
			return err
		}
		if n > uint64(len(p.rest)) {
			return damaged("a name is cut short")
		}
		d.Lost = append(d.Lost, string(p.rest[:n]))
		p.rest = p.rest[n:]
	}
	return nil
}
