package train

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// tinyPairs writes n pairs of documents that begin alike: in the better one each
// id is the one before it plus three, in the worse one plus five.
func tinyPairs(t *testing.T, n int) string {
	t.Helper()
	var rows []dataset.Row
	r := rand.New(rand.NewPCG(3, 9))
	for range n {
		var row dataset.Row
		first := int32(r.IntN(48))
		for _, step := range []int32{3, 5} {
			id := first
			for p := range 5 + r.IntN(5) {
				label := int64(id)
				if p < 2 {
					label = dataset.Unsupervised
				}
				row.InputIDs, row.Labels = append(row.InputIDs, id), append(row.Labels, label)
				row.AttentionMask, row.PositionIDs = append(row.AttentionMask, 1), append(row.PositionIDs, int32(p))
				if p > 0 {
					id = (id + step) % 48
				}
			}
		}
		rows = append(rows, row)
	}
	dir := writeTokens(t, rows, true)
	if err := artifact.Write(dir, artifact.Provenance{Type: pipeline.TypeTokens, Pairs: true}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func pairInputs(t *testing.T) map[string]string {
	return map[string]string{"model": tinyModel(t, false), "tokens": tinyPairs(t, 30), "validation": tinyPairs(t, 7)}
}

func preferParams(objective string) Params {
	p := loraParams()
	p.Objective, p.MaxUpdates = objective, 30
	return p
}

// TestPreferenceIsLearnt: the better answers win in the end, in training and in
// validation, with an adapter and with all weights.
func TestPreferenceIsLearnt(t *testing.T) {
	in := pairInputs(t)
	for _, objective := range []string{objectiveDPO, objectiveORPO} {
		for _, method := range []string{"lora", "full"} {
			p, out := preferParams(objective), "adapter"
			if method == "full" {
				p, out = fullParams(), "model"
				p.Objective, p.MaxUpdates, p.LearningRate = objective, 30, 3e-3
			}
			got := newJob(t, in, out).must(t, p)[logFile]
			u := lines(t, got)
			last := u[len(u)-1]
			if u[0].RewardAccuracy == nil || last.RewardAccuracy == nil || *last.RewardAccuracy < 0.95 || !(last.Loss < u[0].Loss) {
				t.Errorf("%s, %s: loss %g to %g, %v", objective, method, u[0].Loss, last.Loss, last.RewardAccuracy)
			}
			if objective == objectiveDPO && math.Abs(u[0].Loss-math.Ln2) > 1e-6 {
				t.Errorf("%s, %s: the loss at the reference is %g, not log 2", objective, method, u[0].Loss)
			}
			if !strings.Contains(got, `"validationAccuracy":`) {
				t.Errorf("%s, %s: no accuracy of validation", objective, method)
			}
		}
	}
}

// TestPreferenceIsSteady: threads, microbatches, an interruption and a reference
// from the cache change nothing.
func TestPreferenceIsSteady(t *testing.T) {
	in := pairInputs(t)
	p := preferParams(objectiveDPO)
	p.DPO = &DPO{Beta: 0.3, Smoothing: 0.1}
	p.MaxUpdates = 6
	want := newJob(t, in, "adapter").must(t, p)

	one := newJob(t, in, "adapter")
	one.task.Threads = 1
	if !equalFiles(one.must(t, p), want) {
		t.Error("one thread gives other bytes than two")
	}

	cut := newJob(t, in, "adapter")
	ctx, cancel := context.WithCancel(t.Context())
	cut.stop = func(f pipeline.Fact) {
		if m, ok := f.(pipeline.Metric); ok && m.Name == "train/loss" && m.At == 3 {
			cancel()
		}
	}
	if err := cut.train(ctx, p); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if !equalFiles(cut.must(t, p), want) {
		t.Error("an interruption gives other bytes")
	}

	d := drawer{t.TempDir()}
	for range 2 { // computed, then found
		if !equalFiles(withPieces(t, in, "adapter", d).must(t, p), want) {
			t.Error("a reference from the cache gives other bytes")
		}
	}

	small := p
	small.BatchSize, small.GradientAccumulation = 1, 8
	a, b := lines(t, want[logFile]), lines(t, newJob(t, in, "adapter").must(t, small)[logFile])
	for i := range a {
		if math.Abs(a[i].Loss-b[i].Loss) > 1e-5*a[i].Loss {
			t.Errorf("update %d: loss %g in one microbatch, %g in eight", i+1, a[i].Loss, b[i].Loss)
		}
	}
}

// TestObjectiveMistakes: pairs and rows are not taken for each other, by the
// plan either.
func TestObjectiveMistakes(t *testing.T) {
	pairs, plain := pairInputs(t), inputs(t)
	half := tinyPairs(t, 2)
	rows := []dataset.Row{{
		InputIDs: []int32{1, 2, 3}, AttentionMask: []int8{1, 1, 1}, Labels: []int64{1, 2, 3}, PositionIDs: []int32{0, 1, 2},
	}}
	broken := writeTokens(t, rows, true)
	if err := artifact.Write(broken, artifact.Provenance{Type: pipeline.TypeTokens, Pairs: true}); err != nil {
		t.Fatal(err)
	}
	with := func(objective string, change func(*Params)) Params {
		p := preferParams(objective)
		if change != nil {
			change(&p)
		}
		return p
	}
	for _, c := range []struct {
		in    map[string]string
		p     Params
		field string
		want  string
	}{
		{pairs, with("", nil), "in.tokens", "the worse answer"},
		{plain, with(objectiveDPO, nil), "in.tokens", "are no pairs"},
		{map[string]string{"model": pairs["model"], "tokens": half, "validation": plain["tokens"]}, with(objectiveORPO, nil), "in.validation", "are no pairs"},
		{map[string]string{"model": pairs["model"], "tokens": broken}, with(objectiveORPO, nil), "in.tokens", "row 0: it holds 1 documents, not a pair"},
		{pairs, with("rlhf", nil), "objective", "is not sft, dpo or orpo"},
		{pairs, with(objectiveORPO, func(p *Params) { p.DPO = &DPO{Beta: 1} }), "dpo", "only the objective dpo"},
		{pairs, with(objectiveDPO, func(p *Params) { p.ORPO = &ORPO{Lambda: 1} }), "orpo", "only the objective orpo"},
		{pairs, with(objectiveDPO, func(p *Params) { p.DPO = &DPO{} }), "dpo.beta", "not above 0"},
		{pairs, with(objectiveDPO, func(p *Params) { p.DPO = &DPO{Beta: 1, Smoothing: 0.5} }), "dpo.smoothing", "below 0.5"},
		{pairs, with(objectiveORPO, func(p *Params) { p.ORPO = &ORPO{} }), "orpo.lambda", "not above 0"},
	} {
		_, planned := forecastOf(t, c.in, c.p)
		for _, err := range []error{planned, newJob(t, c.in, "adapter").train(t.Context(), c.p)} {
			var field *pipeline.FieldError
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			} else if !errors.As(err, &field) || field.Field != c.field {
				t.Errorf("%v is not at %s", err, c.field)
			}
		}
	}
}
