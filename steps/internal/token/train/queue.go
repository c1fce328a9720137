package train

// candidate is a pair to merge, and the words to merge it in.
type candidate struct {
	count int64
	pair  pair
	words []int32
	order int // of pushing
}

// before says which is merged first: the more frequent, the smaller ids, the
// one that was known first.
func (c candidate) before(d candidate) bool {
	switch {
	case c.count != d.count:
		return c.count > d.count
	case c.pair != d.pair:
		return c.pair < d.pair
	}
	return c.order < d.order
}

// queue is a binary heap.
type queue struct {
	all    []candidate
	pushed int
}

func (q *queue) push(c candidate) {
	if c.order == 0 {
		q.pushed++
		c.order = q.pushed
	}
	q.all = append(q.all, c)
	i := len(q.all) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !c.before(q.all[up]) {
			break
		}
		q.all[i] = q.all[up]
		i = up
	}
	q.all[i] = c
}

// pop takes the first of a queue that is not empty.
func (q *queue) pop() candidate {
	top, n := q.all[0], len(q.all)-1
	c := q.all[n]
	q.all[n] = candidate{}
	q.all = q.all[:n]
	if n == 0 {
		return top
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= n {
			break
		}
		if down+1 < n && q.all[down+1].before(q.all[down]) {
			down++
		}
		if !q.all[down].before(c) {
			break
		}
		q.all[i] = q.all[down]
		i = down
	}
	q.all[i] = c
	return top
}
