package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

//go:embed peer/read_rows.py
var readSource string

const (
	// convertBytes is how much CSV and JSONL is read.
	convertBytes = 200 << 20
	// convertSmall and convertLarge are inputs that should take equal memory.
	convertSmall, convertLarge = 10 << 20, 2 << 30
)

// converts measures reading of CSV and Parquet beside the fastest readers there
// are, on as many threads, and JSONL becoming records beside Hugging Face
// datasets loading it. The peers materialise all columns in memory, as text;
// pipe visits every value of every row, as text too. Memory is the peak of a
// process that converts.
func converts(l *lab) []Result {
	bin := l.path("convertbench")
	missed := func(err error) []Result { return []Result{missing("convert/csv", "MB/s", "higher", "DuckDB", err)} }
	if err := build(bin, "./steps/convert/convertbench"); err != nil {
		return missed(err)
	}
	csv, jsonl := l.path("rows.csv"), l.path("rows.jsonl")
	for _, path := range []string{csv, jsonl} {
		if err := l.run(bin, "make", path, fmt.Sprint(convertBytes)); err != nil {
			return missed(err)
		}
	}
	pipe, err := serve(bin, "serve")
	if err != nil {
		return missed(err)
	}
	defer pipe.close()
	peer, err := l.readers()
	if err == nil {
		defer peer.close()
		_, err = peer.ask("pyarrow make-parquet " + csv)
	}
	if err != nil {
		return missed(err)
	}
	var results []Result
	for _, reader := range []string{"duckdb", "pyarrow", "polars"} {
		results = append(results, l.reading(pipe, peer, reader, "csv", csv), l.reading(pipe, peer, reader, "parquet", strings.TrimSuffix(csv, "csv")+"parquet"))
	}
	results = append(results, l.recording(pipe, peer, jsonl))
	return append(results, l.convertMemory(bin))
}

// readers starts the Python peers.
func (l *lab) readers() (*server, error) {
	if _, err := os.Stat(python); err != nil {
		return nil, errors.New("the Python peers are not installed; run make interop")
	}
	if err := l.write("read_rows.py", readSource); err != nil {
		return nil, err
	}
	return serve(python, l.path("read_rows.py"), fmt.Sprint(runtime.NumCPU()))
}

// reading is within budget when pipe is no more than half as slow again.
func (l *lab) reading(pipe, peer *server, reader, what, path string) Result {
	r := Result{Name: "convert/" + what + "/" + reader, Unit: "MB/s", Better: "higher", Reference: reader, Budget: 0.667, BudgetOn: "ratio"}
	return l.speed(r, path, func() (float64, error) { return pipe.ask(fmt.Sprintf("read %s %d", path, runtime.NumCPU())) },
		func() (float64, error) { return peer.ask(reader + " " + what + " " + path) })
}

func (l *lab) recording(pipe, peer *server, path string) Result {
	r := Result{Name: "convert/jsonl-records", Unit: "MB/s", Better: "higher", Reference: "datasets", Budget: 5, BudgetOn: "ratio"}
	return l.speed(r, path, func() (float64, error) { return pipe.ask(fmt.Sprintf("records %s %d", path, runtime.NumCPU())) },
		func() (float64, error) { return peer.ask("datasets jsonl " + path) })
}

// speed measures both over a file.
func (l *lab) speed(r Result, path string, ours, theirs func() (float64, error)) Result {
	info, err := os.Stat(path)
	if err != nil {
		r.Note = err.Error()
		return r
	}
	a, b, ratio, err := l.pair(ours, theirs)
	if err != nil {
		r.Note = err.Error()
		return r
	}
	size := float64(info.Size()) / 1e6
	r.Value, r.ReferenceValue, r.Ratio = size/a, size/b, 1/ratio
	return r
}

// convertMemory compares the peaks of converting little and much.
func (l *lab) convertMemory(bin string) Result {
	r := Result{Name: "convert/memory/2GiB", Unit: "MB", Better: "lower", Reference: "10 MiB", Budget: 1.5, BudgetOn: "ratio"}
	peak := func(size int64) (float64, error) {
		path := l.path(fmt.Sprintf("memory-%d.jsonl", size))
		defer os.Remove(path)
		if err := l.run(bin, "make", path, fmt.Sprint(size)); err != nil {
			return 0, err
		}
		cmd := exec.Command(bin, "records", path, fmt.Sprint(runtime.NumCPU()))
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%w: %s", err, out)
		}
		return float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) * 1024 / 1e6, nil
	}
	var err error
	if r.ReferenceValue, err = peak(convertSmall); err == nil {
		r.Value, err = peak(convertLarge)
	}
	if err != nil {
		r.Note = err.Error()
		return r
	}
	r.Ratio = r.Value / r.ReferenceValue
	return r
}
