package train

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// validations returns the lines of measurements, and the last line if it is of
// the other kind.
func validations(t *testing.T, jsonl string) (all []validationLine, end endLine) {
	t.Helper()
	for l := range strings.Lines(jsonl) {
		switch {
		case strings.Contains(l, "keptUpdate"):
			if err := json.Unmarshal([]byte(l), &end); err != nil {
				t.Fatal(err)
			}
		case strings.Contains(l, "validationLoss"):
			var v validationLine
			if err := json.Unmarshal([]byte(l), &v); err != nil {
				t.Fatal(err)
			}
			all = append(all, v)
		}
	}
	return all, end
}

// overfit is a training whose validation loss falls and then rises: 6 rows
// against others of the same rule.
func overfit(t *testing.T) (map[string]string, Params) {
	rows := func(starts ...int32) (rows []dataset.Row) {
		for _, start := range starts {
			var row dataset.Row
			for i := range int32(8) {
				id := (start + 3*i) % 48
				row.InputIDs, row.Labels = append(row.InputIDs, id), append(row.Labels, int64(id))
				row.AttentionMask = append(row.AttentionMask, 1)
			}
			rows = append(rows, row)
		}
		return rows
	}
	in := map[string]string{
		"model": tinyModel(t, false), "tokens": writeTokens(t, rows(0, 10, 20, 32, 5, 15), false),
		"validation": writeTokens(t, rows(6, 16, 25, 37, 44), false),
	}
	p := fullParams()
	p.BatchSize, p.MaxUpdates, p.LearningRate, p.Schedule, p.Warmup = 2, 40, 5e-3, "constant", Span{}
	p.ValidateEvery = 3
	return in, p
}

func TestValidateEvery(t *testing.T) {
	in, p := overfit(t)
	p.MaxUpdates, p.ValidateEvery = 10, 4
	got, end := validations(t, newJob(t, in, "model").must(t, p)[logFile])
	if len(got) != 3 || got[0].Update != 4 || got[1].Update != 8 || got[2].Update != 10 || end != (endLine{}) {
		t.Errorf("measured %+v, end %+v", got, end)
	}
}

// TestKeepBest: what comes out is what a training of that length gives.
func TestKeepBest(t *testing.T) {
	in, p := overfit(t)
	p.Keep = keepBest
	j := newJob(t, in, "model")
	files := j.must(t, p)
	all, end := validations(t, files[logFile])
	best := 0
	for i, v := range all {
		if v.ValidationLoss < all[best].ValidationLoss {
			best = i
		}
	}
	if best == 0 || best == len(all)-1 {
		t.Fatalf("the validation loss does not fall and rise: %+v", all)
	}
	if end.KeptUpdate != all[best].Update || end.KeptLoss != all[best].ValidationLoss || end.StoppedAfter != 0 {
		t.Errorf("end %+v, the best is %+v", end, all[best])
	}
	if left, _ := os.ReadDir(j.task.State); len(left) != 1 {
		t.Errorf("left in state: %v", left)
	}
	p.Keep, p.MaxUpdates = "", end.KeptUpdate
	if newJob(t, in, "model").must(t, p)["model.safetensors"] != files["model.safetensors"] {
		t.Error("the weights are not those after that update")
	}
}

func TestEarlyStopping(t *testing.T) {
	in, p := overfit(t)
	all, _ := validations(t, newJob(t, in, "model").must(t, p)[logFile])
	p.EarlyStopping = &EarlyStopping{Patience: 2}
	stale, want := 0, 0
	for i, low := 0, math.Inf(1); i < len(all) && stale < 2; i++ {
		if all[i].ValidationLoss < low {
			low, stale = all[i].ValidationLoss, 0
		} else {
			stale++
		}
		want = all[i].Update
	}
	files := newJob(t, in, "model").must(t, p)
	got, end := validations(t, files[logFile])
	if want == p.MaxUpdates || end.StoppedAfter != want || end.KeptUpdate != want || got[len(got)-1].Update != want {
		t.Errorf("stopped after %+v, want %d of %d", end, want, p.MaxUpdates)
	}
	if n := len(lines(t, files[logFile])); n != want {
		t.Errorf("%d updates in the log, want %d", n, want)
	}
}

// TestMinDelta: small steps down do not reset patience, together they do.
func TestMinDelta(t *testing.T) {
	var s standing
	for i, c := range []struct {
		loss  float64
		stale int
		best  bool
	}{{5, 0, true}, {4.95, 1, true}, {4.9, 2, true}, {4.85, 0, true}, {4.86, 1, false}, {4.7, 0, true}} {
		if best := s.note(i+1, c.loss, 0.12); s.Stale != c.stale || best != c.best {
			t.Errorf("after %g: %+v, best %v", c.loss, s, best)
		}
	}
	if s.Best != 6 || s.Loss != 4.7 {
		t.Errorf("%+v", s)
	}
}
