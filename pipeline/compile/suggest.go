package compile

import (
	"strconv"
	"strings"
)

// Nearest returns the name of from that s was most likely meant to be, or "".
func Nearest(s string, from []string) string {
	best, least := "", tolerance(len(s))+1
	for _, name := range from {
		d := distance(strings.ToLower(s), strings.ToLower(name))
		if len(s) > 3 && len(name) > 3 && (strings.HasPrefix(name, s) || strings.HasPrefix(s, name)) {
			d = min(d, 1)
		}
		if region := strings.IndexAny(s, "-_"); region > 1 && strings.EqualFold(s[:region], name) { // zh-CN
			d = 0
		}
		if len(name) < 3 && d > 0 {
			continue // one letter of two says nothing
		}
		if d < least && d < max(len(s), len(name)) {
			best, least = name, d
		}
	}
	return best
}

// tolerance is how many slips a name of n letters may hold.
func tolerance(n int) int {
	switch {
	case n < 5:
		return 1
	case n < 9:
		return 2
	}
	return 3
}

// suggest asks whether s was meant to be a name of from, or says nothing.
func suggest(s string, from []string) string {
	if name := Nearest(s, from); name != "" {
		return "did you mean " + strconv.Quote(name) + "?"
	}
	return ""
}

// choose suggests a name of from, or lists all of them, which are what: its
// output, its outputs.
func choose(what, s string, from []string) string {
	if hint := suggest(s, from); hint != "" {
		return hint
	}
	switch len(from) {
	case 0:
		return ""
	case 1:
		return "the only " + what + " is " + from[0]
	}
	if len(from) > 24 {
		return ""
	}
	return "the " + what + "s are " + list(from, "and")
}

// list joins names as people do: a, b and c.
func list(names []string, last string) string {
	switch n := len(names); n {
	case 0:
		return ""
	case 1:
		return names[0]
	default:
		return strings.Join(names[:n-1], ", ") + " " + last + " " + names[n-1]
	}
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour to make b of a. Names longer than 64 bytes count as far.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var rows [3][65]int
	for j := range len(b) + 1 {
		rows[1][j] = j
	}
	prev2, prev, cur := &rows[0], &rows[1], &rows[2]
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
