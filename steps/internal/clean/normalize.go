package clean

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Normal says how texts are brought into one spelling.
type Normal struct {
	Form        string // "nfc", "nfkc" or "" (Unicode Standard Annex 15)
	LineEndings bool   // \r\n and \r become \n
	Invisible   bool   // characters that show nothing and mean nothing are left out
}

// invisible are soft hyphen, zero width space, word joiner and byte order mark.
// Joiners (U+200C, U+200D) stay: emoji, Persian and the scripts of India need them.
var invisible = strings.NewReplacer("\u00ad", "", "\u200b", "", "\u2060", "", "\ufeff", "")

var lineEndings = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// Apply returns the text in its normal spelling.
func (n Normal) Apply(text string) string {
	if n.Invisible {
		text = invisible.Replace(text)
	}
	if n.LineEndings && strings.Contains(text, "\r") {
		text = lineEndings.Replace(text)
	}
	switch n.Form {
	case "nfc":
		return norm.NFC.String(text)
	case "nfkc":
		return norm.NFKC.String(text)
	}
	return text
}
