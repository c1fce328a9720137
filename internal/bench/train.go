package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

//go:embed peer/peft_train.py
var peftSource string

const (
	// trainRows rows of trainLength tokens are a batch; the later half of each is supervised.
	trainRows, trainLength = 8, 512
	// trainRounds is how many updates are timed: one takes seconds.
	trainRounds = 5
	// python is the interpreter that make interop installs the peers for.
	python = "interop/.venv/bin/python"
)

// A trainMode is one way to fine-tune that pipe and PEFT have in common.
type trainMode struct {
	name   string
	peer   string         // as peft_train.py calls it
	params map[string]any // of pipe
	model  string         // folder in the lab
	speed  float64        // budget on the ratio of supervised tokens per second
}

var trainModes = []trainMode{
	{name: "f32", peer: "f32", model: "smollm2-135m", speed: 2},
	{name: "bf16", peer: "bf16", model: "smollm2-135m", params: map[string]any{"numerics": "bf16"}, speed: 3},
	{name: "nf4", peer: "nf4", model: "smollm2-135m-nf4", speed: 3},
}

// trains measures a LoRA update of a model of SmolLM2-135M's shape, rank 16 on
// all linears, beside PyTorch with PEFT on the same rows from the same adapter.
func trains(l *lab) []Result {
	if err := l.trainInputs(); err != nil {
		return []Result{missing("train/lora/smollm2-135m/f32", "supervised tokens/s", "higher", "PyTorch + PEFT", err)}
	}
	slow := *l
	slow.rounds = min(l.rounds, trainRounds)
	var results []Result
	told := func(more ...Result) { // at once: the group takes a quarter of an hour
		for _, r := range more {
			results = append(results, r)
			table(os.Stderr, []Result{r.judge()})
		}
	}
	for _, m := range trainModes {
		told(slow.trainBeside(m)...)
	}
	told(slow.trainShare("f32"))
	told(slow.trainShare("bf16"))
	told(slow.trainThreads())
	told(slow.trainLean())
	told(slow.trainWithin("smollm2-135m", trainRows))
	told(slow.trainWithin("llama-3.2-1b", 1))
	return results
}

// trainInputs builds the program, the model, its 4-bit twin and the adapter
// that all trainings start from.
func (l *lab) trainInputs() error {
	if err := build(l.path("trainbench"), "./steps/train/trainbench"); err != nil {
		return err
	}
	dir := l.path("smollm2-135m")
	if err := l.run(l.path("trainbench"), "make", "smollm2-135m", dir, fmt.Sprint(trainRows), fmt.Sprint(trainLength)); err != nil {
		return err
	}
	if err := l.quantized("smollm2-135m"); err != nil {
		return err
	}
	// The first update of a warm-up has rate 0: it leaves the adapter as it was made.
	s, err := l.trainer("smollm2-135m", "one", "start", 1, map[string]any{"maxUpdates": 1, "warmup": 1})
	if err != nil {
		return err
	}
	defer s.close()
	_, err = s.ask("update")
	return err
}

func (l *lab) run(args ...string) error {
	_, err := l.cmd(".", args...).time()
	return err
}

// quantized lets pipe quantize the model of a folder into that of a twin.
func (l *lab) quantized(name string) error {
	twin := name + "-nf4"
	pipeline := fmt.Sprintf(`name: "bench"
steps: {
	base: {kind: "fetch", as: "model", source: file: path: %q}
	small: {kind: "quantize", in: model: steps.base.out.model, scheme: "nf4"}
}`, l.path(name+"/model"))
	if err := l.write(twin+"/quantize.cue", pipeline); err != nil {
		return err
	}
	file := l.path(twin + "/quantize.cue")
	if err := l.run(l.pipe, "run", file); err != nil {
		return err
	}
	if err := l.run(l.pipe, "get", file, "small", l.path(twin+"/model")); err != nil {
		return err
	}
	return os.Symlink(l.path(name+"/tokens"), l.path(twin+"/tokens"))
}

// trainer starts pipe's training of the model in a folder of the lab.
func (l *lab) trainer(model, tokens, out string, threads int, more map[string]any) (*server, error) {
	params := map[string]any{
		"method": "lora", "lora": map[string]any{"rank": 16, "alpha": 32, "targets": "all-linear"},
		"maxUpdates": 1000000, "batchSize": trainRows, "gradientAccumulation": 1,
		"learningRate": 2e-4, "schedule": "constant", "warmup": 0,
		"weightDecay": 0, "betas": []float64{0.9, 0.999}, "epsilon": 1e-8, "maxGradNorm": 1,
		"seed": 42, "numerics": "f32",
	}
	maps.Copy(params, more)
	raw, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	return serve(l.path("trainbench"), "train", l.path(model+"/model"), l.path(model+"/"+tokens), l.path(out), fmt.Sprint(threads), string(raw))
}

