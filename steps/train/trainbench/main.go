// Command trainbench trains when told to, so that a bench can take turns with
// another program.
//
//	trainbench make SHAPE DIR ROWS LENGTH
//
// writes a model of random weights to DIR/model, random rows, of whose tokens the
// later half is supervised, to DIR/tokens, and one short row to DIR/one.
//
//	trainbench about MODEL ROWS LENGTH RANK
//
// prints what training that model on such rows computes and may hold, as JSON.
//
//	trainbench train MODEL TOKENS OUT THREADS PARAMS
//
// trains with PARAMS, the JSON of a train step, and keeps what it leaves in OUT.
// For every line "update" on standard input it performs one update and prints
// the seconds that took; for "memory" it prints its peak of resident bytes. The
// first update also pays for what is prepared once.
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
	"github.com/pipe-run/pipe/steps/train"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "trainbench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 5 && args[0] == "make":
		rows, err1 := strconv.Atoi(args[3])
		length, err2 := strconv.Atoi(args[4])
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		return makeInputs(args[1], args[2], rows, length)
	case len(args) == 5 && args[0] == "about":
		var n [3]int
		for i := range n {
			var err error
			if n[i], err = strconv.Atoi(args[2+i]); err != nil {
				return err
			}
		}
		return about(args[1], n[0], n[1], n[2])
	case len(args) == 6 && args[0] == "train":
		threads, err := strconv.Atoi(args[4])
		if err != nil {
			return err
		}
		return serve(args[1], args[2], args[3], threads, args[5])
	}
	return errors.New("usage: trainbench make SHAPE DIR ROWS LENGTH | about MODEL ROWS LENGTH RANK | train MODEL TOKENS OUT THREADS PARAMS")
}

// A turn lets the training go on for one update and hears when it is done.
type turn struct {
	ask  chan struct{}
	done chan time.Time
}

// emit holds the training after every update until it is asked for the next.
func (t *turn) emit(f pipeline.Fact) {
	if m, ok := f.(pipeline.Metric); ok && m.Name == "train/loss" {
		t.done <- time.Now()
		<-t.ask
	}
}

// serve trains by turns until standard input ends.
func serve(model, tokens, out string, threads int, params string) error {
	step, err := train.Kind.New([]byte(params))
	if err != nil {
		return err
	}
	task := &pipeline.Task{
		In:  map[string]string{"model": model, "tokens": tokens},
		Out: map[string]string{}, Threads: threads, Log: slog.New(slog.DiscardHandler),
		Tmp: filepath.Join(out, "tmp"), State: filepath.Join(out, "state"),
	}
	for _, name := range []string{"adapter", "model"} {
		task.Out[name] = filepath.Join(out, name)
	}
	for _, dir := range []string{task.Tmp, task.State, task.Out["adapter"], task.Out["model"]} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	t := &turn{ask: make(chan struct{}), done: make(chan time.Time)}
	task.Emit = t.emit
	ended := make(chan error, 1)
	started := false
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		start := time.Now()
		switch {
		case lines.Text() == "memory":
			n, err := peakMemory()
			if err != nil {
				return err
			}
			fmt.Println(n)
			continue
		case !started:
			started = true
			go func() { ended <- step.Run(context.Background(), task) }()
		default:
			select {
			case t.ask <- struct{}{}:
			case err := <-ended:
				return fmt.Errorf("training has ended: %v", err)
			}
		}
		select {
		case at := <-t.done:
			fmt.Printf("%.6f\n", at.Sub(start).Seconds())
		case err := <-ended:
			return fmt.Errorf("training ended: %w", errors.Join(err, lines.Err()))
		}
	}
	if !started {
		return nil
	}
	// What is left of the training runs on, unwatched, so that its output is whole.
	close(t.ask)
	go func() {
		for range t.done {
		}
	}()
	return <-ended
}

// peakMemory is the peak of resident bytes of this process (Linux).
func peakMemory() (int64, error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("the kernel does not say")
}
