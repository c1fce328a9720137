package train

import (
	"os"
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

// TestKept: auto takes half of what is left, block by block; the last block
// keeps its values in any case.
func TestKept(t *testing.T) {
	in := inputs(t)
	cfg, err := decoder.ReadConfig(in["model"])
	if err != nil {
		t.Fatal(err)
	}
	rows, err := rowsOf(t.Context(), cfg, os.DirFS(in["tokens"]), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := loraParams()
	f, err := newForecast(cfg, p, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.about(rows, nil, 1)
	rest := f.memory()
	more := *f
	more.spec.Keep = 1
	one := more.memory() - rest
	for _, c := range []struct {
		how       string
		available int64
		want      int
	}{
		{"all", 1 << 40, 0}, {"none", 0, 2}, {"auto", 1 << 40, 1}, {"auto", rest + 2*one, 1}, {"auto", rest + 2*one - 2, 0},
		{"auto", 0, 0}, {"auto", -1, 0},
	} {
		f.p.Recompute = c.how
		if got := f.keep(c.available); got != c.want {
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
