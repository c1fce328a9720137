package token

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

// trie finds the longest token that a text begins with. It is a double array:
// the node after byte b of a node is at base+b of its cell, if the check there
// is the node.
type trie struct {
	cells []cell
	ids   []int32 // of the tokens that end at a cell
}

// cell is a node. base is twice what is added to a byte, plus one if a token
// ends here; check is the node before, or free.
type cell struct{ base, check int32 }

const (
	free     = -1
	root     = 256     // cells before are never a node, so that base 0 has no children
	maxCells = 1 << 23 // far more than real vocabularies need
)

// trieToken is a piece and its id.
type trieToken struct {
	piece string
	id    int32
}

// trieMaker places the nodes of a trie. Free cells are a ring through next
// and prev, with 0 as its head.
type trieMaker struct {
	trie
	next, prev []int32
	tokens     []trieToken // in order of pieces
	prefix     func(id, prefix int32)
	bytes      []byte // after the nodes on the way to the one that is filled in
	starts     []int  // of the tokens with each of bytes
}

// newTrie makes the trie of tokens, none of which is empty, and calls prefix
// with each token and the longest other token it begins with, or -1. It returns
// nil if it would become too large.
func newTrie(tokens []trieToken, prefix func(id, prefix int32)) *trie {
	sortTokens(tokens)
	m := &trieMaker{tokens: tokens, prefix: prefix}
	nodes := 2*root + 3*len(tokens)/2 // about as many as vocabularies need
	m.next, m.prev = make([]int32, 1, nodes), make([]int32, 1, nodes)
	m.cells, m.ids = make([]cell, 1, nodes), make([]int32, 1, nodes)
	m.cells[0], m.ids[0] = cell{check: free}, -1
	m.grow(2 * root)
	for i := range root {
		if i > 0 {
			m.take(int32(i))
		}
		m.cells[i].check = free
	}
	m.take(root)
	if !m.place(root, 0, 0, len(tokens), -1) {
		return nil
	}
	m.grow(len(m.cells) + 256) // so that base+b is always a cell
	return &m.trie
}

// sortTokens puts tokens in order of their pieces. Most are told apart by their
// first eight bytes.
func sortTokens(tokens []trieToken) {
	type headed struct {
		head uint64
		trieToken
	}
	list := make([]headed, len(tokens))
	for i, t := range tokens {
		var head [8]byte
		copy(head[:], t.piece)
		list[i] = headed{binary.BigEndian.Uint64(head[:]), t}
	}
	slices.SortFunc(list, func(a, b headed) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		return strings.Compare(a.piece, b.piece)
	})
	for i := range list {
		tokens[i] = list[i].trieToken
	}
}

// grow adds free cells.
func (m *trieMaker) grow(size int) {
	more := max(0, size-len(m.cells))
	m.cells, m.ids = slices.Grow(m.cells, more), slices.Grow(m.ids, more)
	m.next, m.prev = slices.Grow(m.next, more), slices.Grow(m.prev, more)
	for i := len(m.cells); i < size; i++ {
		m.cells = append(m.cells, cell{check: free})
		m.ids = append(m.ids, -1)
		last := m.prev[0]
		m.next, m.prev = append(m.next, 0), append(m.prev, last)
		m.next[last], m.prev[0] = int32(i), int32(i)
	}
}

// take takes a cell out of the ring.
func (m *trieMaker) take(i int32) {
	m.next[m.prev[i]], m.prev[m.next[i]] = m.next[i], m.prev[i]
	m.next[i] = -1
}

// place fills in the node at, whose tokens are [lo, hi) and begin with the same
// depth bytes; best is the longest token on the way to it.
func (m *trieMaker) place(at int32, depth, lo, hi int, best int32) bool {
	if lo < hi && len(m.tokens[lo].piece) == depth {
		id := m.tokens[lo].id
		m.prefix(id, best)
		m.ids[at], m.cells[at].base = id, 1
		best = id
		lo++
	}
	if lo == hi {
		return true
	}
	from := len(m.bytes)
	for i := lo; i < hi; i++ {
		if b := m.tokens[i].piece[depth]; len(m.bytes) == from || b != m.bytes[len(m.bytes)-1] {
			m.bytes, m.starts = append(m.bytes, b), append(m.starts, i)
		}
	}
	bytes, starts := m.bytes[from:], m.starts[from:]
	defer func() { m.bytes, m.starts = m.bytes[:from], m.starts[:from] }()
	base := m.room(bytes)
	if base > maxCells {
		return false
	}
	m.cells[at].base += 2 * base
	for _, b := range bytes {
		m.take(base + int32(b))
		m.cells[base+int32(b)].check = at
	}
	for i, b := range bytes {
		end := hi
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		if !m.place(base+int32(b), depth+1, starts[i], end, best) {
			return false
		}
	}
	return true
}

// room returns a base at which the cells of all bytes are free. It tries only
// the first free cells, then takes new ones.
func (m *trieMaker) room(bytes []byte) int32 {
	first := int32(bytes[0])
	tries := 0
	for f := m.next[0]; f != 0 && tries < 24; f = m.next[f] {
		if base := f - first; base > 0 && m.fits(base, bytes) {
			return base
		}
		tries++
	}
	base := int32(len(m.cells))
	m.grow(len(m.cells) + 256)
	return base
}

func (m *trieMaker) fits(base int32, bytes []byte) bool {
	last := int(base) + int(bytes[len(bytes)-1])
	if last >= len(m.cells) {
		m.grow(last + 1)
	}
	for _, b := range bytes {
		if m.next[base+int32(b)] < 0 {
			return false
		}
	}
	return true
}

// longest returns the longest token that s[i:] begins with and its size, or -1.
func (t *trie) longest(s string, i int) (id int32, size int) {
	cells := t.cells
	node, best, from := int32(root), int32(0), i
	for ; i < len(s); i++ {
		next := cells[node].base>>1 + int32(s[i])
		if cells[next].check != node {
			break
		}
		node = next
		if cells[node].base&1 != 0 {
			best, size = node, i-from+1
		}
	}
	return t.ids[best], size
}
