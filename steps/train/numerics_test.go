package train

import (
	"math"
	"testing"
)

// TestBF16: training in bf16 learns what training in f32 learns, with other bits, and these on any number of threads.
func TestBF16(t *testing.T) {
	for name, p := range map[string]Params{"lora": loraParams(), "full": fullParams()} {
		t.Run(name, func(t *testing.T) {
			in := inputs(t)
			out := map[string]string{"lora": "adapter", "full": "model"}[name]
			p.MaxUpdates = 6
			exact := lines(t, newJob(t, in, out).must(t, p)[logFile])
			p.Numerics = "bf16"
			files := newJob(t, in, out).must(t, p)
			rounded := lines(t, files[logFile])
			different := false
			for i := range exact {
				different = different || exact[i].Loss != rounded[i].Loss
				if d := math.Abs(exact[i].Loss - rounded[i].Loss); d > 0.02*exact[i].Loss {
					t.Errorf("update %d: loss %g, in f32 %g", i, rounded[i].Loss, exact[i].Loss)
				}
			}
			if !different {
				t.Error("bf16 gives the losses of f32")
			}
			j := newJob(t, in, out)
			j.task.Threads = 3
			again := j.must(t, p)
			for file, want := range files {
				if again[file] != want {
					t.Errorf("%s differs with the number of threads", file)
				}
			}
		})
	}
}
