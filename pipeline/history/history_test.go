package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

var epoch = time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)

// key returns a key for tests.
func key(n int) pipeline.Key { return pipeline.Key{0xaa, byte(n)} }

func at(step string, f pipeline.Fact) pipeline.Event {
	return pipeline.Event{Time: epoch.Add(2 * time.Second), Step: step, Fact: f}
}

// begin starts a run n seconds after the epoch.
func begin(t *testing.T, h *History, n int) (*Recorder, string) {
	t.Helper()
	started := epoch.Add(time.Duration(n) * time.Second)
	id := NewID(started)
	r, err := h.Begin(id, "/p/a.cue", "bot", "v1", started)
	if err != nil {
		t.Fatal(err)
	}
	return r, id
}

func ran(r *Recorder, step string, k pipeline.Key) {
	r.Event(at(step, pipeline.StepStart{Kind: "train", Key: k, Reason: "never run"}))
	r.Event(at(step, pipeline.StepEnd{
		Status: pipeline.Ran, Key: k.String(), Outputs: map[string]pipeline.Digest{"adapter": {1}},
		Usage: pipeline.Usage{Seconds: 2, CPUSeconds: 3, PeakMemory: 4},
	}))
}

func cached(r *Recorder, step string, k pipeline.Key) {
	r.Event(at(step, pipeline.StepEnd{Status: pipeline.Cached, Key: k.String()}))
}

func open(t *testing.T) *History {
	h := Open(filepath.Join(t.TempDir(), "a dir?#", "history.db"))
	t.Cleanup(func() { h.Close() })
	return h
}

func TestRecordAndQuery(t *testing.T) {
	ctx, h := t.Context(), open(t)
	r, a := begin(t, h, 0)
	ran(r, "lora", key(1))
	r.Log("lora", pipeline.Digest{7})
	r.Event(at("lora", pipeline.Metric{Name: "train/loss", Value: 2.5, At: 1}))
	r.Event(at("lora", pipeline.Metric{Name: "train/loss", Value: math.NaN(), At: 2}))
	r.Event(at("lora", pipeline.Log{Level: "warn", Message: "careful"}))
	r.Event(at("lora", pipeline.Log{Level: "info", Message: "chatter"}))
	r.Event(at("lora", pipeline.Progress{Done: 1}))
	cached(r, "base", key(2))
	r.Event(at("", pipeline.RunEnd{Ran: 1, Cached: 1, Seconds: 2.5}))
	if err := r.Close(0); err != nil {
		t.Fatal(err)
	}

	runs, err := h.Runs(ctx, "", 0)
	want := Run{ID: a, File: "/p/a.cue", Name: "bot", Started: epoch, Seconds: 2.5, Status: Done, Version: "v1", Ran: 1, Cached: 1}
	if err != nil || len(runs) != 1 || runs[0] != want {
		t.Fatalf("runs = %+v, %v", runs, err)
	}
	steps, err := h.Steps(ctx, a)
	if err != nil || len(steps) != 2 {
		t.Fatal(steps, err)
	}
	if s := steps[0]; s.Step != "base" || s.Status != pipeline.Cached || s.Key != key(2).String() {
		t.Errorf("cached step: %+v", s)
	}
	if s := steps[1]; s.Step != "lora" || s.Kind != "train" || s.Why != "never run" || s.Log != (pipeline.Digest{7}) ||
		s.Outputs["adapter"] != (pipeline.Digest{1}) || s.Usage != (pipeline.Usage{Seconds: 2, CPUSeconds: 3, PeakMemory: 4}) {
		t.Errorf("executed step: %+v", s)
	}
	metrics, err := h.Metrics(ctx, a, "lora", "train/loss")
	if err != nil || len(metrics) != 2 || metrics[0].Value != 2.5 || !math.IsNaN(metrics[1].Value) {
		t.Errorf("metrics = %v, %v", metrics, err)
	}
	for i := range metrics {
		if metrics[i].Time.Before(epoch) {
			t.Errorf("metric %d was measured at %s", i, metrics[i].Time)
		}
		metrics[i].Time = time.Time{}
	}
	if b, err := json.Marshal(metrics); err != nil || string(b) != `[{"step":"lora","name":"train/loss","at":1,"value":2.5},{"step":"lora","name":"train/loss","at":2,"value":null}]` {
		t.Errorf("metrics in JSON: %s, %v", b, err)
	}
	messages, err := h.Messages(ctx, a, "")
	if err != nil || len(messages) != 1 || messages[0].Message != "careful" {
		t.Errorf("messages = %v, %v", messages, err)
	}
	if made, err := h.Made(ctx, key(1)); err != nil || made.Run != a {
		t.Errorf("made: %v, %v", made, err)
	}
	if _, err := h.Made(ctx, key(2)); !errors.Is(err, ErrNotFound) {
		t.Errorf("a cached step was made: %v", err)
	}
	if left, _ := os.ReadDir(h.spool()); len(left) != 0 {
		t.Errorf("%d files are left in the spool", len(left))
	}
}

