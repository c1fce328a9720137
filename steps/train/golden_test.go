package train

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// TestGoldenBytes holds the digests of what a training writes. Whoever changes
// them changes the bytes that equal inputs give and, once a version is released,
// must raise the kind's version with them.
func TestGoldenBytes(t *testing.T) {
	lora, full := loraParams(), fullParams()
	full.DType, full.Init, full.GradientAccumulation, full.BatchSize = "bf16", "random", 2, 2
	for name, c := range map[string]struct {
		p    Params
		out  string
		want map[string]string
	}{
		"lora": {lora, "adapter", map[string]string{
			"adapter_model.safetensors": "cda68be36252f6d26ab1480c65f50c156697d6d3d94fe417766f76226a8ead16",
			logFile:                     "09302f471959a6b62f0cc8b1dcf37abcedd7bab2b4cb4d8ebe6dd9d927b17982",
		}},
		"full": {full, "model", map[string]string{
			"model.safetensors": "4b6a396591341cc4211de3048872e16040b1c1bc4de8876b0ccec83d85f7d3d2",
			logFile:             "00e349ad56fa1def5be6e2369e08f2f591b7181ae0602896a5509b800de45b07",
		}},
	} {
		got := newJob(t, hashedInputs(t), c.out).must(t, c.p)
		for file, want := range c.want {
			sum := sha256.Sum256([]byte(got[file]))
			if digest := hex.EncodeToString(sum[:]); digest != want {
				t.Errorf("%s: %s has digest %s, want %s", name, file, digest, want)
			}
		}
	}
	if Kind.Version != 2 {
		t.Error("the kind's version changed: so must the digests above")
	}
}
