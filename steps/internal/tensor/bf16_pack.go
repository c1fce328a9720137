package tensor

import (
	"encoding/binary"
	"unsafe"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// words is x seen as uint32s, in which pairs of bfloat16s are kept (package kernel).
func words(x []float32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}

// floats is the reverse of words. It serves to move pairs with functions that move float32s and change no bit.
func floats(x []uint32) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}

// pairsDeep is the number of pairs in a lane of depth kc, filled up to whole steps.
func pairsDeep(kc int) int {
	return (kc + kernel.BF16Depth - 1) / kernel.BF16Depth * kernel.BF16Depth / 2
}

// A bf16Source is one operand of a product, read as pairs. The left one is seen as rows, the right one as columns; both
// are "lanes" here, and depth is K.
type bf16Source interface {
	// pack writes lanes [lane, lane+w) at depths [p, p+kc), p a multiple of 32, to dst as panels [pairs][nr], as many
	// as w takes, with zeros for the missing lanes of the last and for the missing depths.
	pack(dst []uint32, nr, lane, w, p, kc int)
}

// A rowSource writes pairs of one lane. dst may be deeper than kc; what is beyond becomes 0.
type rowSource interface {
	row(dst []uint32, lane, p, kc int)
}

// bf16ByRow packs lanes that lie in memory one after the other: A of NT and NN, B of NT.
func bf16ByRow(s rowSource) bf16Source { return lanePairs{s} }

type lanePairs struct{ rowSource }

func (s lanePairs) pack(dst []uint32, nr, lane, w, p, kc int) {
	deep := pairsDeep(kc)
	buf := getBuffer(nr * deep)
	defer buf.free()
	rows := words(buf.f)
	for ; w > 0; lane, w, dst = lane+nr, w-nr, dst[deep*nr:] {
		wide := min(nr, w)
		for r := range wide {
			s.row(rows[r*deep:][:deep], lane+r, p, kc)
		}
		kernel.PackRows(floats(dst[:deep*nr]), nr, buf.f, deep, wide, deep)
	}
}

// A lineSource writes pairs of depths p and p+1 of the w lanes from lane on. If last is set, p+1 counts as zeros. The
// pairs of dst beyond w become 0.
type lineSource interface {
	line(dst []uint32, p, lane, w int, last bool)
}

// bf16ByLine packs lanes that lie in memory side by side: A of TN, B of NN and TN.
func bf16ByLine(s lineSource) bf16Source { return linePairs{s} }

type linePairs struct{ lineSource }

func (s linePairs) pack(dst []uint32, nr, lane, w, p, kc int) {
	deep := pairsDeep(kc)
	panels := (w + nr - 1) / nr
	buf := getBuffer(panels * nr)
	defer buf.free()
	line := words(buf.f)
	for q := range deep {
		if 2*q >= kc {
			clear(line)
		} else {
			s.line(line, p+2*q, lane, w, 2*q+1 == kc)
		}
		for j := range panels {
			copy(dst[(j*deep+q)*nr:][:nr], line[j*nr:])
		}
	}
}

// bf16Wide is how many panels of A are packed at a time: lines are read in long pieces.
func bf16Wide(t *kernel.BF16Tile) int { return max(1, 96/t.MR) }

// packA packs count panels of rows from q on, at depths [p, p+kc), where the block begins at row i of a.
func (w *bf16Work) packA(a bf16Source, i, q, count, p, kc int) {
	mr := w.tile.MR
	deep := pairsDeep(kc)
	dst := w.panelsA(q, count, p, kc)
	lanes := min(count*mr, w.rows-q*mr)
	if rows, ok := a.(lanePairs); ok && w.tile.Whole {
		packWhole(dst, rows, mr, i+q*mr, lanes, p, kc)
		return
	}
	buf := getBuffer(count * mr * deep)
	defer buf.free()
	pairs := words(buf.f)
	a.pack(pairs, mr, i+q*mr, lanes, p, kc)
	if !w.tile.Whole {
		kernel.SplitPairs(dst, pairs, mr)
		return
	}
	const step = kernel.BF16Depth / 2
	for s := 0; s < count*deep; s += step { // pairs of one step, lines of mr, become mr rows
		kernel.PackRows(floats(dst[s*mr:][:step*mr]), step, buf.f[s*mr:], mr, step, mr)
	}
}

