package clean

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Length counts a text in "characters" (code points), "words" (see [Words]),
// "lines" or "bytes".
func Length(text, unit string) int {
	switch unit {
	case "characters":
		return utf8.RuneCountInString(text)
	case "words":
		return CountWords(text)
	case "lines":
		return strings.Count(strings.TrimSuffix(text, "\n"), "\n") + 1
	}
	return len(text)
}

// NonLetters is the share of a text's characters, spaces left out, that are
// neither letters nor marks, 0 to 1; of a text without any 1.
func NonLetters(text string) float64 {
	all, others := 0, 0
	for _, r := range text {
		if unicode.IsSpace(r) {
			continue
		}
		all++
		if !unicode.IsLetter(r) && !unicode.IsMark(r) {
			others++
		}
	}
	if all == 0 {
		return 1
	}
	return float64(others) / float64(all)
}

// RepeatedLines is the share of a text's lines, those without text left out, that
// stood in it before, 0 to 1.
func RepeatedLines(text string) float64 {
	seen := map[string]bool{}
	all, again := 0, 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		all++
		if seen[line] {
			again++
		}
		seen[line] = true
	}
	if again == 0 {
		return 0
	}
	return float64(again) / float64(all)
}

// RepeatedWords is the share of a text's grams of four words that stood in it
// before, 0 to 1: a model that loops writes such text.
func RepeatedWords(text string) float64 {
	seen := map[uint64]bool{}
	all, again := 0, 0
	Grams(text, 4, func(h uint64) {
		all++
		if seen[h] {
			again++
		}
		seen[h] = true
	})
	if again == 0 {
		return 0
	}
	return float64(again) / float64(all)
}
