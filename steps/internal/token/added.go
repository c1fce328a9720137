package token

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is one entry of added_tokens.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// matcher finds added tokens in text: leftmost, and of those the longest.
type matcher struct {
	first  [256]bool // bytes that begin a token
	one    string    // the only such byte, when there is just one
	nodes  []trieNode
	tokens []addedToken
	plain  bool // no token looks at what is around it
}

// trieNode is a state of the matcher; node 0 is the root.
type trieNode struct {
	next  []trieEdge
	token int // index into tokens, -1 if none ends here
}

type trieEdge struct {
	b  byte
	to int
}

// newMatcher builds the matcher of tokens, found by contents (one a token).
func newMatcher(tokens []addedToken, contents []string) *matcher {
	m := &matcher{tokens: tokens, nodes: []trieNode{{token: -1}}, plain: true}
	for _, t := range tokens {
		m.plain = m.plain && !t.SingleWord && !t.LStrip && !t.RStrip
	}
	for i, content := range contents {
		if content == "" {
			continue
		}
		m.first[content[0]] = true
		at := 0
		for j := range len(content) {
			at = m.child(at, content[j])
		}
		if m.nodes[at].token < 0 {
			m.nodes[at].token = i
		}
	}
	if root := m.nodes[0].next; len(root) == 1 {
		m.one = string([]byte{root[0].b})
	}
	return m
}

// child returns the node after b, making it when it is missing.
func (m *matcher) child(at int, b byte) int {
	if to := m.step(at, b); to >= 0 {
		return to
	}
	m.nodes = append(m.nodes, trieNode{token: -1})
	to := len(m.nodes) - 1
	m.nodes[at].next = append(m.nodes[at].next, trieEdge{b, to})
	return to
}

func (m *matcher) step(at int, b byte) int {
	for _, e := range m.nodes[at].next {
		if e.b == b {
			return e.to
		}
	}
	return -1
}

// find returns the first match at or after i: its range and token, or -1.
func (m *matcher) find(s string, i int) (lo, hi, token int) {
	for ; i < len(s); i++ {
		if m.one != "" {
			skip := strings.Index(s[i:], m.one)
			if skip < 0 {
				break
			}
			i += skip
		} else if !m.first[s[i]] {
			continue
		}
		token, hi = -1, i
		at := 0
		for j := i; j < len(s); j++ {
			if at = m.step(at, s[j]); at < 0 {
				break
			}
			if m.nodes[at].token >= 0 {
				token, hi = m.nodes[at].token, j+1
			}
		}
		if token >= 0 {
			return i, hi, token
		}
	}
	return len(s), len(s), -1
}

// cut calls part for each stretch of t in order: with the id of an added
// token, or with -1 for text between them. A token of white space in what one
// before it swallowed (rstrip) is found all the same, and what follows it is
// seen twice, as in the Hugging Face library.
func (m *matcher) cut(t text, part func(t text, id int32)) {
	s, done := t.s, 0
	if len(m.nodes) > 1 {
		for i := 0; ; {
			lo, hi, token := m.find(s, i)
			if token < 0 {
				break
			}
			i = hi
			tok := &m.tokens[token]
			if tok.SingleWord && (endsInWord(s[:lo]) || beginsWithWord(s[hi:])) {
				continue
			}
			if tok.LStrip {
				lo = max(done, len(strings.TrimRightFunc(s[:lo], unicode.IsSpace)))
			}
			if tok.RStrip {
				hi = len(s) - len(strings.TrimLeftFunc(s[hi:], unicode.IsSpace))
			}
			if done < lo {
				part(t.slice(done, lo), -1)
			}
			part(t.slice(lo, hi), tok.ID)
			done = hi
		}
	}
	if done < len(s) {
		part(t.slice(done, len(s)), -1)
	}
}

func endsInWord(s string) bool {
	c, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && isWord(c)
}

func beginsWithWord(s string) bool {
	c, n := utf8.DecodeRuneInString(s)
	return n > 0 && isWord(c)
}

// isWord is \w of Unicode regular expressions (UTS 18).
func isWord(c rune) bool {
	if c < utf8.RuneSelf {
		return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	return unicode.In(c, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic) ||
		c == 0x200C || c == 0x200D
}
