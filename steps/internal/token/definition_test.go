package token

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/pipe-run/pipe/steps/internal/token/regex"
)

// The definitions of this file say in the plainest way what the fast code has
// to find.

// defineBPE merges one pretoken by the rule itself: the adjacent pair of lowest
// rank, of equal ones the leftmost, until there is none.
func defineBPE(m *bpe, piece string) []int32 {
	if id, ok := m.vocab[piece]; ok && m.ignoreMerges {
		return []int32{id}
	}
	var ids []int32
	var w merger
	m.fill(&w, piece)
	for _, s := range w.syms {
		ids = append(ids, s.id)
	}
	for {
		best, at := pairValue{rank: 1<<31 - 1}, -1
		for i := range len(ids) - 1 {
			if v := m.merges.get(ids[i], ids[i+1]); v.rank >= 0 && v.rank < best.rank {
				best, at = v, i
			}
		}
		if at < 0 {
			return ids
		}
		ids = slices.Replace(ids, at, at+2, best.id)
	}
}

// encodePiece is what the model makes of one pretoken.
func encodePiece(m *bpe, s *scratch, piece string) []int32 {
	if s.cache.lines == nil {
		s.cache.resize(firstLines)
	}
	s.ids = s.ids[:0]
	m.encode(s, text{s: piece})
	return s.ids
}

// FuzzBPEAgainstDefinition compares the encoding of a text by a vocabulary,
// both made of the fuzzer's bytes, with the definition.
func FuzzBPEAgainstDefinition(f *testing.F) {
	f.Add([]byte{0, 1, 4, 0, 1, 2, 4, 5}, []byte("abcabcabcaab"), true)
	f.Add([]byte{0, 0, 4, 4, 5, 5}, []byte("aaaaaaaaaaaaa"), false)
	f.Add([]byte{4, 2, 0, 1, 5, 0, 2, 0, 7, 1}, []byte("abcdabcdcab"), false)
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		f.Add(randomBytes(rng, 60), randomBytes(rng, 200), rng.IntN(2) == 0)
	}
	f.Fuzz(func(t *testing.T, merges, input []byte, ignore bool) {
		m := fuzzModel(t, merges, ignore)
		var s scratch
		in := make([]byte, 0, len(input))
		for _, b := range input[:min(len(input), 400)] {
			in = append(in, "abcd"[b&3])
		}
		for range 2 { // the second time from the cache
			if got, want := encodePiece(m, &s, string(in)), defineBPE(m, string(in)); !slices.Equal(got, want) {
				t.Fatalf("%s: got %v, want %v", in, got, want)
			}
		}
	})
}

// fuzzModel makes a vocabulary of a, b, c, d and merges of two earlier pieces
// each, whose order is then changed so that some come too early.
func fuzzModel(t *testing.T, data []byte, ignore bool) *bpe {
	t.Helper()
	pieces := []string{"a", "b", "c", "d"}
	vocab := map[string]int32{"a": 0, "b": 1, "c": 2, "d": 3}
	var merges [][2]string
	for i := 0; i+1 < len(data) && i < 120; i += 2 {
		left, right := pieces[int(data[i])%len(pieces)], pieces[int(data[i+1])%len(pieces)]
		if _, ok := vocab[left+right]; !ok {
			if len(left+right) > 40 {
				continue
			}
			vocab[left+right] = int32(len(pieces))
			pieces = append(pieces, left+right)
		}
		merges = append(merges, [2]string{left, right})
		if j := len(merges) - 1; data[i]&0xC0 == 0 && j > 0 {
			other := int(data[i+1]) % j
			merges[j], merges[other] = merges[other], merges[j]
		}
	}
	for b := range 256 {
		if _, ok := vocab[string([]byte{byte(b)})]; !ok {
			vocab["~"+string(rune('a'+b))] = int32(len(vocab)) // ids that no text has
		}
	}
	m := &bpe{byteLevel: true, ignoreMerges: ignore, unk: -1}
	if err := newBPE(m, vocab, merges, newByteLevel()); err != nil {
		t.Fatal(err)
	}
	m.prepare(len(vocab))
	if m.trie == nil {
		t.Fatal("the vocabulary is not walked")
	}
	return m
}

