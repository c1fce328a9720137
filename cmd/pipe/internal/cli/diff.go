package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/history"
	"github.com/pipe-run/pipe/pipeline/plan"
)

// A diffPage is the JSON of pipe diff.
type diffPage struct {
	A     history.Run `json:"a"`
	B     history.Run `json:"b"`
	Steps []stepDiff  `json:"steps"` // those that differ
}

type stepDiff struct {
	Step    string                 `json:"step"`
	A       *sideOf                `json:"a"` // null when only the other run has the step
	B       *sideOf                `json:"b"`
	Changes []diffChange           `json:"changes"` // in what the keys were made from
	Metrics map[string][2]*float64 `json:"metrics"` // name → last value in a and b
}

type sideOf struct {
	Status  pipeline.Status            `json:"status"`
	Key     string                     `json:"key"`
	Outputs map[string]pipeline.Digest `json:"outputs"`
}

type diffChange struct {
	Path    string          `json:"path"`
	Old     json.RawMessage `json:"old,omitempty"`
	New     json.RawMessage `json:"new,omitempty"`
	Message string          `json:"message"`
}

func (a *app) diffCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "diff A B", Short: "Say how two runs differ", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.open()
			if err != nil {
				return err
			}
			defer s.close()
			page, err := s.diff(cmd.Context(), args[0], args[1])
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

func (s *session) diff(ctx context.Context, a, b string) (*diffPage, error) {
	ra, err := s.findRun(ctx, a)
	if err != nil {
		return nil, err
	}
	rb, err := s.findRun(ctx, b)
	if err != nil {
		return nil, err
	}
	page := &diffPage{A: *ra, B: *rb, Steps: []stepDiff{}}
	steps, err := s.past.history.Diff(ctx, ra.ID, rb.ID)
	if err != nil {
		return nil, err
	}
	for _, d := range steps {
		one, err := s.diffStep(ctx, d)
		if err != nil {
			return nil, err
		}
		page.Steps = append(page.Steps, one)
	}
	return page, nil
}

func (s *session) diffStep(ctx context.Context, d history.StepDiff) (stepDiff, error) {
	out := stepDiff{Step: d.Step, Changes: []diffChange{}, Metrics: map[string][2]*float64{}}
	for i, st := range []*history.Step{d.A, d.B} {
		if st == nil {
			continue
		}
		side, err := s.side(ctx, st)
		if err != nil {
			return out, err
		}
		if i == 0 {
			out.A = side
		} else {
			out.B = side
		}
		m, err := s.lastMetrics(ctx, st)
		if err != nil {
			return out, err
		}
		for name, v := range m {
			pair := out.Metrics[name]
			pair[i] = &v
			out.Metrics[name] = pair
		}
	}
	var err error
	if d.A != nil && d.B != nil && d.A.Key != d.B.Key {
		out.Changes, err = s.changes(ctx, d.A.Key, d.B.Key)
	}
	return out, err
}

// side says how a step ended; the outputs of a cached one are those of the
// execution behind it.
func (s *session) side(ctx context.Context, st *history.Step) (*sideOf, error) {
	side := &sideOf{st.Status, st.Key, st.Outputs}
	if st.Status == pipeline.Cached && len(st.Outputs) == 0 {
		made, err := s.made(ctx, st)
		if err != nil {
			return nil, err
		}
		if made != nil {
			side.Outputs = made.Outputs
		}
	}
	return side, nil
}

// changes compares what two keys were made from, as far as that is stored.
func (s *session) changes(ctx context.Context, a, b string) ([]diffChange, error) {
	list := []diffChange{}
	var pre [2][]byte
	for i, text := range []string{a, b} {
		k, err := pipeline.ParseKey(text)
		if err != nil {
			return list, nil // its key was never known
		}
		if pre[i], err = s.past.Preimage(ctx, k); errors.Is(err, pipeline.ErrNotFound) {
			return list, nil
		} else if err != nil {
			return nil, err
		}
	}
	changes, err := plan.Diff(pre[0], pre[1])
	for _, c := range changes {
		list = append(list, diffChange{c.Path, c.Old, c.New, c.String()})
	}
	return list, err
}

func (page *diffPage) print(w io.Writer) {
	if len(page.Steps) == 0 {
		fmt.Fprintf(w, "runs %s and %s have the same results\n", page.A.ID, page.B.ID)
		return
	}
	for _, d := range page.Steps {
		fmt.Fprintf(w, "%s: %s\n", d.Step, d.verdict())
		for _, c := range d.Changes {
			fmt.Fprintf(w, "  %s\n", c.Message)
		}
		for _, name := range slices.Sorted(maps.Keys(d.Metrics)) {
			m := d.Metrics[name]
			fmt.Fprintf(w, "  %-24s %12s %12s\n", name, number(m[0]), number(m[1]))
		}
	}
}

// verdict says in a few words what differs.
func (d *stepDiff) verdict() string {
	switch {
	case d.A == nil:
		return "only in the second run"
	case d.B == nil:
		return "only in the first run"
	case d.A.Key == d.B.Key && d.A.good() && d.B.good():
		return "the same key, other outputs: the step depends on more than its key tells"
	case maps.Equal(d.A.Outputs, d.B.Outputs) && len(d.A.Outputs) > 0:
		return "another key, the same outputs"
	case d.A.good() != d.B.good() || !d.A.good() && d.A.Status != d.B.Status:
		return fmt.Sprintf("%s, then %s", d.A.Status, d.B.Status)
	}
	return "other outputs"
}

// good reports whether the step has its result.
func (s *sideOf) good() bool { return s.Status == pipeline.Ran || s.Status == pipeline.Cached }

func number(v *float64) string {
	if v == nil {
		return "-"
	}
	return strconv.FormatFloat(*v, 'g', 6, 64)
}
