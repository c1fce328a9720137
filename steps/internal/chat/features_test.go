package chat

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestFeatures compares small templates, each of a feature of the language, with
// what Jinja2 makes of them; interop/golden/jinja.py made the file. What Jinja
// refuses is refused, and what differs is refused too: nothing renders wrongly.
func TestFeatures(t *testing.T) {
	data, err := os.ReadFile("testdata/features.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(data), "\n")
	var first struct{ Context json.RawMessage }
	if err := json.Unmarshal([]byte(head), &first); err != nil {
		t.Fatal(err)
	}
	count, refused := 0, 0
	for line := range strings.Lines(rest) {
		var row struct {
			Template string
			Rendered *string
			Error    string
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		count++
		got, err := RenderWith(context.Background(), row.Template, string(first.Context))
		switch {
		case row.Rendered == nil && err == nil:
			t.Errorf("%s\n got %q\nwant error %s", row.Template, got, row.Error)
		case row.Rendered == nil:
		case err != nil && !refuses(row.Template):
			t.Errorf("%s\n got error %v\nwant %q", row.Template, err, *row.Rendered)
		case err != nil:
			refused++
		case got != *row.Rendered:
			t.Errorf("%s\n got %q\nwant %q", row.Template, got, *row.Rendered)
		}
	}
	if count < 100 {
		t.Errorf("%d features", count)
	}
	t.Logf("%d features, %d refused that Jinja renders", count, refused)
}

// refuses lists what pipe refuses though Jinja renders it.
func refuses(template string) bool {
	for _, feature := range []string{"format('a'", "is filter", "sum(start", "dict(a=1", "{'x': {'y'"} {
		if strings.Contains(template, feature) {
			return true
		}
	}
	return false
}
