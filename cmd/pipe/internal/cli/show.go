package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/cmd/pipe/internal/view"
	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/history"
)

// A showPage is the JSON of pipe show.
type showPage struct {
	history.Run
	Steps    []history.Step                `json:"steps"`
	Metrics  map[string]map[string]float64 `json:"metrics"` // step → name → last value
	Messages []history.Message             `json:"messages"`
}

func (a *app) showCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show RUN", Short: "Say what a run did; RUN is its name, the beginning of it, or \"last\"", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.open()
			if err != nil {
				return err
			}
			defer s.close()
			page, err := s.show(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(page)
			}
			page.print(a.out)
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (s *session) show(ctx context.Context, id string) (*showPage, error) {
	r, err := s.findRun(ctx, id)
	if err != nil {
		return nil, err
	}
	page := &showPage{Run: *r, Metrics: map[string]map[string]float64{}}
	h := s.past.history
	if page.Steps, err = h.Steps(ctx, r.ID); err != nil {
		return nil, err
	}
	for i := range page.Steps {
		st := &page.Steps[i]
		made, err := s.made(ctx, st)
		if err != nil {
			return nil, err
		}
		if made != nil && st.Status == pipeline.Cached {
			st.Outputs, st.Kind = made.Outputs, made.Kind
		}
		m, err := s.lastMetrics(ctx, st)
		if err != nil {
			return nil, err
		}
		if len(m) > 0 {
			page.Metrics[st.Step] = m
		}
	}
	page.Messages, err = h.Messages(ctx, r.ID, "")
	return page, err
}

// lastMetrics returns the last value of each metric of a step: of the run that
// executed it, when it was cached.
func (s *session) lastMetrics(ctx context.Context, st *history.Step) (map[string]float64, error) {
	run, step := st.Run, st.Step
	if st.Status == pipeline.Cached {
		made, err := s.made(ctx, st)
		if err != nil || made == nil {
			return nil, err
		}
		run, step = made.Run, made.Step
	}
	list, err := s.past.history.Metrics(ctx, run, step, "")
	if err != nil {
		return nil, err
	}
	last := map[string]float64{}
	for _, m := range list {
		if m.Value == m.Value { // JSON has no NaN
			last[m.Name] = m.Value
		}
	}
	return last, nil
}

// made finds the execution behind a cached step, or nil when no run on record
// made it.
func (s *session) made(ctx context.Context, st *history.Step) (*history.Step, error) {
	k, err := pipeline.ParseKey(st.Key)
	if err != nil {
		return nil, nil
	}
	made, err := s.past.history.Made(ctx, k)
	if isNotFound(err) {
		return nil, nil
	}
	return made, err
}

func (page *showPage) print(w io.Writer) {
	fmt.Fprintf(w, "run %s of %s (%s)\nstarted %s, %s after %s\n", page.ID, page.Name, page.File,
		page.Started.Local().Format(time.DateTime), page.Status, view.Duration(page.Seconds))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, st := range page.Steps {
		cost := ""
		if st.Status == pipeline.Ran {
			cost = view.Duration(st.Usage.Seconds)
			if st.PeakMemory > 0 {
				cost += ", peak " + view.Bytes(st.PeakMemory)
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", st.Step, st.Status, cost, firstOf(st.Reason, st.Why))
	}
	t.Flush()
	for _, step := range slices.Sorted(maps.Keys(page.Metrics)) {
		m := page.Metrics[step]
		fmt.Fprintf(w, "%s:", step)
		for _, name := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(w, " %s=%.6g", name, m[name])
		}
		fmt.Fprintln(w)
	}
	for _, m := range page.Messages {
		fmt.Fprintf(w, "%s %s: %s\n", m.Level, m.Step, m.Message)
	}
}

// firstOf returns the first of texts that is not empty, in one line.
func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return firstLine(s)
		}
	}
	return ""
}
