package token

import "math/rand/v2"

// trie finds the longest token that a text begins with. A node that is a token
// has the token's id, other nodes have ids past all tokens.
type trie struct {
	tokens int32 // nodes below are tokens
	nodes  int32 // how many ids of nodes are taken
	first  [256]int32
	edges  []uint64 // node, byte and child (24, 8 and 32 bits) by hash; half full at most
	count  int
	shift  uint
	seed   uint64 // so that no file can be made to collide
}

const (
	noNode   = -1
	noEdge   = ^uint64(0)
	maxNodes = 1<<24 - 1
)

func newTrie(tokens int) *trie {
	t := &trie{tokens: int32(tokens), nodes: int32(tokens), seed: rand.Uint64()}
	for b := range t.first {
		t.first[b] = noNode
	}
	t.resize(12)
	return t
}

// resize makes room for half of 1<<log edges.
func (t *trie) resize(log int) {
	old := t.edges
	t.edges, t.shift = make([]uint64, 1<<log), uint(64-log)
	for i := range t.edges {
		t.edges[i] = noEdge
	}
	for _, e := range old {
		if e != noEdge {
			t.edges[t.slot(uint32(e>>32))] = e
		}
	}
}

// slot returns where the edge from a node by a byte is or would be.
func (t *trie) slot(from uint32) uint64 {
	i := mix(uint64(from), t.seed) >> t.shift
	for e := t.edges[i]; e != noEdge && uint32(e>>32) != from; e = t.edges[i] {
		i = (i + 1) & uint64(len(t.edges)-1)
	}
	return i
}

// child returns the node after a byte, or noNode.
func (t *trie) child(node int32, b byte) int32 {
	if e := t.edges[t.slot(uint32(node)<<8|uint32(b))]; e != noEdge {
		return int32(uint32(e))
	}
	return noNode
}

// add adds a piece. isToken tells the id of a prefix that is a token. It
// returns the longest token that the piece begins with, itself aside, or -1,
// and false when there are too many nodes.
func (t *trie) add(piece string, isToken func(string) (int32, bool)) (prefix int32, ok bool) {
	prefix = -1
	node := int32(noNode)
	for i := range len(piece) {
		if node >= 0 && node < t.tokens {
			prefix = node
		}
		next := t.first[piece[i]]
		if i > 0 {
			next = t.child(node, piece[i])
		}
		if next < 0 {
			if next, ok = isToken(piece[:i+1]); !ok {
				if next = t.nodes; next >= maxNodes {
					return prefix, false
				}
				t.nodes++
			}
			t.link(node, piece[i], next)
		}
		node = next
	}
	return prefix, true
}

// link adds an edge; from noNode it begins a token.
func (t *trie) link(node int32, b byte, to int32) {
	if node < 0 {
		t.first[b] = to
		return
	}
	if t.count++; 2*t.count > len(t.edges) {
		t.resize(64 - int(t.shift) + 1)
	}
	from := uint32(node)<<8 | uint32(b)
	t.edges[t.slot(from)] = uint64(from)<<32 | uint64(uint32(to))
}

// longest returns the longest token that s[i:] begins with, or -1.
func (t *trie) longest(s string, i int) int32 {
	node := t.first[s[i]]
	best := int32(-1)
	for node >= 0 {
		if node < t.tokens {
			best = node
		}
		if i++; i == len(s) {
			break
		}
		node = t.child(node, s[i])
	}
	return best
}
