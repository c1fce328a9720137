package token

import (
	"slices"
	"sort"
)

// prefixes finds all pieces that a text begins with. Nodes are numbered level
// by level, so that the children of one stand side by side in order of their
// bytes. Node 0 is the root.
type prefixes struct {
	children []int32 // first child of each node; those of i end at children[i+1]
	label    []byte  // the byte that leads to each node
	value    []int32 // what ends at each node; -1: nothing
	first    [256]int32
}

// newPrefixes indexes pieces, the id of which is their value. Pieces are not
// empty; the values are kept for those that values says.
func newPrefixes(values map[string]int32) *prefixes {
	all := make([]string, 0, len(values))
	for piece := range values {
		if piece != "" {
			all = append(all, piece)
		}
	}
	slices.Sort(all)
	type stretch struct{ lo, hi, depth int } // pieces that share a beginning
	p := &prefixes{children: []int32{}, label: []byte{0}, value: []int32{-1}}
	for queue := []stretch{{0, len(all), 0}}; len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		if s.lo < s.hi && len(all[s.lo]) == s.depth {
			p.value[len(p.children)] = values[all[s.lo]]
			s.lo++
		}
		p.children = append(p.children, int32(len(p.label)))
		for s.lo < s.hi {
			b := all[s.lo][s.depth]
			end := s.lo + sort.Search(s.hi-s.lo, func(i int) bool { return all[s.lo+i][s.depth] > b })
			p.label, p.value = append(p.label, b), append(p.value, -1)
			queue = append(queue, stretch{s.lo, end, s.depth + 1})
			s.lo = end
		}
	}
	p.children = append(p.children, int32(len(p.label)))
	for i := range p.first {
		p.first[i] = -1
	}
	for i := p.children[0]; i < p.children[1]; i++ {
		p.first[p.label[i]] = i
	}
	return p
}

// child returns the node after a byte, or -1.
func (p *prefixes) child(node int32, b byte) int32 {
	if node == 0 {
		return p.first[b]
	}
	lo, hi := p.children[node], p.children[node+1]
	for hi-lo > 8 {
		if mid := (lo + hi) / 2; p.label[mid] > b {
			hi = mid
		} else {
			lo = mid
		}
	}
	for ; lo < hi; lo++ {
		if p.label[lo] == b {
			return lo
		}
	}
	return -1
}

// each calls f for every piece that s begins with, shortest first.
func (p *prefixes) each(s string, f func(size int, value int32)) {
	node := int32(0)
	for i := range len(s) {
		if node = p.child(node, s[i]); node < 0 {
			return
		}
		if v := p.value[node]; v >= 0 {
			f(i+1, v)
		}
	}
}

// longest returns the longest piece that s begins with; size 0 if there is none.
func (p *prefixes) longest(s string) (size int, value int32) {
	p.each(s, func(n int, v int32) { size, value = n, v })
	return size, value
}
