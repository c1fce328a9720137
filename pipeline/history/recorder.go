package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pipe-run/pipe/pipeline"
)

// A Recorder writes the events of one run. It is safe for concurrent use.
//
// Its file holds JSON lines: one like {"record":"run",…} first, then the
// events that history keeps as [pipeline.Event] prints them, lines like
// {"record":"log",…}, and {"record":"end",…} last, unless the run was killed.
// Cached steps are listed in a file of their own, named by its digest, so that
// equal runs share it.
type Recorder struct {
	history *History

	mu      sync.Mutex // guards what follows
	file    *os.File
	out     *bufio.Writer
	flushed time.Time
	hits    []hit
	end     endRecord
	err     error
}

// A hit is a cached step.
type hit struct{ step, key string }

// A runRecord is the first line.
type runRecord struct {
	Record  string    `json:"record"` // "run"
	ID      string    `json:"id"`
	File    string    `json:"file"`
	Name    string    `json:"name"`
	Started time.Time `json:"started"`
	Version string    `json:"version"`
}

// A logRecord says which blob is the log of a step.
type logRecord struct {
	Record string          `json:"record"` // "log"
	Step   string          `json:"step"`
	Log    pipeline.Digest `json:"log"`
}

// An endRecord is the last line.
type endRecord struct {
	Record      string  `json:"record"` // "end"
	Exit        int     `json:"exit"`
	Seconds     float64 `json:"seconds"`
	Ran         int     `json:"ran"`
	Cached      int     `json:"cached"`
	Failed      int     `json:"failed"`
	Skipped     int     `json:"skipped"`
	Interrupted int     `json:"interrupted"`
	Hits        string  `json:"hits"` // digest of the list of cached steps
}

// Begin starts the record of the run called id, which [NewID] made, of the
// pipeline in file, an absolute path. version is that of pipe.
func (h *History) Begin(id, file, name, version string, started time.Time) (*Recorder, error) {
	r, err := h.begin(id, file, name, version, started)
	if err != nil {
		return nil, fmt.Errorf("recording run %s: %w", id, err)
	}
	return r, nil
}

func (h *History) begin(id, file, name, version string, started time.Time) (*Recorder, error) {
	if !validID(id) {
		return nil, errors.New("not the name of a run")
	}
	if err := os.MkdirAll(h.spool(), 0o777); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(h.spool(), id+".jsonl"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	if err := flock(f, unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	r := &Recorder{history: h, file: f, out: bufio.NewWriterSize(f, 64<<10), flushed: time.Now()}
	r.write(runRecord{"run", id, file, name, started, version})
	r.out.Flush()
	return r, r.err
}

func (h *History) spool() string { return h.path + ".spool" }
func (h *History) sets() string  { return h.path + ".sets" }

// Event notes what history keeps of e. Errors are returned by Close.
func (r *Recorder) Event(e pipeline.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch f := e.Fact.(type) {
	case pipeline.StepEnd:
		if f.Status == pipeline.Cached && f.Reason == "" {
			r.hits = append(r.hits, hit{e.Step, f.Key})
			return
		}
		r.write(e)
		r.out.Flush()
	case pipeline.StepStart, pipeline.Metric, pipeline.Retry, pipeline.Trouble:
		r.write(e)
	case pipeline.Log:
		if f.Level != "info" {
			r.write(e)
		}
	case pipeline.RunEnd:
		r.end = endRecord{
			Seconds: f.Seconds, Ran: f.Ran, Cached: f.Cached, Failed: f.Failed,
			Skipped: f.Skipped, Interrupted: f.Interrupted,
		}
	}
	if time.Since(r.flushed) > time.Second {
		r.out.Flush()
		r.flushed = time.Now()
	}
}

// Log notes that the blob d is the log of step.
func (r *Recorder) Log(step string, d pipeline.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write(logRecord{"log", step, d})
}

// write appends one line. It is called with mu held, or before r is shared.
func (r *Recorder) write(v any) {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = r.out.Write(append(b, '\n'))
	}
	if r.err == nil {
		r.err = err
	}
}

// Close ends the record. exit is the exit code of the process. It returns the
// first error of all.
func (r *Recorder) Close(exit int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end.Record, r.end.Exit = "end", exit
	var err error
	r.end.Hits, err = r.history.putSet(r.hits)
	r.write(r.end)
	if err := errors.Join(r.err, err, r.out.Flush(), r.file.Close()); err != nil {
		return fmt.Errorf("recording run: %w", err)
	}
	return nil
}

// putSet stores the list of cached steps and returns its digest.
func (h *History) putSet(hits []hit) (string, error) {
	if len(hits) == 0 {
		return "", nil
	}
	slices.SortFunc(hits, func(a, b hit) int { return strings.Compare(a.step, b.step) })
	b := make([]byte, 0, 96*len(hits))
	for _, x := range hits {
		b = append(append(b, x.step...), '\t')
		b = append(append(b, x.key...), '\n')
	}
	digest := pipeline.SumBytes(b).String()
	path := filepath.Join(h.sets(), digest)
	if info, err := os.Stat(path); err == nil && info.Size() == int64(len(b)) {
		return digest, nil
	}
	if err := os.MkdirAll(h.sets(), 0o777); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(h.sets(), "new-")
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return digest, nil
}
