package history

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pipe-run/pipe/pipeline"
)

// maxLine bounds a line of a spool file, and maxSet a list of cached steps, in
// bytes. What is longer is none of pipe's.
const (
	maxLine = 16 << 20
	maxSet  = 256 << 20
)

// importAll reads the spool into the database. It is called under the lock.
func (h *History) importAll(ctx context.Context) error {
	entries, err := os.ReadDir(h.spool())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".jsonl")
		if !ok || !validID(id) {
			continue
		}
		if err := h.importRun(ctx, id, filepath.Join(h.spool(), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// importRun reads one file, and deletes it when its run has ended.
func (h *History) importRun(ctx context.Context, id, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	running := flock(f, unix.LOCK_EX|unix.LOCK_NB) != nil
	if info, err := f.Stat(); err != nil {
		return err
	} else if !running && info.Size() == 0 && time.Since(info.ModTime()) < time.Minute {
		return nil // made a moment ago, and not locked yet
	}
	r, err := readRun(f, id, running)
	if err != nil {
		return err
	}
	if err := h.store(ctx, r); err != nil {
		return err
	}
	if running {
		return nil
	}
	return os.Remove(path)
}

// A record is a run as its file tells it.
type record struct {
	run      Run
	hits     string
	steps    map[string]*Step
	metrics  []pipeline.Event
	messages []pipeline.Event
}

// readRun reads the lines of r. A line that is malformed, as the last one of a
// killed process may be, is skipped.
func readRun(r io.Reader, id string, running bool) (*record, error) {
	rec := &record{steps: map[string]*Step{}}
	rec.run = Run{ID: id, Status: Killed, Exit: -1}
	if running {
		rec.run.Status = Running
	}
	last := time.Time{}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		if at := rec.line(lines.Bytes()); at.After(last) {
			last = at
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return nil, err
	}
	if rec.run.Exit < 0 {
		rec.finish(last, running)
	}
	return rec, nil
}

// finish counts what a run without a last line did until the time last.
func (r *record) finish(last time.Time, running bool) {
	if last.After(r.run.Started) {
		r.run.Seconds = last.Sub(r.run.Started).Seconds()
	}
	for _, s := range r.steps {
		switch s.Status {
		case pipeline.Ran:
			r.run.Ran++
		case pipeline.Cached:
			r.run.Cached++
		case pipeline.Failed:
			r.run.Failed++
		case pipeline.Skipped:
			r.run.Skipped++
		default:
			if !running {
				s.Status = pipeline.Interrupted
				r.run.Interrupted++
			}
		}
	}
}

// line reads one line and returns its time, if it has one.
func (r *record) line(b []byte) time.Time {
	var head struct {
		Record string `json:"record"`
	}
	if json.Unmarshal(b, &head) != nil {
		return time.Time{}
	}
	switch head.Record {
	case "":
		var e pipeline.Event
		if json.Unmarshal(b, &e) != nil {
			return time.Time{}
		}
		r.event(e)
		return e.Time
	case "run":
		var v runRecord
		if json.Unmarshal(b, &v) == nil {
			r.run.File, r.run.Name, r.run.Started, r.run.Version = v.File, v.Name, v.Started, v.Version
		}
	case "log":
		var v logRecord
		if json.Unmarshal(b, &v) == nil {
			r.step(v.Step).Log = v.Log
		}
	case "end":
		var v endRecord
		if json.Unmarshal(b, &v) == nil {
			r.ended(v)
		}
	}
	return time.Time{}
}

func (r *record) ended(v endRecord) {
	r.run.Exit, r.run.Seconds, r.hits = v.Exit, v.Seconds, v.Hits
	r.run.Ran, r.run.Cached, r.run.Failed = v.Ran, v.Cached, v.Failed
	r.run.Skipped, r.run.Interrupted = v.Skipped, v.Interrupted
	switch v.Exit {
	case 0:
		r.run.Status = Done
	case 2:
		r.run.Status = Wrong
	case 3:
		r.run.Status = Interrupted
	default:
		r.run.Status = Failed
	}
}

func (r *record) step(name string) *Step {
	s := r.steps[name]
	if s == nil {
		s = &Step{Step: name}
		r.steps[name] = s
	}
	return s
}

func (r *record) event(e pipeline.Event) {
	switch f := e.Fact.(type) {
	case pipeline.StepStart:
		s := r.step(e.Step)
		s.Kind, s.Key, s.Why = f.Kind, f.Key.String(), f.Reason
	case pipeline.StepEnd:
		s := r.step(e.Step)
		s.Status, s.Reason, s.Usage, s.Outputs = f.Status, f.Reason, f.Usage, f.Outputs
		s.Key = cmp.Or(f.Key, s.Key)
	case pipeline.Metric:
		r.metrics = append(r.metrics, e)
	case pipeline.Log, pipeline.Retry, pipeline.Trouble:
		r.messages = append(r.messages, e)
	}
}

// store replaces what the database knows of the run of r.
func (h *History) store(ctx context.Context, r *record) error {
	tx, err := h.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, table := range []string{"steps", "metrics", "messages"} {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE run = ?", r.run.ID); err != nil {
			return err
		}
	}
	u := &r.run
	_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO runs VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		u.ID, u.File, u.Name, u.Started.UnixNano(), u.Seconds, u.Status, u.Exit, u.Version,
		u.Ran, u.Cached, u.Failed, u.Skipped, u.Interrupted, r.hits)
	if err == nil {
		err = h.storeSet(ctx, tx, r.hits)
	}
	if err == nil {
		err = r.insert(ctx, tx)
	}
	if err != nil {
		return err
	}
	return tx.Commit()
}

