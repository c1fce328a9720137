package history

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// Status is how a run ended.
type Status string

const (
	Running     Status = "running"
	Done        Status = "done"        // exit code 0
	Failed      Status = "failed"      // 1: a step or a gate
	Wrong       Status = "wrong"       // 2: the pipeline or the command
	Interrupted Status = "interrupted" // 3
	Killed      Status = "killed"      // it never said how it ended
)

// A Run is one execution of a pipeline.
type Run struct {
	ID          string    `json:"id"`
	File        string    `json:"file"`
	Name        string    `json:"name"`
	Started     time.Time `json:"started"`
	Seconds     float64   `json:"seconds"`
	Status      Status    `json:"status"`
	Exit        int       `json:"exit"` // -1 when it was killed or still runs
	Version     string    `json:"version"`
	Ran         int       `json:"ran"`
	Cached      int       `json:"cached"`
	Failed      int       `json:"failed"`
	Skipped     int       `json:"skipped"`
	Interrupted int       `json:"interrupted"`
}

// A Step is a step in a run. Of cached ones only name, key and status are
// known: the rest stands with the run that executed them, see [History.Made].
type Step struct {
	Run     string                     `json:"run"`
	Step    string                     `json:"step"`
	Kind    string                     `json:"kind,omitempty"`
	Key     string                     `json:"key"` // empty when it was never known
	Status  pipeline.Status            `json:"status"`
	Why     string                     `json:"why,omitempty"`    // it was no hit
	Reason  string                     `json:"reason,omitempty"` // it failed or was skipped
	Outputs map[string]pipeline.Digest `json:"outputs"`
	Log     pipeline.Digest            `json:"-"` // zero when none was noted
	pipeline.Usage
}

// A Metric is a number that a step measured.
type Metric struct {
	Step  string    `json:"step"`
	Name  string    `json:"name"`
	At    int64     `json:"at"`
	Value float64   `json:"value"` // NaN when it was not a finite number
	Time  time.Time `json:"time,omitzero"`
}

// A Message is a warning or error of a run.
type Message struct {
	Step    string    `json:"step,omitempty"`
	Time    time.Time `json:"time"`
	Level   string    `json:"level"`
	Message string    `json:"message"`
}

const runColumns = "id, file, name, started, seconds, status, exit, version, ran, cached, failed, skipped, interrupted"

func scanRun(row interface{ Scan(...any) error }) (r Run, err error) {
	var started int64
	err = row.Scan(&r.ID, &r.File, &r.Name, &started, &r.Seconds, &r.Status, &r.Exit, &r.Version,
		&r.Ran, &r.Cached, &r.Failed, &r.Skipped, &r.Interrupted)
	r.Started = time.Unix(0, started).UTC()
	return r, err
}

// collect runs a query and scans its rows.
func collect[T any](ctx context.Context, h *History, scan func(interface{ Scan(...any) error }) (T, error), query string, args ...any) ([]T, error) {
	db, err := h.open(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading history: %w", err)
	}
	defer rows.Close()
	all := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("reading history: %w", err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading history: %w", err)
	}
	return all, nil
}

// Runs returns the latest runs, the latest first; of the pipeline in file, or
// of all when file is empty. limit 0 is no limit.
func (h *History) Runs(ctx context.Context, file string, limit int) ([]Run, error) {
	if limit <= 0 {
		limit = math.MaxInt32
	}
	return collect(ctx, h, scanRun, "SELECT "+runColumns+" FROM runs WHERE ? = '' OR file = ? ORDER BY started DESC, id DESC LIMIT ?", file, file, limit)
}

// Run returns the run called id. The beginning of a name does when it is that
// of one run only; "last" is the latest run. The error is ErrNotFound when
// there is no such run.
func (h *History) Run(ctx context.Context, id string) (*Run, error) {
	if id == "last" {
		runs, err := h.Runs(ctx, "", 1)
		if err == nil && len(runs) == 0 {
			err = fmt.Errorf("%w: there are no runs yet", ErrNotFound)
		}
		if err != nil {
			return nil, err
		}
		return &runs[0], nil
	}
	if !validID(id) {
		return nil, fmt.Errorf("%w: %q is not the name of a run", ErrNotFound, id)
	}
	runs, err := collect(ctx, h, scanRun, "SELECT "+runColumns+" FROM runs WHERE id >= ? AND id < ? ORDER BY id", id, id+"\x7f")
	if err != nil {
		return nil, err
	}
	switch {
	case len(runs) == 0:
		return nil, fmt.Errorf("%w: run %s", ErrNotFound, id)
	case len(runs) > 1 && runs[0].ID != id:
		return nil, fmt.Errorf("run %s: %d runs have names that begin so, such as %s and %s", id, len(runs), runs[0].ID, runs[1].ID)
	}
	return &runs[0], nil
}

