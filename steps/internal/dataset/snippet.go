package dataset

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxSnippet bounds what an error quotes of the data, in bytes.
const maxSnippet = 60

// snippet quotes the beginning of s so that it fits an error message.
func snippet(s string) string {
	if len(s) <= maxSnippet {
		return strconv.Quote(s)
	}
	cut := maxSnippet
	for cut > maxSnippet-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(strings.TrimSpace(s[:cut])) + "…"
}