func TestRunByName(t *testing.T) {
	ctx, h := t.Context(), open(t)
	if _, err := h.Run(ctx, "last"); !errors.Is(err, ErrNotFound) {
		t.Errorf("last of none: %v", err)
	}
	var ids []string
	for n := range 3 {
		r, id := begin(t, h, n)
		if err := r.Close(n); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if !slices.IsSorted(ids) {
		t.Errorf("names are not in the order of time: %v", ids)
	}
	for name, want := range map[string]string{"last": ids[2], ids[1]: ids[1], ids[0][:9]: ids[0]} {
		if r, err := h.Run(ctx, name); err != nil || r.ID != want {
			t.Errorf("run %s = %v, %v", name, r, err)
		}
	}
	if _, err := h.Run(ctx, ids[0][:3]); err == nil || !strings.Contains(err.Error(), "3 runs") {
		t.Errorf("ambiguous name: %v", err)
	}
	for _, bad := range []string{"zzz", "", "../x", "' OR 1"} {
		if _, err := h.Run(ctx, bad); !errors.Is(err, ErrNotFound) {
			t.Errorf("run %q: %v", bad, err)
		}
	}
	if runs, err := h.Runs(ctx, "/other.cue", 0); err != nil || len(runs) != 0 {
		t.Errorf("runs of another file: %v, %v", runs, err)
	}
}

func TestKeys(t *testing.T) {
	ctx, h := t.Context(), open(t)
	for n, k := range []int{1, 2, 2, 1, 3} {
		r, _ := begin(t, h, n)
		if n == 2 || n == 3 {
			cached(r, "lora", key(k))
		} else {
			ran(r, "lora", key(k))
		}
		if err := r.Close(0); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := begin(t, h, 9)
	r.Event(at("lora", pipeline.StepStart{Kind: "train", Key: key(8)}))
	r.Event(at("lora", pipeline.StepEnd{Status: pipeline.Failed, Key: key(8).String(), Reason: "boom"}))
	r.Event(at("new", pipeline.StepEnd{Status: pipeline.Skipped}))
	if err := r.Close(1); err != nil {
		t.Fatal(err)
	}
	got := func(es []Earlier, err error) (ks []byte) {
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range es {
			ks = append(ks, e.Key[1])
		}
		return ks
	}
	if ks := got(h.Keys(ctx, "/p/a.cue", "lora", 10)); string(ks) != "\x03\x01\x02" {
		t.Errorf("keys of the step: %v", ks)
	}
	if ks := got(h.Keys(ctx, "/p/a.cue", "lora", 1)); string(ks) != "\x03" {
		t.Errorf("latest key of the step: %v", ks)
	}
	if ks := got(h.Keys(ctx, "/p/b.cue", "lora", 10)); len(ks) != 0 {
		t.Errorf("keys in another file: %v", ks)
	}
	if ks := got(h.KeysOfKind(ctx, "train", 10)); string(ks) != "\x03\x02\x01" {
		t.Errorf("keys of the kind: %v", ks)
	}
	latest, err := h.Latest(ctx, "/p/a.cue")
	if err != nil || len(latest) != 1 || latest["lora"].Key != key(3) {
		t.Errorf("latest = %v, %v", latest, err)
	}
}

func TestDiff(t *testing.T) {
	ctx, h := t.Context(), open(t)
	r, a := begin(t, h, 0)
	ran(r, "same", key(1))
	ran(r, "changed", key(2))
	ran(r, "gone", key(3))
	r.Close(0)
	r, b := begin(t, h, 1)
	cached(r, "same", key(1))
	ran(r, "changed", key(4))
	ran(r, "new", key(5))
	r.Close(0)
	diffs, err := h.Diff(ctx, a, b)
	if err != nil || len(diffs) != 3 {
		t.Fatal(diffs, err)
	}
	if d := diffs[0]; d.Step != "changed" || d.A.Key != key(2).String() || d.B.Key != key(4).String() {
		t.Errorf("%+v", d)
	}
	if diffs[1].B != nil || diffs[2].A != nil {
		t.Errorf("gone and new: %+v", diffs[1:])
	}
}

// A killed process leaves a file without an end, perhaps with half a line.
func TestKilledAndRunning(t *testing.T) {
	ctx, h := t.Context(), open(t)
	r, id := begin(t, h, 0)
	ran(r, "lora", key(1))
	r.Event(at("eval", pipeline.StepStart{Kind: "evaluate", Key: key(2)}))
	r.out.WriteString(`{"event":"metric","ti`)
	r.out.Flush()
	run, err := h.Run(ctx, id)
	if err != nil || run.Status != Running || run.Ran != 1 || run.Exit != -1 {
		t.Fatalf("%+v, %v", run, err)
	}
	r.file.Close() // as the kernel does for a killed process
	for range 2 {
		run, err = h.Run(ctx, id)
		if err != nil || run.Status != Killed || run.Ran != 1 || run.Interrupted != 1 || run.Seconds != 2 {
			t.Fatalf("%+v, %v", run, err)
		}
	}
	steps, err := h.Steps(ctx, id)
	if err != nil || len(steps) != 2 || steps[0].Status != pipeline.Interrupted {
		t.Errorf("%+v, %v", steps, err)
	}
}

func TestHostileSpool(t *testing.T) {
	ctx, h := t.Context(), open(t)
	if err := os.MkdirAll(h.spool(), 0o777); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"bad1.jsonl":   "\x00\xff\n{\n[]\n{\"record\":5}\n{\"event\":\"metric\",\"value\":\"x\"}\n",
		"bad2.jsonl":   `{"record":"end","hits":"../../etc/passwd","exit":0}` + "\n",
		"bad3.jsonl":   strings.Repeat("x", maxLine+5),
		"UP..jsonl":    "",
		"other.txt":    "",
		"bad4.jsonl":   `{"record":"end","hits":"` + pipeline.Digest{}.String() + `","exit":0}`,
		"empty-.jsonl": "",
	} {
		if err := os.WriteFile(filepath.Join(h.spool(), name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	runs, err := h.Runs(ctx, "", 0)
	if err != nil || len(runs) != 4 {
		t.Errorf("%d runs, %v", len(runs), err)
	}
}

// TestOlderDatabase: a history of format 1, whose metrics had no time, is read on.
func TestOlderDatabase(t *testing.T) {
	h := open(t)
	if _, err := h.Runs(t.Context(), "", 0); err != nil {
		t.Fatal(err)
	}
	_, err := h.db.Exec("ALTER TABLE metrics DROP COLUMN time; INSERT INTO metrics VALUES ('r','lora','train/loss',1,2.5); PRAGMA user_version = 1")
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	again := Open(h.path)
	defer again.Close()
	m, err := again.Metrics(t.Context(), "r", "", "")
	if err != nil || len(m) != 1 || m[0].Value != 2.5 || !m[0].Time.IsZero() {
		t.Errorf("metrics of format 1: %+v, %v", m, err)
	}
}

func TestNewerDatabase(t *testing.T) {
	h := open(t)
	if _, err := h.Runs(t.Context(), "", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := h.db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	other := Open(h.path)
	defer other.Close()
	if _, err := other.Runs(t.Context(), "", 0); err == nil || !strings.Contains(err.Error(), "format 99") {
		t.Errorf("newer database: %v", err)
	}
	garbage := open(t)
	os.MkdirAll(filepath.Dir(garbage.path), 0o777)
	os.WriteFile(garbage.path, []byte(strings.Repeat("no database ", 1000)), 0o666)
	if _, err := garbage.Runs(t.Context(), "", 0); err == nil || !strings.Contains(err.Error(), garbage.path) {
		t.Errorf("no database: %v", err)
	}
}

func TestConcurrent(t *testing.T) {
	h := open(t)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			mine := Open(h.path) // as another process would
			defer mine.Close()
			r, err := mine.Begin(NewID(epoch.Add(time.Duration(n)*time.Second)), "/f", "n", "v", epoch)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 5 {
				ran(r, fmt.Sprint("s", i), key(i))
			}
			if _, err := mine.Runs(context.Background(), "", 0); err != nil {
				t.Error(err)
			}
			if err := r.Close(0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	runs, err := h.Runs(t.Context(), "/f", 0)
	if err != nil || len(runs) != 8 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	for _, r := range runs {
		if steps, err := h.Steps(t.Context(), r.ID); err != nil || len(steps) != 5 || r.Status != Done {
			t.Errorf("%+v: %d steps, %v", r, len(steps), err)
		}
	}
}

// BenchmarkNoOp measures the record of a run of 10,000 cached steps.
func BenchmarkNoOp(b *testing.B) {
	h := Open(filepath.Join(b.TempDir(), "history.db"))
	var keys []string
	for n := range 10_000 {
		keys = append(keys, pipeline.Key(pipeline.SumBytes(fmt.Append(nil, n))).String())
	}
	for b.Loop() {
		r, err := h.Begin(NewID(time.Now()), "/p/a.cue", "bot", "v1", epoch)
		if err != nil {
			b.Fatal(err)
		}
		for n, k := range keys {
			r.Event(pipeline.Event{Step: fmt.Sprint("step", n), Fact: pipeline.StepEnd{Status: pipeline.Cached, Key: k}})
		}
		if err := r.Close(0); err != nil {
			b.Fatal(err)
		}
	}
}
