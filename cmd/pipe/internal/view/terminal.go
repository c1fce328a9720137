package view

import (
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/pipe-run/pipe/pipeline"
)

// Terminal draws a bar for every running step, and above the bars the lines
// of a plain log.
func Terminal(w io.Writer) View {
	p := mpb.New(mpb.WithOutput(w), mpb.WithWidth(40), mpb.WithRefreshRate(100*time.Millisecond))
	return &terminal{Progress: p, lines: Plain(p, p), bars: map[string]*bar{}}
}

type terminal struct {
	*mpb.Progress
	lines View
	bars  map[string]*bar
}

// A bar is one running step.
type bar struct {
	*mpb.Bar
	start time.Time

	mu   sync.Mutex // the fields below are drawn by another goroutine
	unit string
	last map[string]float64 // metrics beside the bar
}

func (v *terminal) Event(e pipeline.Event) {
	switch f := e.Fact.(type) {
	case pipeline.StepStart:
		v.lines.Event(e)
		v.bars[e.Step] = v.bar(e.Step)
		return
	case pipeline.Progress:
		if b := v.bars[e.Step]; b != nil {
			b.mu.Lock()
			b.unit = f.Unit
			b.mu.Unlock()
			b.SetTotal(f.Total, false)
			b.SetCurrent(f.Done)
		}
		return
	case pipeline.Metric:
		if b := v.bars[e.Step]; b != nil {
			b.metric(f)
		}
		return
	case pipeline.StepEnd:
		if b := v.bars[e.Step]; b != nil {
			b.Abort(true)
			b.Wait()
			delete(v.bars, e.Step)
		}
	}
	v.lines.Event(e)
}

func (b *bar) metric(f pipeline.Metric) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if isShown(f.Name) {
		b.last[f.Name] = f.Value
	}
}

func (v *terminal) bar(step string) *bar {
	b := &bar{start: time.Now(), last: map[string]float64{}}
	b.Bar = v.New(0, mpb.BarStyle(),
		mpb.PrependDecorators(decor.Name(step, decor.WCSyncSpaceR)),
		mpb.AppendDecorators(decor.Any(b.draw)),
	)
	return b
}

// draw is the text beside a bar.
func (b *bar) draw(s decor.Statistics) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := Duration(time.Since(b.start).Seconds())
	if b.unit != "" {
		text = progressText(pipeline.Progress{Done: s.Current, Total: s.Total, Unit: b.unit})
	}
	if s.Total > 0 && s.Current > 0 && s.Current < s.Total {
		left := time.Since(b.start).Seconds() * float64(s.Total-s.Current) / float64(s.Current)
		text += "  ETA " + Duration(left)
	}
	if more := metricsText(b.last); more != "" {
		text += "  " + more
	}
	return text
}

func (v *terminal) Close() {
	for _, b := range v.bars {
		b.Abort(true)
	}
	v.Wait()
}
