package token

// The patterns of GPT-4o and of Mistral's Tekken cut words at changes of case
// too: capitals, then small letters. Letters without case and marks are both.
const (
	patternO200k = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
		`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
		`\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternTekken = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|` +
		`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|` +
		`\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

const (
	bothCases set = 1<<letter | marks
	capitals  set = 1<<upper | bothCases
	smalls    set = 1<<lower | bothCases
)

// cased is one of those patterns.
type cased struct {
	*classTable
	digits       int  // how many make a match
	contractions bool // end a word
}

func (p *cased) fill(s string, i int, ends []int) int {
	n := 0
	for ; n < len(ends) && i < len(s); n++ {
		i = p.next(s, i)
		ends[n] = i
	}
	return n
}

func (p *cased) next(s string, i int) int {
	c, n := p.at(s, i)
	if end := p.wordAt(s, i, n, c); end > i {
		if p.contractions && end < len(s) {
			end = contraction(s, end, true)
		}
		return end
	}
	if c == digit {
		return p.number(s, i+n, p.digits-1)
	}
	const others = anything &^ (letters | digits | spaces)
	from := i
	if s[i] == ' ' && i+1 < len(s) {
		from++
		c, n = p.at(s, from)
	}
	if others.has(c) {
		end := p.run(s, from+n, others)
		for end < len(s) && (s[end] == '\r' || s[end] == '\n' || s[end] == '/') {
			end++
		}
		return end
	}
	return p.whites(s, i)
}

// wordAt matches a word at i, where a character of n bytes and class c is, or
// returns i.
func (p *cased) wordAt(s string, i, n int, c class) int {
	before := !(letters | digits | newlines).has(c) && i+n < len(s) // it may stand before a word
	if before {
		if end := p.mixed(s, i+n); end > i+n {
			return end
		}
	}
	if !before || marks.has(c) {
		if end := p.mixed(s, i); end > i {
			return end
		}
	}
	if before {
		if end := p.run(s, i+n, capitals); end > i+n {
			return end
		}
	}
	return p.run(s, i, capitals)
}

// mixed matches capitals*smalls+ at i, or returns i. Without a small letter
// behind the capitals, the last of them that are of both cases are the smalls.
func (p *cased) mixed(s string, i int) int {
	end, both := i, i
	for end < len(s) {
		c, n := p.at(s, end)
		if c == lower {
			return p.run(s, end, smalls)
		}
		if !capitals.has(c) {
			break
		}
		if end += n; bothCases.has(c) {
			both = end
		}
	}
	return both
}
