// Package view shows runs: each view is a fold over the same events.
package view

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// A View shows events. Its methods are called by one goroutine at a time.
type View interface {
	Event(pipeline.Event)
	Close()
}

// All shows events in each of several views, in order.
func All(views ...View) View { return all(views) }

type all []View

func (v all) Event(e pipeline.Event) {
	for _, one := range v {
		one.Event(e)
	}
}

func (v all) Close() {
	for _, one := range v {
		one.Close()
	}
}

// JSON writes one event a line, at once; only hits, of which there can be
// thousands in a row, wait a moment for what follows them.
func JSON(w io.Writer) View { return &jsonView{w: w} }

type jsonView struct {
	w io.Writer

	mu      sync.Mutex // guards what follows
	pending []byte
	timer   *time.Timer // writes what waits; nil when nothing does
}

// Hits wait until there are so many bytes, or so long.
const (
	maxPending = 64 << 10
	maxWait    = 50 * time.Millisecond
)

func (v *jsonView) Event(e pipeline.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if b, err := e.AppendJSON(v.pending); err == nil {
		v.pending = append(b, '\n')
	}
	if end, ok := e.Fact.(pipeline.StepEnd); !ok || end.Status != pipeline.Cached || len(v.pending) > maxPending {
		v.write()
	} else if v.timer == nil {
		v.timer = time.AfterFunc(maxWait, v.Close)
	}
}

// Close writes what waits.
func (v *jsonView) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.write()
}

// write is called with mu held.
func (v *jsonView) write() {
	if v.timer != nil {
		v.timer.Stop()
		v.timer = nil
	}
	if len(v.pending) > 0 {
		v.w.Write(v.pending)
		v.pending = v.pending[:0]
	}
}

// Duration prints a duration the way a person would.
func Duration(seconds float64) string {
	switch d := time.Duration(seconds * float64(time.Second)); {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", seconds)
	default:
		return d.Round(time.Second).String()
	}
}

// Bytes prints a size with a decimal unit.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	x := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB"} {
		x /= 1000
		if x < 999.5 || unit == "TB" {
			return strings.TrimSuffix(fmt.Sprintf("%.3g", x), ".0") + " " + unit
		}
	}
	panic("unreachable")
}

// Count prints a large number with a unit, such as "1.2 GFLOP".
func Count(x float64, unit string) string {
	if x < 1000 {
		return fmt.Sprintf("%.4g %s", x, unit)
	}
	const prefixes = "kMGTPE"
	i := min(int(math.Log10(x)/3), len(prefixes))
	return fmt.Sprintf("%.3g %c%s", x/math.Pow(1000, float64(i)), prefixes[i-1], unit)
}

// Summary is the last line of a run for people.
func Summary(name string, end pipeline.RunEnd) string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{end.Ran, "ran"}, {end.Cached, "cached"}, {end.Failed, "failed"}, {end.Skipped, "skipped"}, {end.Interrupted, "interrupted"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing to do"}
	}
	return fmt.Sprintf("%s: %s in %s", name, strings.Join(parts, ", "), Duration(end.Seconds))
}

// Problem prints a mistake with its place.
func Problem(w io.Writer, p *pipeline.Problem) { fmt.Fprintln(w, p.Error()) }
