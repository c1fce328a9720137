package dataset

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentedRows: the rows that docs/data.md shows are of the formats that
// it says, and are told to be.
func TestDocumentedRows(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "data.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := map[Format]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| `(\\{.*?\\})`").FindAllStringSubmatch(string(text), -1) {
		format, row := Format(m[1]), parseRows(t, strings.ReplaceAll(m[2], `\|`, "|"))[0]
		shown[format] = true
		shaper, err := NewShaper(format, nil)
		if err != nil {
			t.Fatal(err)
		}
		shaper.Settle(row)
		if _, err := shaper.Record("f", Raw{Value: row, Record: 1}); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		if c, err := ProposeOne([]Value{row}); err != nil || c.Format != format {
			t.Errorf("%s is told to be %s, %v", format, c.Format, err)
		}
	}
	for _, format := range Formats() {
		if !shown[format] && format != TemplateFormat {
			t.Errorf("%s is not shown", format)
		}
	}
}
