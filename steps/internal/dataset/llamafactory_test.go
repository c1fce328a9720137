package dataset

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
)

// shapeAll reads a file into records; bad are the rows that were refused.
func shapeAll(t *testing.T, path string, options Options, format Format, columns map[string]string) (records []Record, bad []error) {
	t.Helper()
	shaper, err := NewShaper(format, columns)
	if err != nil {
		t.Fatal(err)
	}
	options.Columns = shaper.Columns()
	rows, err := Open(path, filepath.Base(path), options)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for {
		raw, err := rows.Next()
		if err == io.EOF {
			return records, bad
		}
		if err != nil {
			t.Fatal(err)
		}
		record, err := shaper.Record(filepath.Base(path), raw)
		if err != nil {
			bad = append(bad, err)
		} else {
			records = append(records, record)
		}
	}
}

func TestRealDatasets(t *testing.T) {
	for _, test := range []struct {
		file    string
		format  Format
		columns map[string]string
		options Options
		records int
		bad     string // in every refusal
	}{
		{file: "llama-factory/alpaca_en_demo.json", format: AlpacaFormat, records: 999},
		{file: "llama-factory/alpaca_zh_demo.json", format: AlpacaFormat, records: 1000},
		{file: "llama-factory/identity.json", format: AlpacaFormat, records: 91},
		{file: "llama-factory/glaive_toolcall_en_demo.json", format: ShareGPTFormat, records: 300},
		{file: "llama-factory/c4_demo.jsonl", format: TextFormat, records: 300},
		{file: "llama-factory/mllm_demo.json", format: MessagesFormat, bad: "only text can be trained"},
		{file: "llama-factory/wiki_demo.txt", format: TextFormat, options: Options{Unit: Line}, records: 30},
		{file: "gsm8k/train.jsonl", format: AlpacaFormat, columns: map[string]string{"instruction": "question", "output": "answer"}, records: 7473},
		{file: "bbh/boolean_expressions.json", format: PromptFormat, columns: map[string]string{"prompt": "input", "completion": "target"}, records: 250},
		{file: "vega/seattle-weather.csv", format: PromptFormat, columns: map[string]string{"prompt": "date", "completion": "weather"}, records: 1461},
		{file: "vega/unemployment.tsv", format: TextFormat, columns: map[string]string{"text": "rate"}, records: 3218},
		{file: "text/tinyshakespeare.txt", format: TextFormat, records: 1},
		{file: "text/tinyshakespeare.txt", format: TextFormat, options: Options{Unit: Paragraph}, records: 7222},
	} {
		t.Run(test.file, func(t *testing.T) {
			records, bad := shapeAll(t, shareddata.Path(t, "datasets/"+test.file), test.options, test.format, test.columns)
			if len(records) != test.records {
				t.Errorf("%d records, want %d", len(records), test.records)
			}
			for _, err := range bad {
				if test.bad == "" || !strings.Contains(err.Error(), test.bad) {
					t.Errorf("refused: %v", err)
					break
				}
			}
		})
	}
}