// peft starts the peer on the same.
func (l *lab) peft(model, mode string, threads int) (*server, error) {
	if _, err := os.Stat(python); err != nil {
		return nil, errors.New("PyTorch and PEFT are not installed (make interop installs them)")
	}
	if err := l.write("peft_train.py", peftSource); err != nil {
		return nil, err
	}
	interpreter, err := filepath.Abs(python)
	if err != nil {
		return nil, err
	}
	os.Setenv("HF_HUB_OFFLINE", "1")
	return serve(interpreter, "-W", "ignore", l.path("peft_train.py"),
		l.path(model+"/model"), l.path(model+"/tokens"), l.path("start/adapter"), fmt.Sprint(threads), mode)
}

// supervised is how many tokens of a batch are.
const supervised = trainRows * trainLength / 2

// trainBeside measures speed and memory of one mode, with the options that a
// user gets who chooses none.
func (l *lab) trainBeside(m trainMode) []Result {
	speed := Result{
		Name: "train/lora/smollm2-135m/" + m.name, Unit: "supervised tokens/s", Better: "higher",
		Reference: "PyTorch + PEFT " + m.peer, Budget: m.speed, BudgetOn: "ratio",
	}
	memory := Result{
		Name: "memory/lora/smollm2-135m/" + m.name, Unit: "MB", Better: "lower",
		Reference: speed.Reference, Budget: 0.5, BudgetOn: "ratio",
	}
	fail := func(err error) []Result {
		speed.Note, memory.Note = err.Error(), err.Error()
		return []Result{speed, memory}
	}
	threads := runtime.NumCPU()
	ours, err := l.trainer(m.model, "tokens", "out-"+m.name, threads, m.params)
	if err != nil {
		return fail(err)
	}
	defer ours.kill()
	theirs, err := l.peft(m.model, m.peer, threads)
	if err != nil {
		if t, alone := l.alone(ours.update); alone == nil {
			err = fmt.Errorf("%.4g tokens/s; %w", supervised/t, err)
		}
		return fail(err)
	}
	defer theirs.kill()
	a, b, ratio, err := l.pair(ours.update, theirs.update)
	if err != nil {
		return fail(err)
	}
	speed.Value, speed.ReferenceValue, speed.Ratio = supervised/a, supervised/b, 1/ratio
	mine, err := ours.ask("memory")
	if err != nil {
		return fail(err)
	}
	peers, err := theirs.ask("memory")
	if err != nil {
		return fail(err)
	}
	memory.Value, memory.ReferenceValue, memory.Ratio = mine/1e6, peers/1e6, mine/peers
	return []Result{speed, memory}
}

// trainThreads measures what all cores do beside one.
func (l *lab) trainThreads() Result {
	n := runtime.NumCPU()
	r := Result{
		Name: fmt.Sprintf("train/lora/smollm2-135m/f32/%d-threads", n), Unit: "supervised tokens/s", Better: "higher",
		Reference: "one thread", Budget: 0.925 * float64(n), BudgetOn: "ratio",
	}
	many, err := l.trainer("smollm2-135m", "tokens", "out-many", n, nil)
	if err != nil {
		r.Note = err.Error()
		return r
	}
	defer many.kill()
	one, err := l.trainer("smollm2-135m", "tokens", "out-one", 1, nil)
	if err != nil {
		r.Note = err.Error()
		return r
	}
	defer one.kill()
	a, b, ratio, err := l.pair(many.update, one.update)
	if err != nil {
		r.Note = err.Error()
		return r
	}
	r.Value, r.ReferenceValue, r.Ratio = supervised/a, supervised/b, 1/ratio
	return r
}

// trainLean measures memory where both sides recompute activations.
func (l *lab) trainLean() Result {
	r := Result{
		Name: "memory/lora/smollm2-135m/f32/recompute", Unit: "MB", Better: "lower",
		Reference: "PyTorch + PEFT f32, gradient checkpointing", Budget: 0.5, BudgetOn: "ratio",
	}
	peak := func(s *server, err error) (float64, error) {
		if err != nil {
			return 0, err
		}
		defer s.kill()
		for range 2 {
			if _, err := s.update(); err != nil {
				return 0, err
			}
		}
		return s.ask("memory")
	}
	threads := runtime.NumCPU()
	mine, err := peak(l.trainer("smollm2-135m", "tokens", "out-lean", threads, map[string]any{"recompute": "all"}))
	if err != nil {
		r.Note = err.Error()
		return r
	}
	peers, err := peak(l.peft("smollm2-135m", "f32-checkpointing", threads))
	if err != nil {
		r.Note = strings.TrimSpace(fmt.Sprintf("%.4g MB; %v", mine/1e6, err))
		return r
	}
	r.Value, r.ReferenceValue, r.Ratio = mine/1e6, peers/1e6, mine/peers
	return r
}
