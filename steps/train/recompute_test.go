package train

import (
	"runtime"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/decoder"
)

// TestRecomputeChangesNothing but memory and time.
func TestRecomputeChangesNothing(t *testing.T) {
	for name, p := range map[string]Params{"adapter": loraParams(), "model": fullParams()} {
		in := inputs(t)
		p.MaxUpdates = 4
		var want map[string]string
		for _, how := range []string{"all", "none", "auto", ""} {
			p.Recompute = how
			got := newJob(t, in, name).must(t, p)
			if want == nil {
				want = got
			}
			if !equalFiles(got, want) {
				t.Errorf("%s: recompute %q gives other bytes", name, how)
			}
		}
	}
}

// TestKept: auto takes half of what is left, block by block.
func TestKept(t *testing.T) {
	cfg, err := decoder.ReadConfig(tinyModel(t, false))
	if err != nil {
		t.Fatal(err)
	}
	p := loraParams()
	f := forecast{cfg: cfg, p: p}
	if err := f.adapted(); err != nil {
		t.Fatal(err)
	}
	const tokens = 100
	// q and o 32, k and v 16, a sum for each of 4 heads, the stream 32, gate and up 64
	one := valueBytes(cfg, tokens)
	if want := int64(4 * tokens * (2*32 + 2*16 + 4 + 32 + 2*64)); one != want {
		t.Errorf("a block keeps %d bytes, want %d", one, want)
	}
	rest := f.memory(0, tokens)
	for _, c := range []struct {
		how       string
		available int64
		want      int
	}{
		{"all", 1 << 40, 0}, {"none", 0, 2}, {"auto", 1 << 40, 2}, {"auto", rest + 2*one, 1}, {"auto", rest + 2*one - 2, 0},
		{"auto", 0, 0}, {"auto", -1, 0},
	} {
		p.Recompute = c.how
		if got := p.kept(cfg, tokens, c.available); got != c.want {
			t.Errorf("%s with %d bytes: %d blocks, want %d", c.how, c.available, got, c.want)
		}
	}
}

func TestAvailableMemory(t *testing.T) {
	n := availableMemory()
	if runtime.GOOS == "linux" && n < 1<<20 || n < -1 || n > 1<<50 {
		t.Errorf("%d bytes", n)
	}
}
