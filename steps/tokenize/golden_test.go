package tokenize

import (
	"testing"

	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/steptest"
)

// TestGolden holds the bytes of tokenized conversations. Where they change on
// purpose, the kind's version must be raised.
func TestGolden(t *testing.T) {
	for params, want := range map[string]string{
		`"packing":false`: "0682e82d35b907de2723c0096958bbd0c0ceb081623ee00ee9f9562b7486c5ed",
		`"packing":true`:  "c6f074472e7d2c70a51931c5c742eb1f6e571238b2babb99b85feb31aa0561e1",
	} {
		c := newCase(t, `{"template":"model","maxLength":48,"overLength":"truncate",`+params+`}`, dataset.Messages,
			chatRecord("what", "this"), chatRecord("a longer one", "is longer"), chatRecord("x", "y"))
		got, err := artifact.Digest(steptest.Do(t, c, 2).Out["tokens"])
		if err != nil {
			t.Fatal(err)
		}
		if got != want || Kind.Version != 3 {
			t.Errorf("%s: version %d writes %s, want version 3 and %s", params, Kind.Version, got, want)
		}
	}
}
