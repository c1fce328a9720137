package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// A childReport is the last thing a child says: how its step ended.
type childReport struct {
	Event       string `json:"event"` // "child-end"
	Error       string `json:"error,omitempty"`
	Field       string `json:"field,omitempty"` // the parameter to blame
	Hint        string `json:"hint,omitempty"`
	Interrupted bool   `json:"interrupted,omitempty"`
}

func (r *childReport) err() error {
	switch {
	case r.Interrupted:
		return context.Canceled
	case r.Error == "":
		return nil
	case r.Field != "":
		return &pipeline.FieldError{Field: r.Field, Err: errors.New(r.Error), Hint: r.Hint}
	}
	return errors.New(r.Error)
}

// Streams are what a child speaks through.
type Streams struct {
	Events  io.WriteCloser // events as JSON lines
	Control io.Reader      // see obey; nil for none
	Log     io.Writer
}

// LocalStreams returns the streams of a child started by Local: descriptors 3
// and 4, closed to its own children, and stderr.
func LocalStreams() Streams {
	return Streams{Events: Inherited(3, "events"), Control: Inherited(4, "control"), Log: os.Stderr}
}

// lateGC, in the environment of a child, keeps the first collection of garbage
// until after its start: our dependencies make tables of 4 MB there, which is
// as much as Go starts with, and collecting then takes as long as all the rest.
const lateGC = "GOGC=400"

// usualGC takes lateGC back, so that neither the step nor programs that it
// runs know of it.
func usualGC() {
	os.Unsetenv("GOGC")
	debug.SetGCPercent(100)
}

// Child runs the step that was prepared in dir and returns the exit code of
// the process: 0, or 1 for a failed step.
func Child(ctx context.Context, dir string, kinds pipeline.Kinds, s Streams) int {
	usualGC()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &eventWriter{w: s.Events}
	parts := newPieces(dir, w)
	if s.Control != nil {
		go obey(s.Control, cancel, parts.answer)
	}
	err := runStep(ctx, dir, kinds, w, parts, s.Log)
	report := childReport{Event: "child-end"}
	var field *pipeline.FieldError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		report.Interrupted, report.Error = true, err.Error()
	case errors.As(err, &field):
		report.Field, report.Error, report.Hint = field.Field, field.Err.Error(), field.Hint
	default:
		report.Error = err.Error()
	}
	report.Error, report.Hint = clip(report.Error), clip(report.Hint)
	w.write(report)
	s.Events.Close()
	if err != nil {
		return 1
	}
	return 0
}

func runStep(ctx context.Context, dir string, kinds pipeline.Kinds, w *eventWriter, parts *pieces, log io.Writer) (err error) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(log, "ERROR panic: %v\n%s", r, debug.Stack())
			err = fmt.Errorf("internal error: %v (its log has the stack; please report it)", r)
		}
	}()
	sp, err := readSpec(dir)
	if err != nil {
		return err
	}
	kind, ok := kinds[sp.Kind]
	if !ok || kind.Version != sp.Version {
		return fmt.Errorf("this pipe has no kind %s, version %d", sp.Kind, sp.Version)
	}
	if kind.Garbage > 0 {
		debug.SetGCPercent(kind.Garbage)
	}
	step, err := kind.New(sp.Params)
	if err != nil {
		return err
	}
	t := task(dir, sp, w, log)
	if sp.Pieces {
		t.Pieces = parts
	}
	if err := confine(dir, kind); err != nil {
		t.Log.Warn("running unconfined", "reason", err)
	}
	return step.Run(ctx, t)
}

// maxSpec bounds a spec.json, in bytes.
const maxSpec = 64 << 20

func readSpec(dir string) (sp spec, err error) {
	f, err := os.Open(filepath.Join(dir, specFile))
	if err != nil {
		return sp, err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxSpec)).Decode(&sp); err != nil {
		return sp, fmt.Errorf("reading %s: %w", specFile, err)
	}
	return sp, nil
}

func task(dir string, sp spec, w *eventWriter, log io.Writer) *pipeline.Task {
	secrets := map[string]string{}
	for _, name := range sp.Secrets {
		if v, ok := os.LookupEnv(name); ok {
			secrets[name] = v
			os.Unsetenv(name)
		}
	}
	t := &pipeline.Task{
		In: map[string]string{}, Out: map[string]string{}, Digests: sp.Digests,
		Tmp: filepath.Join(dir, tmpDir), State: filepath.Join(dir, stateDir),
		Pin: sp.Pin, Downloads: sp.Downloads, Threads: max(1, sp.Threads), Memory: sp.Memory,
		Secret: func(name string) (string, bool) { v, ok := secrets[name]; return v, ok },
		Log:    slog.New(&lineHandler{w: log}),
		Emit:   func(f pipeline.Fact) { w.write(pipeline.Event{Time: time.Now(), Fact: f}) },
	}
	for name := range sp.Inputs {
		t.In[name] = filepath.Join(dir, inDir, name)
	}
	for name := range sp.Outputs {
		t.Out[name] = filepath.Join(dir, outDir, name)
	}
	return t
}

// maxError bounds what an error of a child may say, in bytes.
const maxError = 64 << 10

// clip cuts what is too long to be read.
func clip(s string) string {
	if len(s) <= maxError {
		return s
	}
	return strings.ToValidUTF8(s[:maxError], "") + "…"
}

// An eventWriter writes JSON lines, one goroutine at a time.
type eventWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *eventWriter) write(v any) {
	b, err := json.Marshal(v)
	if err == nil && len(b) >= maxEventLine {
		err = fmt.Errorf("it has %d bytes; an event has at most %d", len(b), maxEventLine)
	}
	if err != nil { // a mistake of the step, not worth a run, but worth a word
		lost := pipeline.Log{Level: "warn", Message: "an event was lost: " + err.Error()}
		b, _ = json.Marshal(pipeline.Event{Time: time.Now(), Fact: lost})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.w.Write(append(b, '\n'))
}

// A lineHandler logs "LEVEL message key=value …" without a time, so that logs
// of equal runs are equal.
type lineHandler struct {
	mu    sync.Mutex
	w     io.Writer
	attrs []slog.Attr
}

func (h *lineHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s", r.Level, r.Message)
	add := func(a slog.Attr) bool { fmt.Fprintf(&b, " %s=%v", a.Key, a.Value); return true }
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(b.Bytes())
	return err
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &lineHandler{w: h.w, attrs: append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

func (h *lineHandler) WithGroup(string) slog.Handler { return h }
