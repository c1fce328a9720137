package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/history"
	"github.com/pipe-run/pipe/pipeline/store/disk"
)

// A past is the history of one pipeline file, for the planner and the
// commands that look back. It reads nothing before it is asked.
type past struct {
	history *history.History
	store   *disk.Store
	file    string // absolute; empty without a pipeline

	last    func() map[string]history.Earlier
	evicted func() map[pipeline.Key]disk.Tombstone
}

func newPast(store *disk.Store, file string) *past {
	p := &past{history: history.Open(filepath.Join(store.Dir(), "history.db")), store: store, file: file}
	p.last = sync.OnceValue(func() map[string]history.Earlier {
		last, err := p.history.Latest(context.Background(), p.file)
		if err != nil {
			return nil // a reason less, no more
		}
		return last
	})
	p.evicted = sync.OnceValue(store.Tombstones)
	return p
}

func (p *past) close() { p.history.Close() }

// maxEarlier is how many earlier executions of a step are looked at.
const maxEarlier = 20

// Last implements plan.Past.
func (p *past) Last(_ context.Context, step string) (pipeline.Key, bool) {
	e, ok := p.last()[step]
	return e.Key, ok
}

// Earlier implements plan.Past.
func (p *past) Earlier(ctx context.Context, step, kind string) ([]pipeline.Key, error) {
	list, err := p.history.Keys(ctx, p.file, step, maxEarlier)
	if err == nil && len(list) == 0 {
		list, err = p.history.KeysOfKind(ctx, kind, maxEarlier)
	}
	var keys []pipeline.Key
	for _, e := range list {
		keys = append(keys, e.Key)
	}
	return keys, err
}

// maxPreimage bounds the JSON of an action, in bytes.
const maxPreimage = 64 << 20

// Preimage implements plan.Past.
func (p *past) Preimage(ctx context.Context, k pipeline.Key) ([]byte, error) {
	r, err := p.store.Get(ctx, k.Preimage())
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxPreimage))
}

// Evicted implements plan.Past.
func (p *past) Evicted(k pipeline.Key) (time.Time, bool) {
	t, ok := p.evicted()[k]
	return t.Time, ok
}

// A recorder notes a run. History is a convenience: when it cannot be
// written, the run goes on without.
type recorder struct {
	*history.Recorder
	app *app
}

func (s *session) startRecord(id string, start time.Time) *recorder {
	r, err := s.past.history.Begin(id, s.past.file, s.graph.Name, version, start)
	if err != nil {
		fmt.Fprintln(s.err, "pipe: note: this run will not be in the history:", err)
		return &recorder{nil, s.app}
	}
	return &recorder{r, s.app}
}

func (r *recorder) event(e pipeline.Event) {
	if r.Recorder != nil {
		r.Event(e)
	}
}

func (r *recorder) log(step string, d pipeline.Digest) {
	if r.Recorder != nil && !d.IsZero() {
		r.Log(step, d)
	}
}

func (r *recorder) end(end pipeline.RunEnd, err error) {
	if r.Recorder == nil {
		return
	}
	r.Event(pipeline.Event{Time: time.Now(), Fact: end})
	if err := r.Close(codeOf(err)); err != nil {
		fmt.Fprintln(r.app.err, "pipe: note: the history of this run is incomplete:", err)
	}
}
