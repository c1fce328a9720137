package selection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/jsonfile"
)

// A candidate is one of those to choose among. Value is nil where the metric is
// null, as programs write what is no number.
type candidate struct {
	Name    string              `json:"name"`
	Value   *float64            `json:"value"`
	Metrics map[string]*float64 `json:"metrics"`
}

// number is NaN where there is none.
func (c candidate) number() float64 {
	if c.Value == nil {
		return math.NaN()
	}
	return *c.Value
}

func (c candidate) said() string {
	if c.Value == nil {
		return "is no number"
	}
	return strconv.FormatFloat(*c.Value, 'g', 6, 64)
}

// read reads what was measured of every candidate, in the order of their names.
func read(in map[string]string, metric string) (all []candidate, err error) {
	for _, name := range names(in) {
		field := "in." + name + ".metrics"
		c := candidate{Name: name}
		if c.Metrics, err = readMetrics(in[name+".metrics"]); err != nil {
			return nil, &pipeline.FieldError{Field: field, Err: fmt.Errorf("candidate %s: %w", name, err)}
		}
		v, ok := c.Metrics[metric]
		if !ok {
			return nil, &pipeline.FieldError{
				Field: field, Err: fmt.Errorf("candidate %s has no metric %q", name, metric), Hint: has(c.Metrics),
			}
		}
		c.Value = v
		all = append(all, c)
	}
	return all, nil
}

// has says which metrics there are.
func has(metrics map[string]*float64) string {
	if len(metrics) == 0 {
		return "it has no metrics"
	}
	return "its metrics are " + strings.Join(slices.Sorted(maps.Keys(metrics)), ", ")
}

// maxMetrics bounds how much of a metrics file is read, in bytes.
const maxMetrics = 16 << 20

// readMetrics reads the numbers of a metrics artifact; null is nil.
func readMetrics(dir string) (map[string]*float64, error) {
	f, err := os.Open(filepath.Join(dir, pipeline.MetricsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("its metrics have no file %s", pipeline.MetricsFile)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxMetrics+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxMetrics {
		return nil, fmt.Errorf("%s is larger than %d bytes", pipeline.MetricsFile, maxMetrics)
	}
	var all map[string]json.RawMessage
	if err := jsonfile.Decode(raw, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", pipeline.MetricsFile, err)
	}
	metrics := make(map[string]*float64, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		var v *float64
		if err := json.Unmarshal(all[name], &v); err != nil {
			return nil, fmt.Errorf("%s: %q is no number", pipeline.MetricsFile, name)
		}
		metrics[name] = v
	}
	return metrics, nil
}

// ComparisonFile is the file of the metrics artifact that compares all
// candidates.
const ComparisonFile = "comparison.json"

// A comparison says what was chosen among what.
type comparison struct {
	Metric     string      `json:"metric"`
	Better     string      `json:"better"`
	Chosen     string      `json:"chosen"`
	Candidates []candidate `json:"candidates"`
}

// report writes the metrics of the chosen candidate, those that are numbers, and
// the comparison.
func report(dir string, p Params, better string, best candidate, all []candidate) error {
	chosen := map[string]*float64{}
	for name, v := range best.Metrics {
		if v != nil {
			chosen[name] = v
		}
	}
	err := writeJSON(filepath.Join(dir, pipeline.MetricsFile), chosen)
	if err != nil {
		return err
	}
	return writeJSON(filepath.Join(dir, ComparisonFile), comparison{Metric: p.Metric, Better: better, Chosen: best.Name, Candidates: all})
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// copyTree copies the files of an artifact to an empty folder. The system shares
// their bytes where it can, and the cache keeps one copy of equal files.
func copyTree(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case e.IsDir() && rel == ".":
			return nil
		case e.IsDir():
			return os.Mkdir(target, 0o755)
		case !e.Type().IsRegular():
			return fmt.Errorf("%s is no regular file", rel)
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
