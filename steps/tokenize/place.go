package tokenize

import "math/bits"

// place packs documents into rows of a capacity by best-fit decreasing: the
// longest first, each into the row with the least room that it fits in, of equals
// the one filled last. That takes at most 11/9 as many rows as the best packing,
// and four more (D. S. Johnson et al., "Worst-case performance bounds for simple
// one-dimensional packing algorithms", SIAM J. Comput. 3, 1974).
//
// It returns the documents of row i as documents[starts[i]:starts[i+1]], in their
// own order; rows are in the order of their first documents. A document of no
// tokens is in no row. It takes O(n log capacity) time.
func place(lengths []int32, capacity int) (documents, starts []int32) {
	row := make([]int32, len(lengths))
	room := newRooms(capacity)
	for _, i := range decreasing(lengths, capacity) {
		row[i] = room.put(int(lengths[i]))
	}
	return group(lengths, row, room.rows())
}

// decreasing returns the numbers of the documents by length, the longest first and
// equals in their order, without those of no tokens.
func decreasing(lengths []int32, capacity int) []int32 {
	at := make([]int32, capacity+2) // at[n]: where documents of n tokens go
	for _, n := range lengths {
		at[n]++
	}
	next := int32(0)
	for n := capacity; n > 0; n-- {
		next, at[n] = next+at[n], next
	}
	order := make([]int32, next)
	for i, n := range lengths {
		if n > 0 {
			order[at[n]] = int32(i)
			at[n]++
		}
	}
	return order
}

// group lists the documents of each row, given the row of each, and numbers the
// rows by their first documents.
func group(lengths, row []int32, rows int) (documents, starts []int32) {
	number := make([]int32, rows) // 1 + the new number of a row
	starts = make([]int32, rows+1)
	next := int32(0)
	for i, n := range lengths {
		if n == 0 {
			continue
		}
		if number[row[i]] == 0 {
			next++
			number[row[i]] = next
		}
		row[i] = number[row[i]] - 1
		starts[row[i]+1]++
	}
	for i := range rows {
		starts[i+1] += starts[i]
	}
	documents = make([]int32, starts[rows])
	at := append([]int32(nil), starts[:rows]...)
	for i, n := range lengths {
		if n > 0 {
			documents[at[row[i]]] = int32(i)
			at[row[i]]++
		}
	}
	return documents, starts
}

// rooms finds rows by the room that is left in them.
type rooms struct {
	capacity int
	top      []int32    // top[r]: 1 + the row with r free tokens that was filled last
	below    []int32    // below[i]: 1 + the row with as much room that was filled before row i
	sets     [][]uint64 // sets[0]: the bits of rooms that some row has; sets[k+1]: the words of sets[k] that are not 0
}

func newRooms(capacity int) *rooms {
	r := &rooms{capacity: capacity, top: make([]int32, capacity+1)}
	for n := capacity + 1; ; n = len(r.sets[len(r.sets)-1]) {
		r.sets = append(r.sets, make([]uint64, (n+63)/64))
		if n <= 64 {
			return r
		}
	}
}

// rows is how many rows there are.
func (r *rooms) rows() int { return len(r.below) }

// put places n tokens and returns the row.
func (r *rooms) put(n int) int32 {
	free := r.atLeast(n)
	var row int32
	if free < 0 {
		free, row = r.capacity, int32(len(r.below))
		r.below = append(r.below, 0)
	} else {
		row = r.top[free] - 1
		if r.top[free] = r.below[row]; r.top[free] == 0 {
			r.clear(free)
		}
	}
	if free -= n; free > 0 {
		r.below[row] = r.top[free]
		r.top[free] = row + 1
		r.set(free)
	}
	return row
}

func (r *rooms) set(i int) {
	for _, s := range r.sets {
		s[i/64] |= 1 << (i % 64)
		i /= 64
	}
}

func (r *rooms) clear(i int) {
	for _, s := range r.sets {
		if s[i/64] &^= 1 << (i % 64); s[i/64] != 0 {
			return
		}
		i /= 64
	}
}

// atLeast returns the least room that some row has and that is n or more, or -1.
func (r *rooms) atLeast(n int) int {
	for k, s := range r.sets {
		if n/64 >= len(s) {
			return -1
		}
		if w := s[n/64] >> (n % 64); w != 0 {
			n += bits.TrailingZeros64(w)
			for k--; k >= 0; k-- {
				n = n*64 + bits.TrailingZeros64(r.sets[k][n])
			}
			return n
		}
		n = n/64 + 1
	}
	return -1
}
