package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/pipe-run/pipe/pipeline/run"
	"github.com/pipe-run/pipe/steps"
)

// execStep is `pipe exec-step DIR [--events FD|FILE]`: it runs one step in a
// prepared folder. Started by pipe run, it speaks over inherited descriptors;
// with --events it stands alone, as on another machine, and writes its events
// to a file or to an open descriptor.
func (a *app) execStep(args []string) int {
	var dir, events string
	switch {
	case len(args) == 1:
		dir = args[0]
	case len(args) == 3 && args[1] == "--events":
		dir, events = args[0], args[2]
	default:
		fmt.Fprintln(a.err, "pipe: usage: pipe exec-step DIR [--events FD|FILE]")
		return exitWrong
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		fmt.Fprintln(a.err, "pipe:", err)
		return exitWrong
	}
	if events == "" {
		return run.Child(context.Background(), dir, steps.All(), run.LocalStreams())
	}
	f, err := eventsFile(events)
	if err != nil {
		fmt.Fprintln(a.err, "pipe:", err)
		return exitWrong
	}
	ctx, stop := interruptible()
	defer stop()
	return run.Child(ctx, dir, steps.All(), run.Streams{Events: f, Log: a.err})
}

// eventsFile opens a descriptor given by number, or makes a file.
func eventsFile(name string) (*os.File, error) {
	if fd, err := strconv.Atoi(name); err == nil && fd > 2 {
		return run.Inherited(fd, "events"), nil
	}
	return os.Create(name)
}