// storeSet copies a list of cached steps into the database. A list that is
// missing or is not what its name says is left out.
func (h *History) storeSet(ctx context.Context, tx *sql.Tx, digest string) error {
	if _, err := pipeline.ParseDigest(digest); err != nil {
		return nil
	}
	var n int
	err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sets WHERE digest = ?", digest).Scan(&n)
	if err != nil || n > 0 {
		return err
	}
	f, err := os.Open(filepath.Join(h.sets(), digest))
	if err != nil {
		return nil
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, maxSet))
	if err != nil || pipeline.SumBytes(body).String() != digest {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO sets VALUES (?,?)", digest, body)
	return err
}

func (r *record) insert(ctx context.Context, tx *sql.Tx) error {
	id := r.run.ID
	for _, s := range r.steps {
		outputs := []byte("{}")
		if len(s.Outputs) > 0 {
			var err error
			if outputs, err = json.Marshal(s.Outputs); err != nil {
				return err
			}
		}
		log := ""
		if !s.Log.IsZero() {
			log = s.Log.String()
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO steps VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
			id, s.Step, s.Kind, s.Key, s.Status, s.Why, s.Reason, s.Seconds, s.CPUSeconds, s.PeakMemory, string(outputs), log)
		if err != nil {
			return err
		}
	}
	for _, e := range r.metrics {
		m := e.Fact.(pipeline.Metric)
		value := sql.NullFloat64{Float64: m.Value, Valid: !math.IsNaN(m.Value)}
		if _, err := tx.ExecContext(ctx, "INSERT INTO metrics VALUES (?,?,?,?,?,?)", id, e.Step, m.Name, m.At, value, e.Time.UnixNano()); err != nil {
			return err
		}
	}
	for _, e := range r.messages {
		level, text := message(e.Fact)
		if _, err := tx.ExecContext(ctx, "INSERT INTO messages VALUES (?,?,?,?,?)", id, e.Step, e.Time.UnixNano(), level, text); err != nil {
			return err
		}
	}
	return nil
}

// message returns what a fact says to people.
func message(f pipeline.Fact) (level, text string) {
	switch f := f.(type) {
	case pipeline.Log:
		return f.Level, f.Message
	case pipeline.Retry:
		return "warn", "attempt failed: " + f.Message
	case pipeline.Trouble:
		return "error", f.Problem.Error()
	}
	panic("history: no message in " + f.EventName())
}

// parseSet reads a list of cached steps.
func parseSet(body []byte, f func(step, key string)) {
	for line := range bytes.Lines(body) {
		step, key, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), "\t")
		if ok {
			f(step, key)
		}
	}
}
