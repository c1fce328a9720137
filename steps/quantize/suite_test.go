package quantize

import (
	"testing"

	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/steptest"
)

const (
	doubled = `{"scheme":"nf4","doubleQuant":true,"blockSize":64}`
	single  = `{"scheme":"nf4","doubleQuant":false,"blockSize":32}`
	floats  = `{"scheme":"fp4","doubleQuant":true,"blockSize":64}`
	eight   = `{"scheme":"q8_0"}`
	chosen  = `{"scheme":"nf4","doubleQuant":true,"blockSize":64,"dynamic":{"keep":{"ratio":0.9},"tokens":40}}`
)

func newCase(t *testing.T, params string) steptest.Case {
	in := map[string]string{"model": modelOf(t, wideConfig(), tensor.BF16)}
	if params == doubled || params == single {
		in["model"] = tinyModel(t)
	}
	if params == chosen {
		in["calibration"] = tinyTokens(t)
	}
	return steptest.Case{Kind: Kind, Params: params, In: in, Out: []string{"model"}}
}

func TestSuite(t *testing.T) {
	steptest.Run(t, newCase(t, doubled))
	steptest.Run(t, newCase(t, single))
	steptest.Run(t, newCase(t, eight))
	steptest.Run(t, newCase(t, chosen))
}

// TestGolden holds the bytes of quantized models. Where they change on
// purpose, the kind's version must be raised.
func TestGolden(t *testing.T) {
	for params, want := range map[string]string{
		doubled: "51f9166f5b01bd26cd6357ba853748f23295c874928e6ac5375c6c6ac1bed8ad",
		floats:  "80e54d9f839f8219a8df6f468fc2f455dbf81bc91e18e785dfee1ea33e98bffb",
		eight:   "b558345ca7b3155713868c1140591634b8f5e1a812475be05798ffe1b2c2c764",
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
