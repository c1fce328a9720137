// Command convertbench reads rows and converts them, for internal/bench.
//
//	convertbench serve            answers each line with seconds:
//	                                read PATH THREADS     reads all rows of a file, every text of them counted
//	                                records PATH THREADS  converts alpaca rows to records in a folder of its own
//	convertbench make PATH BYTES  writes alpaca rows, as JSONL or CSV by the path's ending
//	convertbench records PATH THREADS   does it once, so that its memory can be measured
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/convert"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "convertbench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "serve":
		return serve(os.Stdin, os.Stdout)
	case len(args) == 3 && args[0] == "make":
		size, err := strconv.ParseInt(args[2], 10, 64)
		if err != nil {
			return err
		}
		return makeRows(args[1], size)
	case len(args) == 3:
		seconds, err := work(strings.Join(args, " "))
		fmt.Println(seconds)
		return err
	}
	return errors.New("see the comment of this program")
}

func serve(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		seconds, err := work(lines.Text())
		if err != nil {
			return err
		}
		fmt.Fprintln(out, seconds)
	}
	return lines.Err()
}

func work(line string) (float64, error) {
	var what, path string
	var threads int
	if _, err := fmt.Sscan(line, &what, &path, &threads); err != nil {
		return 0, err
	}
	start := time.Now()
	var err error
	switch what {
	case "read":
		err = read(path, threads)
	case "records":
		err = records(path, threads)
	default:
		err = fmt.Errorf("unknown work %q", what)
	}
	return time.Since(start).Seconds(), err
}

// read visits every value of a file's rows.
func read(path string, threads int) error {
	rows, err := dataset.Open(path, filepath.Base(path), dataset.Options{Threads: threads})
	if err != nil {
		return err
	}
	defer rows.Close()
	texts := 0
	for {
		raw, err := rows.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		for i := range raw.Value.Fields {
			texts += len(raw.Value.Fields[i].Value.Text)
		}
	}
	if texts == 0 {
		return errors.New("no text was read")
	}
	return nil
}

// records runs the convert step.
func records(path string, threads int) error {
	step, err := convert.Kind.New([]byte(`{"format":"alpaca","container":"auto","onError":"fail"}`))
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(path), "records-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	in, out, tmp := filepath.Join(work, "in"), filepath.Join(work, "out"), filepath.Join(work, "tmp")
	for _, dir := range []string{in, out, tmp} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			return err
		}
	}
	if err := os.Link(path, filepath.Join(in, filepath.Base(path))); err != nil {
		return err
	}
	return step.Run(context.Background(), &pipeline.Task{
		In: map[string]string{"files": in}, Out: map[string]string{"records": out}, Tmp: tmp, Threads: threads,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Emit: func(pipeline.Fact) {},
	})
}
