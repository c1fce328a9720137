package train

import (
	"encoding/json"
	"io/fs"
	"os"
	"runtime"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kin"
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

// TestKeptWithin: auto chooses for the memory that the user grants the step,
// where that is less than the machine has; the plan and the step alike.
func TestKeptWithin(t *testing.T) {
	for _, c := range []struct{ limit, available, want int64 }{
		{0, 9, 9}, {0, -1, -1}, {5, 9, 5}, {9, 5, 5}, {5, -1, 5}, {5, 0, 0},
	} {
		if got := within(c.limit, c.available); got != c.want {
			t.Errorf("within(%d, %d) = %d, want %d", c.limit, c.available, got, c.want)
		}
	}
	in, p := inputs(t), loraParams()
	raw, err := json.Marshal(paramsJSON(p))
	if err != nil {
		t.Fatal(err)
	}
	q := &pipeline.EstimateRequest{Params: raw, Inputs: map[string]fs.FS{}, Threads: 1}
	for name, dir := range in {
		q.Inputs[name] = os.DirFS(dir)
	}
	free, err := Kind.Estimate(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	q.Memory = 1 << 20
	tight, err := Kind.Estimate(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if tight.Memory >= free.Memory || tight.FLOPs <= free.FLOPs {
		t.Errorf("with 1 MB %+v, with all there is %+v", tight, free)
	}
	var kept []int
	for _, limit := range []int64{0, 1 << 20} {
		j := newJob(t, in, "adapter")
		j.task.Memory = limit
		kept = append(kept, keptBy(t, j, p))
	}
	if kept[0] != 1 || kept[1] != 0 {
		t.Errorf("%v blocks are kept without a limit and with a low one", kept)
	}
}

// keptBy is how many blocks a trainer of a job keeps.
func keptBy(t *testing.T, j *job, p Params) int {
	t.Helper()
	cfg := mustConfig(t, j.task.In["model"])
	rows, done, err := openRows(t.Context(), cfg, j.task.In["tokens"], "tokens", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	w, err := newWeights(t.Context(), cfg, p, j.task, kin.In(j.task.In["model"]))
	if err != nil {
		t.Fatal(err)
	}
	f, err := planned(cfg, p, j.task, rows, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := newTrainer(cfg, p, j.task, w, rows, nil, f)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	return tr.plan.spec.Keep
}
