package token

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// A SentencePiece model is a protocol buffer (sentencepiece_model.proto): pieces
// with scores and types, how they were trained and how text is normalized.

// Types of pieces.
const (
	spNormal      = 1
	spUnknown     = 2
	spControl     = 3
	spUserDefined = 4
	spUnused      = 5
	spByte        = 6
)

// Types of models.
const (
	spUnigram = 1
	spBPE     = 2
	spWord    = 3
	spChar    = 4
)

// spFile is the content of a tokenizer.model.
type spFile struct {
	pieces []spPiece

	model        int
	suffixSpace  bool // treat_whitespace_as_suffix
	byteFallback bool
	bos, eos     int
	unkSurface   string

	charsmap    []byte
	dummyPrefix bool
	trimSpaces  bool // remove_extra_whitespaces
	escape      bool // escape_whitespaces
	denormalize []byte
}

type spPiece struct {
	piece string
	score float32
	kind  int
}

// readSP parses a model, with the defaults of the format.
func readSP(data []byte) (*spFile, error) {
	f := &spFile{model: spUnigram, bos: 1, eos: 2, unkSurface: " \u2047 ", dummyPrefix: true, trimSpaces: true, escape: true}
	err := spFields(data, func(num int, v spValue) error {
		switch num {
		case 1:
			if len(f.pieces) >= maxIDs {
				return fmt.Errorf("more than %d pieces", maxIDs)
			}
			p, err := readSPPiece(v.bytes)
			f.pieces = append(f.pieces, p)
			return err
		case 2:
			return spFields(v.bytes, f.trainer)
		case 3:
			return spFields(v.bytes, f.normalizer)
		case 5:
			return spFields(v.bytes, func(num int, v spValue) error {
				if num == 2 {
					f.denormalize = v.bytes
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, f.check()
}

func readSPPiece(data []byte) (spPiece, error) {
	p := spPiece{kind: spNormal}
	err := spFields(data, func(num int, v spValue) error {
		switch num {
		case 1:
			p.piece = string(v.bytes)
		case 2:
			p.score = math.Float32frombits(uint32(v.number))
		case 3:
			p.kind = int(v.number)
		}
		return nil
	})
	return p, err
}

func (f *spFile) trainer(num int, v spValue) error {
	switch num {
	case 3:
		f.model = int(v.number)
	case 24:
		f.suffixSpace = v.number != 0
	case 35:
		f.byteFallback = v.number != 0
	case 41:
		f.bos = int(int32(v.number))
	case 42:
		f.eos = int(int32(v.number))
	case 44:
		f.unkSurface = string(v.bytes)
	}
	return nil
}

func (f *spFile) normalizer(num int, v spValue) error {
	switch num {
	case 2:
		f.charsmap = v.bytes
	case 3:
		f.dummyPrefix = v.number != 0
	case 4:
		f.trimSpaces = v.number != 0
	case 5:
		f.escape = v.number != 0
	}
	return nil
}

// check refuses what is no model.
func (f *spFile) check() error {
	unknown := 0
	seen := make(map[string]bool, len(f.pieces))
	for id, p := range f.pieces {
		switch {
		case p.piece == "" || len(p.piece) > maxPiece || !utf8.ValidString(p.piece):
			return fmt.Errorf("piece %d is empty, longer than %d bytes or not UTF-8", id, maxPiece)
		case seen[p.piece]:
			return fmt.Errorf("piece %.40q is there twice", p.piece)
		case p.kind < spNormal || p.kind > spByte:
			return fmt.Errorf("piece %.40q has the unknown type %d", p.piece, p.kind)
		case p.score != p.score || math.IsInf(float64(p.score), 0):
			return fmt.Errorf("the score of piece %.40q is no number", p.piece)
		case p.kind == spUnknown:
			unknown++
		}
		seen[p.piece] = true
	}
	switch {
	case unknown != 1:
		return fmt.Errorf("%d pieces are unknown tokens; there has to be one", unknown)
	case f.model < spUnigram || f.model > spChar:
		return fmt.Errorf("model type %d is not supported", f.model)
	case len(f.denormalize) > 0:
		return errors.New("a denormalizer is not supported")
	case !utf8.ValidString(f.unkSurface):
		return errors.New("unk_surface is not UTF-8")
	}
	if f.byteFallback {
		for b := range 256 {
			if !seen[fmt.Sprintf("<0x%02X>", b)] {
				return fmt.Errorf("byte_fallback without the piece <0x%02X>", b)
			}
		}
	}
	return nil
}

// spValue is the value of a field: bytes, or a number of any kind.
type spValue struct {
	bytes  []byte
	number uint64
}

// spFields calls f for every field of a message.
func spFields(data []byte, f func(num int, v spValue) error) error {
	for len(data) > 0 {
		num, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("not a SentencePiece model: %w", protowire.ParseError(n))
		}
		data = data[n:]
		var v spValue
		switch kind {
		case protowire.VarintType:
			v.number, n = protowire.ConsumeVarint(data)
		case protowire.Fixed32Type:
			var number uint32
			number, n = protowire.ConsumeFixed32(data)
			v.number = uint64(number)
		case protowire.BytesType:
			v.bytes, n = protowire.ConsumeBytes(data)
		default:
			n = protowire.ConsumeFieldValue(num, kind, data)
		}
		if n < 0 {
			return fmt.Errorf("not a SentencePiece model: %w", protowire.ParseError(n))
		}
		data = data[n:]
		if err := f(int(num), v); err != nil {
			return err
		}
	}
	return nil
}
