package steptest

import (
	"encoding/json"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// Records reads the records of an output.
func Records(t *testing.T, dir string) (all []dataset.Record) {
	t.Helper()
	r, err := dataset.OpenRecords(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for record, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, record)
	}
	return all
}

// Filled returns parameters, JSON, with the defaults of those left out; and a
// folder for each output of records that they give a step: records, or the sides
// of a split.
func Filled(t *testing.T, defaults map[string]any, params string) (raw json.RawMessage, out map[string]string) {
	t.Helper()
	full := defaults
	if err := json.Unmarshal([]byte(params), &full); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"records"}
	if split, ok := full["split"].(map[string]any); ok {
		names = []string{"train", "test"}
		if split["validation"] != nil {
			names = append(names, "validation")
		}
	}
	out = map[string]string{}
	for _, name := range names {
		out[name] = t.TempDir()
	}
	return raw, out
}

// New makes a step of parameters that must do.
func New(t *testing.T, kind pipeline.Kind, params json.RawMessage) pipeline.Step {
	t.Helper()
	step, err := kind.New(params)
	if err != nil {
		t.Fatal(err)
	}
	return step
}
