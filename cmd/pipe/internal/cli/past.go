package cli

import (
	"context"
	"time"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/store/disk"
)

type past struct{ store *disk.Store }

func newPast(s *disk.Store) *past { return &past{s} }
func (p *past) close()            {}
func (p *past) Earlier(ctx context.Context, file, step, kind string) ([]pipeline.Key, error) {
	return nil, nil
}
func (p *past) Preimage(ctx context.Context, k pipeline.Key) ([]byte, error) { return nil, nil }
func (p *past) Evicted(ctx context.Context, k pipeline.Key) (time.Time, bool) {
	return time.Time{}, false
}

type recorder struct{}

func (p *past) record(id string, g *pipeline.Graph) *recorder { return &recorder{} }
func (*recorder) event(pipeline.Event)                       {}
func (*recorder) end(pipeline.RunEnd, error)                 {}

type pins struct{}

func newPins(*disk.Store, string) *pins                   { return &pins{} }
func (p *pins) locked(string) (string, bool)              { return "", false }
func (p *pins) add(*pipeline.Node, pipeline.Pin) error    { return nil }
func (s *session) snapshot() *disk.Snapshot               { return nil }
func (s *session) saveSnapshot()                          {}
