package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/dataset/charset"
	"github.com/pipe-run/pipe/steps/internal/dataset/pack"
	"github.com/pipe-run/pipe/steps/internal/dataset/xlsx"
)

// documented is the text of docs/data.md.
func documented(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "data.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocumentedContainers: the table of containers names every ending that tells
// one, each in the row of its own, and no other; first bytes tell what it says.
func TestDocumentedContainers(t *testing.T) {
	rows := map[string][]Container{
		"JSON": {JSON}, "JSON Lines": {JSONL}, "CSV, TSV": {CSV, TSV}, "Parquet": {Parquet}, "Arrow, Feather 2": {Arrow}, "Excel": {Excel}, "text": {PlainText},
	}
	_, table, _ := strings.Cut(documented(t), "| container |")
	table, _, _ = strings.Cut(table, "\n\n")
	endings := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([A-Za-z0-9, ]+?) \| (.*?) \|`).FindAllStringSubmatch(table, -1) {
		want, ok := rows[m[1]]
		if !ok {
			t.Errorf("%s is no container", m[1])
		}
		delete(rows, m[1])
		for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(m[2], -1) {
			told, head := quoted[1], ""
			if strings.HasPrefix(told, ".") {
				endings[told] = true
				told = "rows" + told
			} else if strings.Contains(told, "/") {
				continue // a member of an archive, which is looked for when that is opened
			} else {
				told, head = "rows", told+"\x00\x00"
			}
			if got, err := Detect(told, []byte(head)); err != nil || !slices.Contains(want, got) {
				t.Errorf("%s: a file that %s tells is %s, %v", m[1], quoted[1], got, err)
			}
		}
	}
	for name := range rows {
		t.Errorf("%s is not in the table", name)
	}
	for ending := range extensions {
		if !endings[ending] {
			t.Errorf("%s is not in the table", ending)
		}
	}
}

// TestDocumentedEncodings: the table of encodings names all of them.
func TestDocumentedEncodings(t *testing.T) {
	_, table, _ := strings.Cut(documented(t), "| encoding |")
	table, _, _ = strings.Cut(table, "\n\n")
	shown := map[charset.Name]bool{}
	for _, row := range strings.Split(table, "\n| ")[1:] {
		names := strings.Split(row, " |")
		for i, cell := range names[:min(2, len(names))] {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
				name, err := charset.Parse(m[1])
				if err != nil || i == 0 && string(name) != m[1] {
					t.Errorf("%s: %s, %v", m[1], name, err)
				}
				shown[name] = true
			}
		}
	}
	for _, name := range charset.Names() {
		if !shown[name] {
			t.Errorf("%s is not in the table", name)
		}
	}
}

// TestDocumentedRows: the rows that docs/data.md shows are of the formats that
// it says, and are told to be.
func TestDocumentedRows(t *testing.T) {
	text := documented(t)
	shown := map[Format]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| `(\\{.*?\\})`").FindAllStringSubmatch(text, -1) {
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

// TestDocumentedLimits: the table of limits says what the readers of this package
// hold to.
func TestDocumentedLimits(t *testing.T) {
	_, table, _ := strings.Cut(documented(t), "| what | limit |")
	table, _, _ = strings.Cut(table, "\n\n")
	mib := func(n int) string { return fmt.Sprintf("%d MiB", n>>20) }
	count := func(n int) string { // 10000 as 10,000
		if n < 1000 {
			return fmt.Sprint(n)
		}
		return fmt.Sprintf("%d,%03d", n/1000, n%1000)
	}
	want := map[string]string{
		"a row of any container":   mib(maxRowBytes),
		"lists and objects":        count(maxDepth),
		"columns of a table":       count(maxColumns) + "; " + count(maxLeaves),
		"memory that decoding":     mib(decodeLimit),
		"what a packed file":       fmt.Sprintf("%d GiB and %d times what it takes", pack.Spare>>30, pack.Allowance),
		"files in an archive":      count(pack.MaxMembers) + "; " + count(maxWrapping),
		"shared strings of a work": mib(xlsx.MaxStrings) + "; " + mib(xlsx.MaxText),
	}
	for _, m := range regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \|$`).FindAllStringSubmatch(table, -1) {
		found := false
		for what, limit := range want {
			if strings.HasPrefix(m[1], what) {
				found = true
				delete(want, what)
				if m[2] != limit {
					t.Errorf("%s: %s, want %s", m[1], m[2], limit)
				}
			}
		}
		if !found {
			t.Errorf("%s: the test knows no such limit", m[1])
		}
	}
	for what, limit := range want {
		t.Errorf("%s: %s is not in the table", what, limit)
	}
}