const stepColumns = "run, step, kind, key, status, why, reason, seconds, cpu, memory, outputs, log"

func scanStep(row interface{ Scan(...any) error }) (s Step, err error) {
	var outputs, log string
	err = row.Scan(&s.Run, &s.Step, &s.Kind, &s.Key, &s.Status, &s.Why, &s.Reason,
		&s.Seconds, &s.CPUSeconds, &s.PeakMemory, &outputs, &log)
	if err != nil {
		return s, err
	}
	if err = json.Unmarshal([]byte(outputs), &s.Outputs); err == nil && log != "" {
		s.Log, err = pipeline.ParseDigest(log)
	}
	return s, err
}

// Steps returns the steps of the run with exactly this name, by name.
func (h *History) Steps(ctx context.Context, run string) ([]Step, error) {
	steps, err := collect(ctx, h, scanStep, "SELECT "+stepColumns+" FROM steps WHERE run = ?", run)
	if err != nil {
		return nil, err
	}
	sets, err := h.setsOf(ctx, "SELECT id, body FROM runs JOIN sets ON digest = hits WHERE id = ?", run)
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		parseSet(set.body, func(step, key string) {
			steps = append(steps, Step{Run: run, Step: step, Key: key, Status: pipeline.Cached, Outputs: map[string]pipeline.Digest{}})
		})
	}
	slices.SortFunc(steps, func(a, b Step) int { return strings.Compare(a.Step, b.Step) })
	return steps, nil
}

// A set is a list of cached steps of a run.
type set struct {
	run  string
	body []byte
}

func (h *History) setsOf(ctx context.Context, query string, args ...any) ([]set, error) {
	return collect(ctx, h, func(row interface{ Scan(...any) error }) (s set, err error) {
		err = row.Scan(&s.run, &s.body)
		return s, err
	}, query, args...)
}

// Made returns the latest execution that ended with the result of key.
func (h *History) Made(ctx context.Context, key pipeline.Key) (*Step, error) {
	steps, err := collect(ctx, h, scanStep, "SELECT "+stepColumns+" FROM steps WHERE key = ? AND status = ? ORDER BY run DESC LIMIT 1", key.String(), pipeline.Ran)
	if err != nil {
		return nil, err
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("%w: no run made %s", ErrNotFound, key)
	}
	return &steps[0], nil
}

// Metrics returns what was measured in a run; by one step, and under one name,
// unless those are empty. The order is that of the events.
func (h *History) Metrics(ctx context.Context, run, step, name string) ([]Metric, error) {
	return collect(ctx, h, func(row interface{ Scan(...any) error }) (m Metric, err error) {
		var v sql.NullFloat64
		var at int64
		err = row.Scan(&m.Step, &m.Name, &m.At, &v, &at)
		if at != 0 {
			m.Time = time.Unix(0, at).UTC()
		}
		if m.Value = v.Float64; !v.Valid {
			m.Value = math.NaN()
		}
		return m, err
	}, "SELECT step, name, at, value, time FROM metrics WHERE run = ? AND (? = '' OR step = ?) AND (? = '' OR name = ?) ORDER BY rowid",
		run, step, step, name, name)
}

// Messages returns the warnings and errors of a run; of one step, unless that
// is empty.
func (h *History) Messages(ctx context.Context, run, step string) ([]Message, error) {
	return collect(ctx, h, func(row interface{ Scan(...any) error }) (m Message, err error) {
		var at int64
		err = row.Scan(&m.Step, &at, &m.Level, &m.Message)
		m.Time = time.Unix(0, at).UTC()
		return m, err
	}, "SELECT step, time, level, message FROM messages WHERE run = ? AND (? = '' OR step = ?) ORDER BY rowid", run, step, step)
}

// An Earlier is a key that a step had in a run.
type Earlier struct {
	Key  pipeline.Key
	Run  string // name of the latest run with that key
	Step string
}

// Keys returns the keys that step had in earlier runs of file, the latest
// first, each once; at most limit. Only keys with a result count.
func (h *History) Keys(ctx context.Context, file, step string, limit int) ([]Earlier, error) {
	ran, err := collect(ctx, h, scanEarlier, `SELECT key, max(run), step FROM steps JOIN runs ON id = run
		WHERE step = ? AND file = ? AND steps.status IN ('ran', 'cached') GROUP BY key`, step, file)
	if err != nil {
		return nil, err
	}
	sets, err := h.setsOf(ctx, "SELECT max(id), body FROM runs JOIN sets ON digest = hits WHERE file = ? GROUP BY hits", file)
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		parseSet(set.body, func(name, key string) {
			if k, err := pipeline.ParseKey(key); name == step && err == nil {
				ran = append(ran, Earlier{k, set.run, step})
			}
		})
	}
	return latest(ran, limit), nil
}

