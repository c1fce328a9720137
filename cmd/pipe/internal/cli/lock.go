package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/plan"
	"github.com/pipe-run/pipe/pipeline/run"
)

// A lockPage is the JSON of pipe lock.
type lockPage struct {
	File string     `json:"file"`
	Pins []lockLine `json:"pins"` // of the pipeline's sources, by step
}

type lockLine struct {
	Step   string `json:"step"`
	From   string `json:"from"`
	ID     string `json:"id"`
	Status string `json:"status"` // "kept", "new" or "changed"
}

func (a *app) lockCommand() *cobra.Command {
	var src source
	var asJSON, update bool
	cmd := &cobra.Command{
		Use: "lock FILE", Short: "Pin the pipeline's sources in pipe.lock", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src.file = args[0]
			page, err := a.lock(cmd.Context(), src, update)
			if cmd.Context().Err() != nil {
				return run.ErrInterrupted
			}
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(page)
			}
			for _, l := range page.Pins {
				fmt.Fprintf(a.out, "%s: %s %s %s\n", l.Step, l.From, l.ID, l.Status)
			}
			_, err = fmt.Fprintf(a.out, "%s: %s\n", page.File, count(len(page.Pins), "pin"))
			return err
		},
	}
	src.tagFlag(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&update, "update", false, "ask all sources again, pinned or not")
	return cmd
}

// lock pins every source that is not local. With update, what is pinned
// already is asked for again.
func (a *app) lock(ctx context.Context, src source, update bool) (*lockPage, error) {
	s, err := a.openPipeline(ctx, src)
	if err != nil {
		return nil, err
	}
	defer s.close()
	before := maps.Clone(s.pins.ids)
	if update {
		s.pins.forget()
	}
	downloads, err := s.store.Downloads()
	if err != nil {
		return nil, err
	}
	page := &lockPage{File: s.pins.path, Pins: []lockLine{}}
	var problems pipeline.Problems
	for _, n := range s.graph.Nodes {
		pin, err := s.pin(ctx, n, downloads)
		var field *pipeline.FieldError
		if errors.As(err, &field) {
			var p *pipeline.Problem
			errors.As(plan.Blame(n, field), &p)
			problems = append(problems, p)
			continue
		}
		if err != nil {
			return nil, plan.Blame(n, err)
		}
		if pin.Lock {
			page.Pins = append(page.Pins, lockLine{n.Name, pin.From, pin.ID, pinStatus(before, pin)})
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	slices.SortStableFunc(page.Pins, func(a, b lockLine) int { return strings.Compare(a.Step, b.Step) })
	return page, nil
}

func pinStatus(before map[string]string, pin pipeline.Pin) string {
	switch id, ok := before[pin.From]; {
	case !ok:
		return "new"
	case id != pin.ID:
		return "changed"
	}
	return "kept"
}

// pin resolves the source of one node, and keeps it.
func (s *session) pin(ctx context.Context, n *pipeline.Node, downloads string) (pipeline.Pin, error) {
	kind := s.kinds[n.Kind]
	if kind.Pin == nil {
		return pipeline.Pin{}, nil
	}
	var once sync.Once
	pin, err := kind.Pin(ctx, &pipeline.PinRequest{
		Params: n.Full, Sum: s.store.Sum, Locked: s.pins.locked, Network: true, Downloads: downloads,
		Secret: secretsOf(n),
		Emit: func(f pipeline.Fact) {
			if r, ok := f.(pipeline.Retry); ok {
				once.Do(func() { fmt.Fprintf(s.err, "pipe: %s: attempt %d failed: %s\n", n.Name, r.Attempt, r.Message) })
			}
		},
	})
	if err != nil || !pin.Lock {
		return pin, err
	}
	if id, ok := s.pins.locked(pin.From); ok && id == pin.ID {
		return pin, nil
	}
	return pin, s.pins.add(n, pin)
}

// secretsOf lets a step read only the secrets that it names.
func secretsOf(n *pipeline.Node) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if !slices.Contains(n.Secrets, name) {
			return "", false
		}
		return os.LookupEnv(name)
	}
}
