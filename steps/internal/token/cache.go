package token

import "strings"

// cache remembers the ids of pretokens. It is bounded: when full it is emptied,
// which costs a little time and changes no result.
type cache struct {
	at    map[string]cached
	arena []int32
}

type cached struct{ from, to int32 }

// maxEntries bounds a cache to a few megabytes.
const maxEntries = 1 << 15

func (c *cache) get(piece string) ([]int32, bool) {
	e, ok := c.at[piece]
	return c.arena[e.from:e.to], ok
}

func (c *cache) put(piece string, ids []int32) {
	if len(piece) > maxCached {
		return
	}
	if c.at == nil {
		c.at = make(map[string]cached)
	}
	if len(c.at) >= maxEntries {
		clear(c.at)
		c.arena = c.arena[:0]
	}
	from := int32(len(c.arena))
	c.arena = append(c.arena, ids...)
	c.at[strings.Clone(piece)] = cached{from, int32(len(c.arena))}
}
