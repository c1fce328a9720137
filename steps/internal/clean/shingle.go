package clean

import "slices"

// gramBase is the base of the polynomial that rolls over the words of a gram.
const gramBase uint64 = 0x9e3779b97f4a7c15 | 1

// Grams calls visit with a hash of every n words that follow each other. A text
// with fewer words, but some, has one gram, all of it, which equals no part of a
// longer text.
func Grams(text string, n int, visit func(uint64)) {
	ring := make([]uint64, n)
	lead := uint64(1) // gramBase^n
	for range n {
		lead *= gramBase
	}
	var h uint64
	count := 0
	Words(text, func(word uint64, _ int) {
		at := count % n
		h = h*gramBase + word - lead*ring[at]
		ring[at] = word
		if count++; count >= n {
			visit(mix(h))
		}
	})
	if 0 < count && count < n {
		visit(mix(h ^ uint64(count)<<56))
	}
}

// Shingles returns the set of a text's grams of n words, sorted (the w-shingling
// of Broder 1997).
func Shingles(text string, n int) []uint64 {
	var all []uint64
	Grams(text, n, func(h uint64) { all = append(all, h) })
	slices.Sort(all)
	return slices.Compact(all)
}

// Common returns how many members two sorted sets share.
func Common(a, b []uint64) int {
	n := 0
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] < b[j]:
			i++
		case a[i] > b[j]:
			j++
		default:
			n, i, j = n+1, i+1, j+1
		}
	}
	return n
}

// Jaccard is the share of what two sorted sets have together that both have;
// of two empty sets 0.
func Jaccard(a, b []uint64) float64 {
	common := Common(a, b)
	if common == 0 {
		return 0
	}
	return float64(common) / float64(len(a)+len(b)-common)
}
