package fetch

import (
	"path/filepath"
	"testing"

	"github.com/pipe-run/pipe/steps/steptest"
)

func TestSuite(t *testing.T) {
	dir := t.TempDir()
	writeTestFile(t, filepath.Join(dir, "a.jsonl"), `{"text":"one"}`)
	writeTestFile(t, filepath.Join(dir, "deep", "b.jsonl"), `{"text":"two"}`)
	text := `{"source":{"file":{"path":"` + dir + `"}}}`
	pin, err := newMachine(t).pin(text, false)
	if err != nil {
		t.Fatal(err)
	}
	steptest.Run(t, steptest.Case{Kind: Kind, Params: string(params(t, text)), Pin: pin.ID, Out: []string{"files"}})
}
