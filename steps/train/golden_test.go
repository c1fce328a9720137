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
			"adapter_model.safetensors": "0f5702dd9fb1ba8456bbabd3ae9c45face7b7feb63281c0d8801da4af1585a02",
			logFile:                     "9455a407dfe5ba2826d16ffdd8399ce1886f3330a60155c271cb77e0ef1b147a",
		}},
		"full": {full, "model", map[string]string{
			"model.safetensors": "623e63c08560bbe332e0d77b9cdba40a3422a744a0dec546ef71b1039dc50286",
			logFile:             "c0d72cddb025f7dd6565936fbbd7c374363d9f5342a96b56c648c62cec07ae05",
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
	if Kind.Version != 1 {
		t.Error("the kind's version changed: so must the digests above")
	}
}
