package token

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Decode returns the text of ids. With skipSpecial, special tokens are left
// out. Ids outside the vocabulary are left out too. What is not UTF-8 becomes
// U+FFFD. Added tokens that are normalized decode to their normalized form.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	pieces := make([]string, 0, len(ids))
	for _, id := range ids {
		piece, ok := t.Piece(id)
		if !ok || skipSpecial && t.special[id] {
			continue
		}
		if written, ok := t.written[id]; ok {
			piece = written
		}
		pieces = append(pieces, piece)
	}
	if len(t.decoders) == 0 {
		return strings.Join(pieces, " ")
	}
	for _, d := range t.decoders {
		pieces = d.decode(pieces)
	}
	return strings.Join(pieces, "")
}

// decoder turns pieces into text step by step. It may change its argument.
type decoder interface {
	decode(pieces []string) []string
}

// decode reads pieces in the byte-level alphabet; a piece with a character
// outside it stands for itself.
func (a *byteLevel) decode(pieces []string) []string {
	var out strings.Builder
	for _, piece := range pieces {
		if raw, ok := a.raw(piece); ok {
			out.WriteString(raw)
		} else {
			out.WriteString(piece)
		}
	}
	return []string{lossy(out.String())}
}

// lossy replaces what is not UTF-8 by U+FFFD.
func lossy(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return validUTF8(text{s: s}, false).s
}

func (l replaceLiteral) decode(pieces []string) []string {
	for i, piece := range pieces {
		pieces[i] = strings.ReplaceAll(piece, l.old, l.new)
	}
	return pieces
}

// byteFallback joins runs of <0xHH> into the characters they spell; a run that
// is not UTF-8 becomes one U+FFFD a byte.
type byteFallback struct{}

func (byteFallback) decode(pieces []string) []string {
	var out []string
	var bytes []byte
	flush := func() {
		if len(bytes) == 0 {
			return
		}
		if utf8.Valid(bytes) {
			out = append(out, string(bytes))
		} else {
			out = append(out, strings.Repeat("\uFFFD", len(bytes)))
		}
		bytes = bytes[:0]
	}
	for _, piece := range pieces {
		if b, ok := bytePiece(piece); ok {
			bytes = append(bytes, b)
			continue
		}
		flush()
		out = append(out, piece)
	}
	flush()
	return out
}

// bytePiece reads <0xHH>.
func bytePiece(piece string) (byte, bool) {
	if len(piece) != 6 || !strings.HasPrefix(piece, "<0x") || piece[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(piece[3:5], 16, 8)
	return byte(b), err == nil
}

// fuse joins all pieces.
type fuse struct{}

func (fuse) decode(pieces []string) []string {
	return []string{strings.Join(pieces, "")}
}

// stripChar removes a character at the ends of every piece, at most so often.
type stripChar struct {
	char       string
	start, end int
}

func (s stripChar) decode(pieces []string) []string {
	for i, piece := range pieces {
		for n := 0; n < s.start && strings.HasPrefix(piece, s.char); n++ {
			piece = piece[len(s.char):]
		}
		for n := 0; n < s.end && strings.HasSuffix(piece, s.char); n++ {
			piece = piece[:len(piece)-len(s.char)]
		}
		pieces[i] = piece
	}
	return pieces
}

func (p metaspace) decode(pieces []string) []string {
	for i, piece := range pieces {
		space := " "
		if i == 0 && (p.always || p.first) {
			space = ""
		}
		pieces[i] = strings.ReplaceAll(piece, p.char, space)
	}
	return pieces
}

// Stream decodes ids one at a time, as a model generates them.
type Stream struct {
	t           *Tokenizer
	skipSpecial bool
	ids         []int32 // from the last boundary on
	done        int     // how many of ids have been shown
}

// Stream returns a decoder of one sequence. The strings of its Next and Flush
// joined are what Decode returns for all the ids, as long as the text is UTF-8.
func (t *Tokenizer) Stream(skipSpecial bool) *Stream {
	return &Stream{t: t, skipSpecial: skipSpecial}
}

// maxHeld is how many ids Next holds back while they do not end a character.
const maxHeld = 64

// Next returns the text that id completes: "" in the middle of a character.
func (s *Stream) Next(id int32) string {
	s.ids = append(s.ids, id)
	before := s.t.Decode(s.ids[:s.done], s.skipSpecial)
	now := s.t.Decode(s.ids, s.skipSpecial)
	if strings.HasSuffix(now, "\uFFFD") && len(s.ids)-s.done < maxHeld {
		return ""
	}
	return s.advance(before, now)
}

// Flush returns what is left, whole characters or not.
func (s *Stream) Flush() string {
	before := s.t.Decode(s.ids[:s.done], s.skipSpecial)
	return s.advance(before, s.t.Decode(s.ids, s.skipSpecial))
}

// advance keeps the ids just shown as context for those to come, since decoders
// treat the first piece of a text differently; ids that show nothing are no
// context, so those before them are kept too.
func (s *Stream) advance(before, now string) string {
	if s.t.Decode(s.ids[s.done:], s.skipSpecial) != "" {
		s.ids = append(s.ids[:0], s.ids[s.done:]...)
	}
	s.done = len(s.ids)
	if len(now) < len(before) {
		return ""
	}
	return now[len(before):]
}