// packWhole packs lanes to panels of pairs [step][mr][16].
func packWhole(dst []uint32, s lanePairs, mr, lane, lanes, p, kc int) {
	deep := pairsDeep(kc)
	buf := getBuffer(deep)
	defer buf.free()
	row := words(buf.f)
	const step = kernel.BF16Depth / 2
	for l := range (lanes + mr - 1) / mr * mr {
		if l < lanes {
			s.row(row, lane+l, p, kc)
		} else {
			clear(row)
		}
		to := dst[l/mr*mr*deep+l%mr*step:]
		for d := 0; d < deep; d += step {
			copy(to[d*mr:][:step], row[d:])
		}
	}
}

// floatRows is a matrix of float32s whose rows are the lanes. Element (lane, p) is m[lane*ld+p].
type floatRows struct {
	m  []float32
	ld int
}

func (s floatRows) row(dst []uint32, lane, p, kc int) {
	kernel.PairRow(dst, s.m[lane*s.ld+p:][:kc], s.ld)
}

// floatLines is a matrix of float32s whose columns are the lanes. Element (lane, p) is m[p*ld+lane].
type floatLines struct {
	m  []float32
	ld int
}

func (s floatLines) line(dst []uint32, p, lane, w int, last bool) {
	var hi []float32
	if !last {
		hi = s.m[(p+1)*s.ld+lane:][:w]
	}
	kernel.PairLines(dst, s.m[p*s.ld+lane:][:w], hi)
}

// littleEndian says that this machine keeps pairs as bfloat16s are stored.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// storedRows is a matrix of bfloat16s as stored whose rows are the lanes.
type storedRows struct{ h *Half }

func (s storedRows) row(dst []uint32, lane, p, kc int) {
	src := s.h.data[2*(lane*s.h.columns+p):][:2*kc]
	n := kc / 2
	if littleEndian {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(dst))), 4*len(dst)), src[:4*n])
	} else {
		for i := range dst[:n] {
			dst[i] = binary.LittleEndian.Uint32(src[4*i:])
		}
	}
	if kc%2 == 1 {
		dst[n] = uint32(binary.LittleEndian.Uint16(src[4*n:]))
		n++
	}
	clear(dst[n:])
}

// storedLines is a matrix of bfloat16s as stored whose columns are the lanes.
type storedLines struct{ h *Half }

func (s storedLines) line(dst []uint32, p, lane, w int, last bool) {
	at := func(p int) []byte { return s.h.data[2*(p*s.h.columns+lane):][:2*w] }
	var hi []byte
	if !last {
		hi = at(p + 1)
	}
	kernel.PairStored(dst, at(p), hi)
}

// unpackedRows is b, whose rows are the lanes, unpacked at use.
type unpackedRows struct{ b Panels }

func (s unpackedRows) row(dst []uint32, lane, p, kc int) {
	buf := getBuffer(kc)
	defer buf.free()
	s.b.Unpack(buf.f, lane, p)
	kernel.PairRow(dst, buf.f, 0)
}

// unpackedLines is b, whose columns are the lanes, unpacked at use.
type unpackedLines struct{ b Panels }

func (s unpackedLines) line(dst []uint32, p, lane, w int, last bool) {
	buf := getBuffer(2 * w)
	defer buf.free()
	lo, hi := buf.f[:w], buf.f[w:]
	s.b.Unpack(lo, p, lane)
	if last {
		hi = nil
	} else {
		s.b.Unpack(hi, p+1, lane)
	}
	kernel.PairLines(dst, lo, hi)
}
