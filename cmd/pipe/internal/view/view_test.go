package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// manyCached shows a run of 10,000 cached steps.
func manyCached(v View) {
	const steps = 10_000
	v.Event(pipeline.Event{Fact: pipeline.RunStart{Name: "many", Steps: steps}})
	for i := range steps {
		v.Event(pipeline.Event{Step: fmt.Sprint("s", i), Fact: pipeline.StepEnd{Status: pipeline.Cached}})
	}
	v.Event(pipeline.Event{Fact: pipeline.RunEnd{Cached: steps, Seconds: 0.1}})
	v.Close()
}

// What 10,000 cached steps print is bounded.
func TestManyCached(t *testing.T) {
	var b bytes.Buffer
	manyCached(Plain(&b, &b))
	if b.String() != "many: 10000 cached in 100ms\n" {
		t.Errorf("%d bytes: %.200s", b.Len(), b.Bytes())
	}
}

// Errors go to the second writer, everything else to the first.
func TestPlainErrors(t *testing.T) {
	var out, errs bytes.Buffer
	v := Plain(&out, &errs)
	v.Event(pipeline.Event{Step: "a", Fact: pipeline.StepStart{Reason: "never run"}})
	v.Event(pipeline.Event{Step: "a", Fact: pipeline.Retry{Attempt: 1, Message: "reset", Delay: 1.5}})
	v.Event(pipeline.Event{Step: "a", Fact: pipeline.Log{Level: "info", Message: "silent"}})
	v.Event(pipeline.Event{Step: "a", Fact: pipeline.Log{Level: "warn", Message: "odd"}})
	v.Event(pipeline.Event{Step: "a", Fact: pipeline.Trouble{Problem: pipeline.Problem{Message: "broken", Hint: "mend it"}}})
	v.Event(pipeline.Event{Step: "a", Fact: pipeline.StepEnd{Status: pipeline.Failed}})
	want := "a  running: never run\na  attempt 1 failed: reset; trying again in 1.5s\na  warn: odd\na  failed\n"
	if out.String() != want {
		t.Errorf("printed\n%swant\n%s", out.String(), want)
	}
	if errs.String() != "broken\n\tmend it\n" {
		t.Errorf("errors: %q", errs.String())
	}
}

// Progress is repeated every few seconds, with the loss.
func TestPlainProgress(t *testing.T) {
	var out bytes.Buffer
	v := Plain(&out, &out)
	start := time.Unix(0, 0)
	for i := range 12 {
		at := start.Add(time.Duration(i) * time.Second)
		v.Event(pipeline.Event{Time: at, Step: "lora", Fact: pipeline.Metric{Name: "train/loss", Value: 3 - float64(i)/10}})
		v.Event(pipeline.Event{Time: at, Step: "lora", Fact: pipeline.Progress{Done: int64(i), Total: 12, Unit: "updates"}})
	}
	if want := "lora  5 of 12 updates  loss 2.5000\nlora  10 of 12 updates  loss 2.0000\n"; out.String() != want {
		t.Errorf("printed\n%swant\n%s", out.String(), want)
	}
}

// A running training is watched by its loss, rate, gradients and speed.
func TestMetricsText(t *testing.T) {
	got := metricsText(map[string]float64{
		"train/loss": 2.5, "train/learningRate": 2e-4, "train/gradNorm": 1.25, "train/tokensPerSecond": 812.4, "train/mfu": 0.634, "tokenize/rows": 7,
	})
	if want := "loss 2.5000  lr 2.00e-04  norm 1.25  812 tokens/s  MFU 63 %"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := metricsText(nil); got != "" {
		t.Errorf("nothing measured: %q", got)
	}
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	v := JSON(&out)
	v.Event(pipeline.Event{Step: "a", Fact: pipeline.StepEnd{Status: pipeline.Ran, Outputs: map[string]pipeline.Digest{}}})
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got["event"] != "step-end" || got["status"] != "ran" {
		t.Errorf("%s, %v", out.String(), err)
	}
}

func TestNumbers(t *testing.T) {
	for got, want := range map[string]string{
		Duration(0.0123): "12ms", Duration(1.25): "1.2s", Duration(125.4): "2m5s",
		Bytes(999): "999 B", Bytes(1000): "1 kB", Bytes(1_234_567): "1.23 MB", Bytes(999_600): "1 MB", Bytes(5e15): "5e+03 TB",
		Count(999, "FLOP"): "999 FLOP", Count(1.2e9, "FLOP"): "1.2 GFLOP", Count(450_000, ""): "450 k",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
