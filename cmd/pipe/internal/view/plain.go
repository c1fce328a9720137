package view

import (
	"fmt"
	"io"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// many is the number of steps above which hits are only counted.
const many = 100

// progressEvery is how often a plain log repeats a step's progress.
const progressEvery = 5 * time.Second

// Plain writes a line for each thing worth knowing: for logs and pipes.
// Errors go to errs.
func Plain(w, errs io.Writer) View {
	return &plain{w: w, errs: errs, said: map[string]time.Time{}, metrics: map[string]map[string]float64{}}
}

type plain struct {
	w, errs io.Writer
	name    string
	steps   int
	width   int
	said    map[string]time.Time
	metrics map[string]map[string]float64 // step → metric → last value
}

func (v *plain) Close() {}

func (v *plain) Event(e pipeline.Event) {
	switch f := e.Fact.(type) {
	case pipeline.RunStart:
		v.name, v.steps = f.Name, f.Steps
	case pipeline.StepStart:
		v.line(e.Step, "running: %s", f.Reason)
	case pipeline.Progress:
		v.progress(e, f)
	case pipeline.Metric:
		if v.metrics[e.Step] == nil {
			v.metrics[e.Step] = map[string]float64{}
		}
		v.metrics[e.Step][f.Name] = f.Value
	case pipeline.Log:
		if f.Level != "info" {
			v.line(e.Step, "%s: %s", f.Level, f.Message)
		}
	case pipeline.Retry:
		v.line(e.Step, "attempt %d failed: %s; trying again in %s", f.Attempt, f.Message, Duration(f.Delay))
	case pipeline.StepEnd:
		v.end(e.Step, f)
	case pipeline.Trouble:
		Problem(v.errs, &f.Problem)
	case pipeline.RunEnd:
		fmt.Fprintln(v.w, Summary(v.name, f))
	}
}

func (v *plain) line(step, format string, args ...any) {
	v.width = max(v.width, len(step))
	fmt.Fprintf(v.w, "%-*s  %s\n", v.width, step, fmt.Sprintf(format, args...))
}

func (v *plain) progress(e pipeline.Event, f pipeline.Progress) {
	last, ok := v.said[e.Step]
	if !ok {
		v.said[e.Step] = e.Time
		return
	}
	if e.Time.Sub(last) < progressEvery {
		return
	}
	v.said[e.Step] = e.Time
	text := progressText(f)
	if more := metricsText(v.metrics[e.Step]); more != "" {
		text += "  " + more
	}
	v.line(e.Step, "%s", text)
}

func progressText(f pipeline.Progress) string {
	switch {
	case f.Unit == "bytes" && f.Total > 0:
		return fmt.Sprintf("%s of %s", Bytes(f.Done), Bytes(f.Total))
	case f.Unit == "bytes":
		return Bytes(f.Done)
	case f.Total > 0:
		return fmt.Sprintf("%d of %d %s", f.Done, f.Total, f.Unit)
	}
	return fmt.Sprintf("%d %s", f.Done, f.Unit)
}

func (v *plain) end(step string, f pipeline.StepEnd) {
	switch f.Status {
	case pipeline.Ran:
		v.line(step, "ran in %s", Duration(f.Seconds))
	case pipeline.Cached:
		if f.From != "" {
			v.line(step, "cached, taken from %s", f.From)
		} else if v.steps <= many {
			v.line(step, "cached")
		}
	case pipeline.Failed:
		v.line(step, "failed")
	default:
		v.line(step, "%s: %s", f.Status, f.Reason)
	}
}
