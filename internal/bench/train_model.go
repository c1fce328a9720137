package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"runtime"
)

// trainFacts are what trainbench tells about a training.
type trainFacts struct {
	FLOPs    float64 `json:"flops"`
	Products []struct{ M, N, K, Times int }
	Memory   float64 `json:"memory"`
}

func (l *lab) trainFacts(model string, rows int) (f trainFacts, err error) {
	out, err := exec.Command(l.path("trainbench"), "about", l.path(model+"/model"), fmt.Sprint(rows), fmt.Sprint(trainLength), "16").Output()
	if err == nil {
		err = json.Unmarshal(out, &f)
	}
	return f, err
}

// trainShare measures what part of the rate of its own matrix products a whole
// update reaches: its FLOPs by its time, beside the FLOPs of its products with
// frozen matrices by the time that those take alone.
func (l *lab) trainShare(numerics string) Result {
	r := Result{
		Name: "train/lora/smollm2-135m/" + numerics + "/gemm-share", Unit: "GFLOP/s", Better: "higher",
		Reference: "its products alone", Budget: map[string]float64{"f32": 0.7, "bf16": 0.5}[numerics], BudgetOn: "ratio",
	}
	fail := func(err error) Result { r.Note = err.Error(); return r }
	threads := runtime.NumCPU()
	facts, err := l.trainFacts("smollm2-135m", trainRows)
	if err != nil {
		return fail(err)
	}
	program, how := "gemmbench", "use"
	if numerics == "bf16" {
		program, how = "bf16bench", "packed"
	}
	if err := build(l.path(program), "./steps/internal/tensor/"+program); err != nil {
		return fail(err)
	}
	products, err := serve(l.path(program))
	if err != nil {
		return fail(err)
	}
	defer products.close()
	alone := func() (rate float64, err error) {
		var flops, seconds float64
		for _, p := range facts.Products {
			t, err := products.ask(fmt.Sprintf("%s %d %d %d %d", how, threads, p.M, p.N, p.K))
			if err != nil {
				return 0, err
			}
			flops += 2 * float64(p.Times) * float64(p.M) * float64(p.N) * float64(p.K)
			seconds += float64(p.Times) * t
		}
		return flops / seconds, nil
	}
	updates, err := l.trainer("smollm2-135m", "tokens", "out-share-"+numerics, threads, map[string]any{"numerics": numerics, "recompute": "none"})
	if err != nil {
		return fail(err)
	}
	defer updates.kill()
	a, b, ratio, err := l.pair(func() (float64, error) {
		t, err := updates.update()
		return facts.FLOPs / t, err
	}, alone)
	if err != nil {
		return fail(err)
	}
	r.Value, r.ReferenceValue, r.Ratio = a/1e9, b/1e9, ratio
	return r
}

// trainWithin measures the peak of QLoRA beside what DESIGN allows: 1.15 times
// what must be held, and 64 MB.
func (l *lab) trainWithin(shape string, rows int) Result {
	r := Result{
		Name: "memory/qlora/" + shape, Unit: "MB", Better: "lower",
		Reference: "1.15 × what must be held + 64 MB", Budget: 1, BudgetOn: "ratio",
	}
	fail := func(err error) Result { r.Note = err.Error(); return r }
	if shape != "smollm2-135m" {
		if err := l.run(l.path("trainbench"), "make", shape, l.path(shape), fmt.Sprint(rows), fmt.Sprint(trainLength)); err != nil {
			return fail(err)
		}
		if err := l.quantized(shape); err != nil {
			return fail(err)
		}
	}
	facts, err := l.trainFacts(shape+"-nf4", rows)
	if err != nil {
		return fail(err)
	}
	s, err := l.trainer(shape+"-nf4", "tokens", "out-within", runtime.NumCPU(), map[string]any{"recompute": "all", "batchSize": rows})
	if err != nil {
		return fail(err)
	}
	defer s.kill()
	for range 2 {
		if _, err := s.update(); err != nil {
			return fail(err)
		}
	}
	peak, err := s.ask("memory")
	if err != nil {
		return fail(err)
	}
	r.Value, r.ReferenceValue, r.Ratio = peak/1e6, facts.Memory/1e6, peak/facts.Memory
	return r
}
