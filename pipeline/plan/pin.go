package plan

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/pipe-run/pipe/pipeline"
)

// pinned is what pinning a node came to: the zero value for kinds that have
// nothing to pin.
type pinned struct {
	pipeline.Pin
	err error
}

// pins pins all nodes without the network, on all cores: pins depend on
// nothing but the outside world.
func (p *Planner) pins(ctx context.Context, nodes []*pipeline.Node) []pinned {
	out := make([]pinned, len(nodes))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(nodes)) {
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(nodes) {
					return
				}
				out[i] = p.pin(ctx, nodes[i], nil)
			}
		})
	}
	workers.Wait()
	return out
}

// pin names the outside bytes of n; online is nil when the network is not to
// be used.
func (p *Planner) pin(ctx context.Context, n *pipeline.Node, online *Online) pinned {
	kind := p.Kinds[n.Kind]
	if kind.Pin == nil {
		return pinned{}
	}
	q := &pipeline.PinRequest{
		Params: n.Full, Sum: p.Sum, Locked: p.Locked, Secret: p.secrets(n), Emit: func(pipeline.Fact) {},
	}
	if online != nil {
		q.Network, q.Downloads, q.Emit = true, online.Downloads, online.Emit
	}
	pin, err := kind.Pin(ctx, q)
	if err == nil && pin.Lock && online != nil {
		if id, ok := p.Locked(pin.From); !ok || id != pin.ID {
			err = online.Pinned(n, pin)
		}
	}
	return pinned{pin, err}
}
