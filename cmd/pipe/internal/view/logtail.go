package view

import "github.com/pipe-run/pipe/pipeline"

// A logTail keeps the last lines of what a step logs, as many as fit into max
// bytes.
type logTail struct {
	max     int
	lines   []string
	bytes   int
	dropped int // lines before the first
}

func (t *logTail) add(f pipeline.Log) {
	line := f.Message
	if f.Level != "info" {
		line = f.Level + ": " + line
	}
	t.lines = append(t.lines, line)
	t.bytes += len(line) + 1
	for t.bytes > t.max && len(t.lines) > 1 {
		t.bytes -= len(t.lines[0]) + 1
		t.lines = t.lines[1:]
		t.dropped++
	}
}

// tails are the logs of running steps.
type tails map[string]*logTail

// event keeps lines of logs, and begins anew with each attempt at a step.
func (t tails) event(e pipeline.Event, max int) {
	switch f := e.Fact.(type) {
	case pipeline.StepStart:
		delete(t, e.Step)
	case pipeline.Log:
		if t[e.Step] == nil {
			t[e.Step] = &logTail{max: max}
		}
		t[e.Step].add(f)
	}
}

// take returns the log of a step that ended, nil when it has none, and
// forgets it.
func (t tails) take(step string) *logTail {
	tail := t[step]
	delete(t, step)
	return tail
}