// KeysOfKind returns the keys of executed steps of a kind, in any pipeline, the
// latest first, each once; at most limit.
func (h *History) KeysOfKind(ctx context.Context, kind string, limit int) ([]Earlier, error) {
	all, err := collect(ctx, h, scanEarlier, `SELECT key, max(run), step FROM steps
		WHERE kind = ? AND status = 'ran' GROUP BY key ORDER BY max(run) DESC LIMIT ?`, kind, limit)
	return latest(all, limit), err
}

// Latest returns, for each step that file ever had a result of, the key in the
// latest such run: what a plan compares misses with.
func (h *History) Latest(ctx context.Context, file string) (map[string]Earlier, error) {
	all, err := collect(ctx, h, scanEarlier, `SELECT key, max(run), step FROM steps JOIN runs ON id = run
		WHERE file = ? AND steps.status IN ('ran', 'cached') GROUP BY step`, file)
	if err != nil {
		return nil, err
	}
	sets, err := h.setsOf(ctx, "SELECT max(id), body FROM runs JOIN sets ON digest = hits WHERE file = ? GROUP BY hits", file)
	if err != nil {
		return nil, err
	}
	byStep := map[string]Earlier{}
	add := func(e Earlier) {
		if old, ok := byStep[e.Step]; !ok || old.Run < e.Run {
			byStep[e.Step] = e
		}
	}
	for _, e := range all {
		add(e)
	}
	for _, set := range sets {
		parseSet(set.body, func(name, key string) {
			if k, err := pipeline.ParseKey(key); err == nil {
				add(Earlier{k, set.run, name})
			}
		})
	}
	return byStep, nil
}

func scanEarlier(row interface{ Scan(...any) error }) (e Earlier, err error) {
	var key string
	if err = row.Scan(&key, &e.Run, &e.Step); err == nil {
		e.Key, err = pipeline.ParseKey(key)
	}
	return e, err
}

// latest sorts by run, the latest first, and leaves each key once.
func latest(all []Earlier, limit int) []Earlier {
	slices.SortFunc(all, func(a, b Earlier) int {
		return cmp.Or(cmp.Compare(b.Run, a.Run), cmp.Compare(a.Key.String(), b.Key.String()))
	})
	seen := map[pipeline.Key]bool{}
	all = slices.DeleteFunc(all, func(e Earlier) bool {
		dup := seen[e.Key]
		seen[e.Key] = true
		return dup
	})
	return all[:min(len(all), limit)]
}

// A StepDiff is a step that differs between two runs. A or B is nil when only
// the other run has the step.
type StepDiff struct {
	Step string `json:"step"`
	A    *Step  `json:"a,omitempty"`
	B    *Step  `json:"b,omitempty"`
}

// Diff returns the steps whose key or status differ between runs a and b,
// which have exactly these names, by name. Ran and cached are one status.
func (h *History) Diff(ctx context.Context, a, b string) ([]StepDiff, error) {
	as, errA := h.Steps(ctx, a)
	bs, errB := h.Steps(ctx, b)
	if err := errors.Join(errA, errB); err != nil {
		return nil, err
	}
	both := map[string]*StepDiff{}
	at := func(name string) *StepDiff {
		if both[name] == nil {
			both[name] = &StepDiff{Step: name}
		}
		return both[name]
	}
	for i := range as {
		at(as[i].Step).A = &as[i]
	}
	for i := range bs {
		at(bs[i].Step).B = &bs[i]
	}
	diffs := []StepDiff{}
	for _, d := range both {
		if d.A == nil || d.B == nil || d.A.Key != d.B.Key || !sameOutputs(d.A, d.B) || good(d.A) != good(d.B) || !good(d.A) && d.A.Status != d.B.Status {
			diffs = append(diffs, *d)
		}
	}
	slices.SortFunc(diffs, func(a, b StepDiff) int { return strings.Compare(a.Step, b.Step) })
	return diffs, nil
}

// sameOutputs reports whether two executions left the same, as far as both are
// known: of equal keys, too, a step that depends on more than its key does not.
func sameOutputs(a, b *Step) bool {
	return len(a.Outputs) == 0 || len(b.Outputs) == 0 || maps.Equal(a.Outputs, b.Outputs)
}

// good reports whether s has its result.
func good(s *Step) bool { return s.Status == pipeline.Ran || s.Status == pipeline.Cached }

// MarshalJSON writes null for a value that is not a finite number.
func (m Metric) MarshalJSON() ([]byte, error) {
	value := &m.Value
	if math.IsNaN(m.Value) {
		value = nil
	}
	type plain Metric
	return json.Marshal(struct {
		plain
		Value *float64 `json:"value"`
	}{plain(m), value})
}
