package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/cmd/pipe/internal/view"
	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/plan"
)

// A forecast is what pipe plan says of one step; it is also its JSON.
type forecast struct {
	Step     string             `json:"step"`
	Kind     string             `json:"kind"`
	State    plan.State         `json:"state"`
	Reason   string             `json:"reason,omitempty"`
	From     string             `json:"from,omitempty"` // the second cache that a hit would be taken from
	Key      string             `json:"key"`
	Bytes    int64              `json:"bytes"` // of the outputs of a hit
	Outputs  map[string]string  `json:"outputs"`
	Gates    []pipeline.Gate    `json:"gates,omitempty"` // of a hit
	Estimate *pipeline.Estimate `json:"estimate,omitempty"`
}

// A planPage is the JSON of pipe plan.
type planPage struct {
	Name    string     `json:"name"`
	File    string     `json:"file"`
	Hit     int        `json:"hit"`
	Miss    int        `json:"miss"`
	Unknown int        `json:"unknown"`
	Failing int        `json:"failing"` // hits whose gate fails
	Steps   []forecast `json:"steps"`
}

func (a *app) planCommand() *cobra.Command {
	var src source
	var asJSON, exitCode bool
	cmd := &cobra.Command{
		Use: "plan FILE [STEP…]", Short: "Say what would run, and why", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src.file = args[0]
			page, err := a.plan(cmd.Context(), src, args[1:])
			if err == nil && asJSON {
				err = a.printJSON(page)
			} else if err == nil {
				err = page.print(a.out)
			}
			if exitCode {
				err = a.planVerdict(page, err)
			}
			return err
		},
	}
	src.tagFlag(cmd)
	src.cacheFromFlag(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 0 when all is cached and every gate holds, 1 when something would run or fail, 2 when there is no telling")
	return cmd
}

// planVerdict turns a plan into the exit code that --exit-code promises: what
// went wrong is never taken for a step that would run.
func (a *app) planVerdict(page *planPage, err error) error {
	switch {
	case err == nil && page.Miss+page.Unknown+page.Failing > 0:
		return exitError{exitFailed}
	case err != nil && codeOf(err) == exitFailed:
		a.complain(err)
		return exitError{exitWrong}
	}
	return err
}

func (a *app) plan(ctx context.Context, src source, targets []string) (*planPage, error) {
	s, err := a.openPipeline(ctx, src)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.target(targets); err != nil {
		return nil, err
	}
	p := s.planner()
	s.from.readBy(p)
	items, err := p.Graph(ctx, s.graph)
	if err != nil {
		return nil, err
	}
	page := &planPage{Name: s.graph.Name, File: s.graph.File, Steps: []forecast{}}
	var problems pipeline.Problems
	for _, it := range items {
		f, err := newForecast(ctx, p, it)
		if problem := (*pipeline.Problem)(nil); errors.As(err, &problem) {
			problems = append(problems, problem)
		} else if err != nil {
			return nil, err
		}
		page.add(f)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	s.saveSnapshot()
	return page, nil
}

func newForecast(ctx context.Context, p *plan.Planner, it *plan.Item) (forecast, error) {
	f := forecast{
		Step: it.Node.Name, Kind: it.Node.Kind, State: it.State, Reason: it.Reason, Outputs: map[string]string{},
	}
	if !it.Key.IsZero() {
		f.Key = it.Key.String()
	}
	if it.Result != nil {
		for name, art := range it.Result.Outputs {
			f.Bytes += art.Size
			f.Outputs[name] = art.Root.String()
		}
	}
	if it.State == plan.Hit && p.From != nil {
		f.From = p.From(it.Key)
	}
	if it.State == plan.Hit {
		var failed error
		f.Gates, failed = p.Gate(it.Node, it.Result)
		f.Reason = gateReason(failed)
	}
	var err error
	f.Estimate, err = p.Estimate(ctx, it)
	return f, err
}

// gateReason says on one line what makes the gate of a hit fail.
func gateReason(failed error) string {
	var all []string
	for _, p := range problemsOf(failed) {
		_, what, _ := strings.Cut(p.Message, "gate: ")
		all = append(all, fmt.Sprintf("gate fails: %s (%s)", what, p.Pos))
	}
	return strings.Join(all, "; ")
}

func (page *planPage) add(f forecast) {
	page.Steps = append(page.Steps, f)
	switch f.State {
	case plan.Hit:
		page.Hit++
		if f.Reason != "" {
			page.Failing++
		}
	case plan.Miss:
		page.Miss++
	default:
		page.Unknown++
	}
}

func (page *planPage) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range page.Steps {
		var notes []string
		if f.Reason != "" {
			notes = append(notes, f.Reason)
		}
		if f.State == plan.Hit {
			notes = append(notes, view.Bytes(f.Bytes))
		}
		if f.From != "" {
			notes = append(notes, "from "+f.From)
		}
		if f.Estimate != nil {
			notes = append(notes, estimateText(f.Estimate))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.Step, f.Kind, f.State, strings.Join(notes, "; "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	failing := ""
	if page.Failing > 0 {
		failing = fmt.Sprintf("; the gate of %s fails", count(page.Failing, "hit"))
	}
	_, err := fmt.Fprintf(w, "%s: %d hit, %d miss, %d unknown%s\n", page.Name, page.Hit, page.Miss, page.Unknown, failing)
	return err
}

// estimateText says a forecast of cost in one line.
func estimateText(e *pipeline.Estimate) string {
	var parts []string
	if e.Trainable > 0 {
		parts = append(parts, fmt.Sprintf("trains %s of %s parameters", view.Count(float64(e.Trainable), ""), view.Count(float64(e.Parameters), "")))
	}
	if e.Updates > 0 {
		parts = append(parts, count(int(e.Updates), "update"))
	}
	if e.FLOPs > 0 {
		parts = append(parts, view.Count(e.FLOPs, "FLOP"))
	}
	if e.Memory > 0 {
		parts = append(parts, "peak "+view.Bytes(e.Memory))
	}
	if e.Seconds > 0 {
		parts = append(parts, "about "+view.Duration(e.Seconds))
	}
	return strings.Join(parts, ", ")
}
