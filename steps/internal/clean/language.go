package clean

import (
	"math"
	"strings"
	"unicode"
)

// A Guess is the language a text seems to be in.
type Guess struct {
	Language   string  // ISO 639-1, such as "en"; "" when it cannot be told
	Confidence float64 // 0 to 1
}

// Languages tells languages apart: by script where a script has one language,
// and where several share it by their commonest words and by letters that only
// some have. It is safe for concurrent use.
type Languages struct {
	words   map[uint64][]weight
	letters map[rune][]weight
}

// weight is the evidence for a language: unit divided by how many languages
// share the word or letter.
type weight struct {
	language int // in common
	weight   int
}

const unit = 60

// letterUnit is the evidence of a letter: less than a word's, for there are more.
const letterUnit = 30

// maxTold bounds how many bytes of a text are looked at.
const maxTold = 64 << 10

// NewLanguages reads the tables.
func NewLanguages() *Languages {
	l := &Languages{words: map[uint64][]weight{}, letters: map[rune][]weight{}}
	for i, c := range common {
		for _, w := range strings.Fields(c.words) {
			Words(w, func(h uint64, _ int) { l.words[h] = with(l.words[h], i) })
		}
		for _, r := range c.letters {
			l.letters[r] = with(l.letters[r], i)
		}
	}
	for _, sharers := range l.words {
		share(sharers, unit)
	}
	for _, sharers := range l.letters {
		share(sharers, letterUnit)
	}
	return l
}

// with adds a language that is not among the sharers yet.
func with(sharers []weight, language int) []weight {
	if n := len(sharers); n > 0 && sharers[n-1].language == language {
		return sharers
	}
	return append(sharers, weight{language: language})
}

func share(sharers []weight, unit int) {
	for i := range sharers {
		sharers[i].weight = unit / len(sharers)
	}
}

// Known lists the languages that can be told.
func Known() (all []string) {
	for _, s := range scripts {
		all = append(all, s.language)
	}
	for _, c := range common {
		all = append(all, c.language)
	}
	return all
}

// Tell guesses the language of a text from its first 64 KiB.
func (l *Languages) Tell(text string) Guess {
	if len(text) > maxTold {
		text = strings.ToValidUTF8(text[:maxTold], "")
	}
	counts, letters := countScripts(text)
	if letters == 0 {
		return Guess{}
	}
	best := 0
	for i := range counts {
		if counts[i] > counts[best] {
			best = i
		}
	}
	share := float64(counts[best]) / float64(letters)
	switch {
	case best == scriptHan || best == scriptKana:
		return eastAsian(counts, letters)
	case best < len(scripts):
		return Guess{Language: scripts[best].language, Confidence: share}
	}
	g := l.byWords(text, best-len(scripts))
	g.Confidence = float64(g.Confidence * share)
	return g
}

// eastAsian: Chinese has no kana, and Japanese seldom less than a tenth.
func eastAsian(counts []int, letters int) Guess {
	kana, han := counts[scriptKana], counts[scriptHan]
	both := float64(kana+han) / float64(letters)
	if 10*kana >= kana+han {
		return Guess{Language: "ja", Confidence: both}
	}
	return Guess{Language: "zh", Confidence: both}
}

// countScripts counts the letters of a text by script: those of scripts, and
// behind them those of shared.
func countScripts(text string) (counts []int, letters int) {
	counts = make([]int, len(scripts)+len(shared))
	for _, r := range text {
		if r < 0x80 {
			if 'a' <= r|0x20 && r|0x20 <= 'z' {
				counts[len(scripts)]++
				letters++
			}
			continue
		}
		if !unicode.IsLetter(r) {
			continue
		}
		letters++
		if i := scriptOf(r); i >= 0 {
			counts[i]++
		}
	}
	return counts, letters
}

func scriptOf(r rune) int {
	for i, table := range shared {
		if unicode.Is(table, r) {
			return len(scripts) + i
		}
	}
	for i, s := range scripts {
		for _, table := range s.tables {
			if unicode.Is(table, r) {
				return i
			}
		}
	}
	return -1
}

// enough is the share of a text's words that must speak for a language for it to
// be sure: running text of the languages of common has at least twice that.
const enough = 0.12

// byWords weighs the languages of a script of shared. The confidence is how far
// the best is ahead of the next, times how much of the text speaks for it.
func (l *Languages) byWords(text string, script int) Guess {
	scores := make([]int, len(common))
	words := 0
	Words(text, func(h uint64, _ int) {
		words++
		for _, w := range l.words[h] {
			scores[w.language] += w.weight
		}
	})
	for _, r := range text {
		if r >= 0x80 {
			for _, w := range l.letters[unicode.ToLower(r)] {
				scores[w.language] += w.weight
			}
		}
	}
	best, second := -1, 0
	for i, s := range scores {
		switch {
		case common[i].script != script || s == 0:
		case best < 0 || s > scores[best]:
			if best >= 0 {
				second = scores[best]
			}
			best = i
		default:
			second = max(second, s)
		}
	}
	if best < 0 {
		return Guess{}
	}
	ahead := float64(scores[best]-second) / float64(scores[best])
	covered := float64(scores[best]) / float64(unit*words)
	return Guess{Language: common[best].language, Confidence: float64(ahead * math.Min(1, covered/enough))}
}
