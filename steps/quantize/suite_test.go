package quantize

import (
	"testing"

	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/steptest"
)

const (
	doubled = `{"scheme":"nf4","doubleQuant":true,"blockSize":64}`
	single  = `{"scheme":"nf4","doubleQuant":false,"blockSize":32}`
)

func newCase(t *testing.T, params string) steptest.Case {
	return steptest.Case{Kind: Kind, Params: params, In: map[string]string{"model": tinyModel(t)}, Out: []string{"model"}}
}

func TestSuite(t *testing.T) {
	steptest.Run(t, newCase(t, doubled))
	steptest.Run(t, newCase(t, single))
}

// TestGolden holds the bytes of quantized models. Where they change on
// purpose, the kind's version must be raised.
func TestGolden(t *testing.T) {
	for params, want := range map[string]string{
		doubled: "51f9166f5b01bd26cd6357ba853748f23295c874928e6ac5375c6c6ac1bed8ad",
		single:  "ba96570a50959bec3a8890e488dface0f95c7103cc9e109cdbfa74a8d7693858",
	} {
		got, err := artifact.Digest(steptest.Do(t, newCase(t, params), 2).Out["model"])
		if err != nil {
			t.Fatal(err)
		}
		if got != want || Kind.Version != 1 {
			t.Errorf("%s: version %d writes %s, want version 1 and %s", params, Kind.Version, got, want)
		}
	}
}
