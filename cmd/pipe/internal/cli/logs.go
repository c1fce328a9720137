package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/history"
)

// A logPage is the JSON of pipe logs.
type logPage struct {
	Run    string          `json:"run"`
	Step   string          `json:"step"`
	Status pipeline.Status `json:"status"`
	Made   string          `json:"made"` // the run that wrote the log
	Log    string          `json:"log"`
}

// maxLog bounds the log that is shown, in bytes.
const maxLog = 64 << 20

func (a *app) logsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "logs RUN STEP", Short: "Print what a step logged", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.open()
			if err != nil {
				return err
			}
			defer s.close()
			page, err := s.logs(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(page)
			}
			_, err = io.WriteString(a.out, page.Log)
			return err
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (s *session) logs(ctx context.Context, id, step string) (*logPage, error) {
	r, err := s.findRun(ctx, id)
	if err != nil {
		return nil, err
	}
	steps, err := s.past.history.Steps(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range steps {
		if steps[i].Step == step {
			return s.stepLog(ctx, &steps[i])
		}
		names = append(names, steps[i].Step)
	}
	return nil, usagef("run %s has no step %q%s", r.ID, step, suggest(step, names))
}

// stepLog reads the log of a step: of a cached one, that of the execution
// behind it.
func (s *session) stepLog(ctx context.Context, st *history.Step) (*logPage, error) {
	page := &logPage{Run: st.Run, Step: st.Step, Status: st.Status, Made: st.Run}
	if st.Status == pipeline.Cached {
		made, err := s.made(ctx, st)
		if err != nil {
			return nil, err
		}
		if made == nil {
			return nil, fmt.Errorf("step %s was cached, and no run on record made it", st.Step)
		}
		st, page.Made = made, made.Run
	}
	if st.Log.IsZero() {
		return page, nil
	}
	var err error
	page.Log, err = s.blobText(ctx, st.Log)
	return page, err
}

func (s *session) blobText(ctx context.Context, d pipeline.Digest) (string, error) {
	r, err := s.store.Get(ctx, d)
	if isNotFound(err) {
		return "", fmt.Errorf("the log is no longer in the cache")
	}
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxLog))
	return string(b), err
}

// isNotFound reports whether err is that of something absent.
func isNotFound(err error) bool {
	return errors.Is(err, pipeline.ErrNotFound) || errors.Is(err, history.ErrNotFound)
}

// firstLine returns the first line of s.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