func randomBytes(rng *rand.Rand, most int) []byte {
	b := make([]byte, rng.IntN(most+1))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// TestTortureBPEAgainstDefinition encodes random pieces with real vocabularies.
func TestTortureBPEAgainstDefinition(t *testing.T) {
	for _, name := range []string{"gpt2", "llama3", "qwen3", "llama2", "smollm2-135m-instruct"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tok := load(t, "tokenizers/"+name)
			m := tok.bpe
			if tok.spaced != nil {
				m = tok.spaced.model
			}
			if m.trie == nil {
				t.Error("the vocabulary is not walked")
			}
			rng := rand.New(rand.NewPCG(5, 6))
			var s scratch
			for range 3000 {
				piece := randomPiece(rng, m, 1+rng.IntN(12))
				if got, want := encodePiece(m, &s, piece), defineBPE(m, piece); !slices.Equal(got, want) {
					t.Fatalf("%q:\n got %v\nwant %v", piece, got, want)
				}
			}
		})
	}
}

// randomPiece joins pieces of the vocabulary, cut anywhere, with characters.
func randomPiece(rng *rand.Rand, m *bpe, parts int) string {
	var out strings.Builder
	for range parts {
		if rng.IntN(3) == 0 {
			out.WriteString(randomText(rng, 1+rng.IntN(3)))
			continue
		}
		for piece := range m.vocab { // in random order
			from := rng.IntN(len(piece) + 1)
			out.WriteString(piece[from : from+rng.IntN(len(piece)-from+1)])
			break
		}
	}
	if !m.byteLevel {
		return lossy(out.String())
	}
	return out.String()
}

// alphabets have what patterns tell apart, and its neighbours.
var alphabets = []string{
	"abcXYZ", " ", "  \t", "\n\r", "'", "'s'T'll'RE'ſ", "0123456789", ".,;:!?-_/#*()[]<>|", "$+=^`~", "éßÀñ", "日本語中文的", "あいアイ",
	"한국어", "Ωλя", "٣४½²Ⅷ", "\u0300\u0301\u0903", "\u00A0\u3000\u2028\u0085\u200B\u1680", "🙂👩‍👧", "\x00\x1c\x7f", "ǅʰªº", "“”—…«»、。",
}

func randomText(rng *rand.Rand, n int) string {
	var out strings.Builder
	for range n {
		chars := []rune(alphabets[rng.IntN(len(alphabets))])
		for range 1 + rng.IntN(4) {
			out.WriteRune(chars[rng.IntN(len(chars))])
		}
	}
	return out.String()
}

// FuzzPatterns compares the scanners with their definitions.
func FuzzPatterns(f *testing.F) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 2000 {
		f.Add(randomText(rng, 1+rng.IntN(12)))
	}
	f.Add("it's the   \n\n  rain, isn'T it?\r\n12345 abcdefghijklmnopqrstuvwxyz ")
	patterns := map[string]struct {
		fast   pattern
		define func(s string, i int) int
	}{
		"GPT-2":    {mustPattern(f, patternGPT2), defineGPT2},
		"Llama 3":  {mustPattern(f, patternLlama3), defineTiktoken{digits: 3}.next},
		"Qwen 2":   {mustPattern(f, patternQwen2), defineTiktoken{digits: 1}.next},
		"Qwen 3.5": {mustPattern(f, patternQwen35), defineTiktoken{digits: 1, marks: true}.next},
	}
	compiled := map[string]*regex.Regexp{}
	for _, p := range []string{patternGPT2, patternLlama3, patternQwen2, patternQwen35, patternO200k, patternTekken} {
		r, err := regex.Compile(p)
		if err != nil {
			f.Fatal(err)
		}
		compiled[p] = r
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = lossy(s)
		for name, p := range patterns {
			checkPattern(t, name, p.fast, s, p.define)
		}
		for p, r := range compiled {
			ends := map[int]int{}
			r.Matches(s, func(lo, hi int) bool {
				ends[lo] = hi
				return true
			})
			fast, _ := regexScanner(p)
			checkPattern(t, p, fast, s, func(_ string, i int) int { return ends[i] })
		}
		checkPattern(t, "SmolLM2", &gpt2{classTable: classesOf(), digitsApart: true}, s, func(s string, i int) int {
			if c, n := utf8.DecodeRuneInString(s[i:]); unicode.IsNumber(c) {
				return i + n
			}
			piece := s[i:]
			if end := strings.IndexFunc(piece, unicode.IsNumber); end >= 0 {
				piece = piece[:end]
			}
			return i + defineGPT2(piece, 0)
		})
	})
}

func mustPattern(f *testing.F, regex string) pattern {
	f.Helper()
	p, ok := regexScanner(regex)
	if !ok {
		f.Fatalf("%s is not known", regex)
	}
	return p
}

