package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/pipe-run/pipe/cmd/pipe/internal/tensorboard"
)

// getBoard writes what the execution behind a cached step measured to an event
// file in dir. Times are those of that execution, which no artifact holds: they
// come from the history.
func (s *session) getBoard(ctx context.Context, step, dir string, out io.Writer) error {
	if name, output, ok := strings.Cut(step, "."); ok {
		return usagef("--tensorboard writes what a step measured: name the step, %s, without its output %s", name, output)
	}
	it, err := s.hit(ctx, step)
	if err != nil {
		return err
	}
	made, err := s.past.history.Made(ctx, it.Key)
	if isNotFound(err) {
		return fmt.Errorf("no run on record computed step %s: its result came from elsewhere, so when it measured what is not known", step)
	}
	if err != nil {
		return err
	}
	list, err := s.past.history.Metrics(ctx, made.Run, made.Step, "")
	if err != nil {
		return err
	}
	var scalars []tensorboard.Scalar
	for _, m := range list {
		if !math.IsNaN(m.Value) && !m.Time.IsZero() {
			scalars = append(scalars, tensorboard.Scalar{Tag: m.Name, Step: m.At, Value: m.Value, Time: m.Time})
		}
	}
	if len(scalars) == 0 {
		return fmt.Errorf("step %s measured nothing in run %s", step, made.Run)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	start := scalars[0].Time
	path := filepath.Join(dir, tensorboard.FileName(start))
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(tensorboard.Write(f, start, scalars), f.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s: %d numbers that run %s measured\n", path, len(scalars), made.Run)
	return err
}
