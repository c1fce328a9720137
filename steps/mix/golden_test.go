package mix

import (
	"testing"

	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/steptest"
)

// TestGolden holds the bytes of the output. Where they change on purpose, the
// kind's version must be raised.
func TestGolden(t *testing.T) {
	in := map[string]string{"a": numbered(t, "a", 30), "b": numbered(t, "b", 9)}
	for params, want := range map[string]string{
		`{}`: "b3ffee64948554cf47488499b60e1594f13f15c7eb3413b071902f87ddaa7e05",
		`{"weights":{"a":1,"b":1},"repeat":true,"seed":3}`: "6417b2bb7f8589caccbd9909b3b0e7690d388b25816395704a2c670dc9c20142",
		`{"counts":{"a":7,"b":9},"seed":-1}`:               "9f690e519aea90b850c006735fa5b146d201deac6bcbb1054dbd1069df700483",
	} {
		out := steptest.Do(t, steptest.Case{Kind: Kind, Params: params, In: in, Out: []string{"records"}}, 2).Out
		got, err := artifact.Digest(out["records"])
		if err != nil {
			t.Fatal(err)
		}
		if got != want || Kind.Version != 1 {
			t.Errorf("%s: version %d writes %s, want version 1 and %s", params, Kind.Version, got, want)
		}
	}
}