// checkPattern compares all matches in s, found one by one and by the batch.
func checkPattern(t *testing.T, name string, fast pattern, s string, define func(string, int) int) {
	t.Helper()
	var got, filled, want []int
	for i := 0; i < len(s); {
		end := define(s, i)
		if end <= i {
			t.Fatalf("%s: %q has no match at %d", name, s, i)
		}
		i = end
		want = append(want, i)
	}
	for i := 0; i < len(s); {
		i = fast.next(s, i)
		got = append(got, i)
	}
	var ends [3]int
	for i := 0; i < len(s); {
		n := fast.fill(s, i, ends[:])
		filled = append(filled, ends[:n]...)
		i = ends[n-1]
	}
	if !slices.Equal(got, want) || !slices.Equal(filled, want) {
		t.Fatalf("%s: %q is cut at %v, by the batch at %v, want %v", name, s, got, filled, want)
	}
}

// classAt returns the class and length of the character at byte i.
func classAt(s string, i int) (class, int) {
	if b := s[i]; b < utf8.RuneSelf {
		switch {
		case 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z':
			return letter, 1
		case '0' <= b && b <= '9':
			return digit, 1
		case b == ' ' || '\t' <= b && b <= '\r':
			return space, 1
		}
		return other, 1
	}
	c, n := utf8.DecodeRuneInString(s[i:])
	switch {
	case unicode.IsLetter(c):
		return letter, n
	case unicode.IsNumber(c):
		return digit, n
	case unicode.IsSpace(c):
		return space, n
	case unicode.IsMark(c):
		return mark, n
	}
	return other, n
}

// runOf returns the end of the run of characters from i on for which in holds.
func runOf(s string, i int, in func(class) bool) int {
	for i < len(s) {
		c, n := classAt(s, i)
		if !in(c) {
			break
		}
		i += n
	}
	return i
}

func isLetter(c class) bool { return c == letter }
func isDigit(c class) bool  { return c == digit }
func isSpace(c class) bool  { return c == space }
func isOther(c class) bool  { return c == other || c == mark }

// defineGPT2 is the pattern of GPT-2.
func defineGPT2(s string, i int) int {
	if end := contraction(s, i, false); end > i {
		return end
	}
	from := i
	if s[i] == ' ' && i+1 < len(s) {
		from++
	}
	switch c, _ := classAt(s, from); c {
	case letter:
		return runOf(s, from, isLetter)
	case digit:
		return runOf(s, from, isDigit)
	case other, mark:
		return runOf(s, from, isOther)
	}
	return spaceRun(s, i)
}

// defineTiktoken is the family of patterns that began with GPT-4's: digits is how
// many make a match, marks whether marks count as letters.
type defineTiktoken struct {
	digits int
	marks  bool
}

func (p defineTiktoken) isLetter(c class) bool { return c == letter || p.marks && c == mark }
func (p defineTiktoken) isOther(c class) bool  { return c == other || !p.marks && c == mark }

func (p defineTiktoken) next(s string, i int) int {
	if end := contraction(s, i, true); end > i {
		return end
	}
	c, n := classAt(s, i)
	if p.isLetter(c) {
		return runOf(s, i, p.isLetter)
	}
	next := other
	if i+n < len(s) {
		next, _ = classAt(s, i+n)
		if c != digit && s[i] != '\r' && s[i] != '\n' && p.isLetter(next) {
			return runOf(s, i+n, p.isLetter)
		}
	}
	if c == digit {
		return p.number(s, i)
	}
	from := i
	if s[i] == ' ' && i+1 < len(s) && p.isOther(next) {
		from++
	}
	if from > i || p.isOther(c) {
		end := runOf(s, from, p.isOther)
		for end < len(s) && (s[end] == '\r' || s[end] == '\n') {
			end++
		}
		return end
	}
	end := runOf(s, i, isSpace)
	if line := strings.LastIndexAny(s[i:end], "\r\n"); line >= 0 {
		return i + line + 1
	}
	return spaceRun(s, i)
}

// number returns the end of at most p.digits digits.
func (p defineTiktoken) number(s string, i int) int {
	for range p.digits {
		if i == len(s) {
			break
		}
		c, n := classAt(s, i)
		if c != digit {
			break
		}
		i += n
	}
	return i
}

// spaceRun matches \s+(?!\S)|\s+ at i, where white space is.
func spaceRun(s string, i int) int {
	end := runOf(s, i, isSpace)
	if end == len(s) {
		return end
	}
	_, last := utf8.DecodeLastRuneInString(s[:end])
	if end-last > i {
		return end - last
	}
	return end
}
