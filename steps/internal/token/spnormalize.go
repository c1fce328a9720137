package token

import (
	"strings"
	"unicode/utf8"
)

// spSpace is what SentencePiece writes for a space.
const spSpace = "▁"

// spNormalizer normalizes as a SentencePiece model says (normalizer.cc).
type spNormalizer struct {
	charsmap    *charsmap // nil: none
	user        *prefixes // user-defined symbols, which stay as they are
	dummyPrefix bool
	trimSpaces  bool
	suffixSpace bool
	space       string // "▁", or " " when spaces are not escaped
}

// next returns how much of s is normalized next, and what to.
func (p *spNormalizer) next(s string) (size int, to string) {
	if n, _ := p.user.longest(s); n > 0 {
		return n, s[:n]
	}
	if p.charsmap != nil {
		if n, to := p.charsmap.longestAt(s); n > 0 {
			return n, to
		}
	}
	_, n := utf8.DecodeRuneInString(s)
	return n, s[:n]
}

func (p *spNormalizer) normalize(t text, track bool) text {
	r := rewriter{from: t, track: track}
	at := 0
	if p.trimSpaces {
		for at < len(t.s) {
			n, to := p.next(t.s[at:])
			if to != " " {
				break
			}
			at += n
		}
	}
	if at == len(t.s) {
		return r.done()
	}
	if p.dummyPrefix && !p.suffixSpace {
		r.replace(at, at, p.space)
	}
	afterSpace := p.trimSpaces
	for at < len(t.s) {
		n, to := p.next(t.s[at:])
		for afterSpace && strings.HasPrefix(to, " ") {
			to = to[1:]
		}
		if to != "" {
			if to == t.s[at:at+n] && !strings.Contains(to, " ") {
				r.keep(at, at+n)
			} else {
				r.replace(at, at+n, strings.ReplaceAll(to, " ", p.space))
			}
			afterSpace = p.trimSpaces && strings.HasSuffix(to, " ")
		}
		at += n
	}
	out := r.done()
	if p.trimSpaces {
		end := len(out.s)
		for strings.HasSuffix(out.s[:end], p.space) {
			end -= len(p.space)
		}
		out = out.slice(0, end)
	}
	if p.dummyPrefix && p.suffixSpace {
		r := rewriter{from: out, track: track}
		r.keep(0, len(out.s))
		r.replace(len(out.s), len(out.s), p.space)
		out = r.done()
	}
	return out
}

// spDecoder joins pieces as SentencePiece does: bytes become characters, the
// space that was put in front goes, and the unknown token is shown by a sign.
type spDecoder struct {
	unk, unkSurface string
	dropSpace       bool // the first space goes
	dropSpaces      bool // all spaces at the beginning go
	bytes           bool
}

func (d spDecoder) decode(pieces []string) []string {
	if d.bytes {
		pieces = byteFallback{}.decode(pieces)
	}
	var out strings.Builder
	spaceSeen := false
	for _, piece := range pieces {
		if piece == d.unk {
			out.WriteString(d.unkSurface)
			continue
		}
		if out.Len() == 0 && !spaceSeen && d.dropSpace {
			if rest, ok := strings.CutPrefix(piece, spSpace); ok {
				piece, spaceSeen = rest, !d.dropSpaces
			}
		}
		out.WriteString(strings.ReplaceAll(piece, spSpace, " "))
	}
	return []string{out.String()}
}
