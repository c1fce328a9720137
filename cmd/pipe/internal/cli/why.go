package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/plan"
)

// A whyPage is the JSON of pipe why.
type whyPage struct {
	Step    string      `json:"step"`
	State   plan.State  `json:"state"`
	Reason  string      `json:"reason,omitempty"`
	Key     string      `json:"key"`
	Nearest string      `json:"nearest,omitempty"` // key of the earlier execution that differs least
	Changes []whyChange `json:"changes"`
}

type whyChange struct {
	pipeline.Pos
	Path    string          `json:"path"`
	Old     json.RawMessage `json:"old,omitempty"`
	New     json.RawMessage `json:"new,omitempty"`
	Message string          `json:"message"`
}

func (a *app) whyCommand() *cobra.Command {
	var src source
	var asJSON bool
	cmd := &cobra.Command{
		Use: "why FILE STEP", Short: "Say how a step differs from its nearest earlier execution", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			src.file = args[0]
			page, err := a.why(cmd.Context(), src, args[1])
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(page)
			}
			a.printWhy(page)
			return nil
		},
	}
	src.tagFlag(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) why(ctx context.Context, src source, step string) (*whyPage, error) {
	s, err := a.openPipeline(ctx, src)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.target([]string{step}); err != nil {
		return nil, err
	}
	p := s.planner()
	items, err := p.Graph(ctx, s.graph)
	if err != nil {
		return nil, err
	}
	for _, it := range items {
		if it.Node.Name != step {
			continue
		}
		e, err := p.Explain(ctx, it)
		if err != nil {
			return nil, err
		}
		return newWhyPage(it, e), nil
	}
	panic("cli: the target is not in its own graph")
}

func newWhyPage(it *plan.Item, e *plan.Explanation) *whyPage {
	page := &whyPage{Step: it.Node.Name, State: it.State, Reason: it.Reason, Changes: []whyChange{}}
	if !it.Key.IsZero() {
		page.Key = it.Key.String()
	}
	if !e.Nearest.IsZero() {
		page.Nearest = e.Nearest.String()
	}
	for _, c := range e.Changes {
		page.Changes = append(page.Changes, whyChange{placeOf(it.Node, c), c.Path, c.Old, c.New, c.String()})
	}
	return page
}

// placeOf finds the line of the pipeline behind a change.
func placeOf(n *pipeline.Node, c plan.Change) pipeline.Pos {
	if p := c.Param(); p != "" {
		return n.At(p)
	}
	if c.Path == "pin" {
		return n.At("source")
	}
	return n.Pos
}

func (a *app) printWhy(page *whyPage) {
	switch {
	case page.State == plan.Hit:
		fmt.Fprintf(a.out, "%s is cached (key %s)\n", page.Step, page.Key)
	case page.State == plan.Unknown:
		fmt.Fprintf(a.out, "%s: its key is not known yet: %s\n", page.Step, page.Reason)
		return
	default:
		fmt.Fprintf(a.out, "%s would run: %s (key %s)\n", page.Step, page.Reason, page.Key)
	}
	if page.Nearest == "" {
		return
	}
	fmt.Fprintf(a.out, "compared with the nearest earlier execution, %s:\n", page.Nearest)
	if len(page.Changes) == 0 {
		fmt.Fprintln(a.out, "  nothing differs")
	}
	for _, c := range page.Changes {
		fmt.Fprintf(a.out, "  %s: %s\n", c.Pos, c.Message)
	}
}
