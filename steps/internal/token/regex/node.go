package regex

// node is a part of a pattern.
type node interface{}

type (
	// sequence is its parts one after another; none: the empty text.
	sequence []node
	// choice is the first of its alternatives that leads to a match.
	choice []node
	// chars is one character.
	chars struct{ spans spans }
	// repeat is body from least to most times; most -1: without end.
	repeat struct {
		body        node
		least, most int
		kind        repeatKind
	}
	// atomic is the first way body matches, and no other.
	atomic struct{ body node }
	// look tells whether body matches, or does not, ahead or behind.
	look struct {
		body        node
		behind, not bool
	}
	// assertion is a condition on a place.
	assertion int
)

type repeatKind int

const (
	greedy repeatKind = iota
	lazy
	possessive
)

const (
	textStart assertion = iota
	textEnd
	lastLineEnd // at the end, or before a line feed that ends the text
	lineStart
	lineEnd
	wordBorder
	noWordBorder
)

// canBeEmpty tells whether n can match the empty text.
func canBeEmpty(n node) bool {
	switch n := n.(type) {
	case sequence:
		for _, part := range n {
			if !canBeEmpty(part) {
				return false
			}
		}
		return true
	case choice:
		for _, way := range n {
			if canBeEmpty(way) {
				return true
			}
		}
		return false
	case chars:
		return false
	case repeat:
		return n.least == 0 || canBeEmpty(n.body)
	case atomic:
		return canBeEmpty(n.body)
	}
	return true
}

// firstOf returns the characters that a match of n can begin with; false if it
// may be empty.
func firstOf(n node) (spans, bool) {
	if canBeEmpty(n) {
		return nil, false
	}
	return firsts(n), true
}

// firsts is firstOf for nodes that may be empty too.
func firsts(n node) spans {
	var out spans
	switch n := n.(type) {
	case sequence:
		for _, part := range n {
			out = out.or(firsts(part))
			if !canBeEmpty(part) {
				break
			}
		}
	case choice:
		for _, way := range n {
			out = out.or(firsts(way))
		}
	case chars:
		return n.spans
	case repeat:
		return firsts(n.body)
	case atomic:
		return firsts(n.body)
	}
	return out
}

// width returns how many characters n always matches, or false.
func width(n node) (int, bool) {
	switch n := n.(type) {
	case sequence:
		sum := 0
		for _, part := range n {
			w, ok := width(part)
			if !ok {
				return 0, false
			}
			sum += w
		}
		return sum, true
	case choice:
		first, ok := width(n[0])
		for _, way := range n[1:] {
			if w, same := width(way); !same || w != first {
				return 0, false
			}
		}
		return first, ok
	case chars:
		return 1, true
	case repeat:
		w, ok := width(n.body)
		return w * n.least, ok && n.least == n.most
	case atomic:
		return width(n.body)
	}
	return 0, true
}
