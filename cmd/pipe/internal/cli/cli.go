// Package cli is the command line of pipe: one file a command.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/cmd/pipe/internal/view"
	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/history"
	"github.com/pipe-run/pipe/pipeline/run"
)

// The exit codes of pipe.
const (
	exitDone        = 0
	exitFailed      = 1 // a step or a gate failed
	exitWrong       = 2 // the pipeline or the command is wrong
	exitInterrupted = 3
)

// gcPercent is how much the heap grows between collections, but in steps: to
// remember a graph takes milliseconds, and a few megabytes that live on.
const gcPercent = 400

// An app is one invocation.
type app struct {
	in       io.Reader
	out, err io.Writer

	github     *view.GitHub // nil unless GitHub Actions listens
	jobSummary string       // the file that it shows as the summary of a job, or empty

	summarised bool // pipe run has printed its last line
}

// Main runs the command line and returns the exit code.
func Main(args []string, in io.Reader, out, errs io.Writer) int {
	printed := &output{w: out}
	a := &app{in: in, out: printed, err: errs}
	if len(args) > 0 && args[0] == "exec-step" {
		return a.execStep(args[1:])
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if err := a.meetCI(args, out); err != nil {
		return a.exit(err)
	}
	ctx, stop := interruptible()
	defer stop()
	root := a.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	if err != nil && !a.summarised && len(args) > 0 && args[0] == "run" && asksJSON(args) {
		err = a.summarise(a.view(true), pipeline.RunEnd{ID: history.NewID(time.Now()), Steps: map[string]pipeline.StepSummary{}}, err)
	}
	code := a.exit(err)
	if lost := printed.lost(); lost != nil && code == exitDone {
		a.complain(fmt.Errorf("not all of the output could be written: %w", lost))
		return exitFailed
	}
	return code
}

// asksJSON reports whether a command line, which may be wrong, has --json.
func asksJSON(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		value, ok := strings.CutPrefix(arg, "--json=")
		yes, _ := strconv.ParseBool(value)
		return arg == "--json" || ok && yes
	})
}

// interruptible returns a context that the first Ctrl-C or SIGTERM ends; the
// second one kills the steps that are still stopping, and a third one this
// process, whatever it waits for.
func interruptible() (context.Context, func()) {
	kill := make(chan struct{})
	ctx, cancel := context.WithCancel(run.WithKill(context.Background(), kill))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, ok := <-signals; ok {
			cancel()
		}
		if _, ok := <-signals; ok {
			signal.Stop(signals)
			close(kill)
		}
	}()
	return ctx, func() { signal.Stop(signals); close(signals); cancel() }
}

// An exitError is an error whose message has been shown, with its code.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// exit shows err and maps it to an exit code.
func (a *app) exit(err error) int {
	var shown exitError
	if errors.As(err, &shown) {
		return shown.code
	}
	if err != nil && !errors.Is(err, run.ErrFailed) && !errors.Is(err, run.ErrInterrupted) {
		a.complain(err)
	}
	return codeOf(err)
}

func codeOf(err error) int {
	var problems pipeline.Problems
	var problem *pipeline.Problem
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, run.ErrInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &problems), errors.As(err, &problem), errors.As(err, &usage):
		return exitWrong
	}
	return exitFailed
}

// complain prints an error: problems as they are, at the user's line.
func (a *app) complain(err error) {
	ps := problemsOf(err)
	for _, p := range ps {
		fmt.Fprintln(a.err, p.Error())
	}
	if ps == nil {
		fmt.Fprintln(a.err, "pipe:", err)
		ps = pipeline.Problems{{Message: err.Error()}}
	}
	if a.github != nil {
		for _, p := range ps {
			a.github.Problem("pipe", p)
		}
	}
}

// problemsOf returns the problems that err is, or nil.
func problemsOf(err error) pipeline.Problems {
	var problems pipeline.Problems
	if errors.As(err, &problems) {
		return problems
	}
	var problem *pipeline.Problem
	if errors.As(err, &problem) {
		return pipeline.Problems{problem}
	}
	return nil
}

// A usageError is a wrong command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "pipe",
		Short:         "Run fine-tuning pipelines written in CUE, with every step cached",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.Version = versionText()
	root.SetVersionTemplate("{{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w (%s --help lists the flags)", err, cmd.CommandPath())
	})
	for _, c := range a.commands() {
		wrapArgs(c)
		root.AddCommand(c)
	}
	return root
}

// wrapArgs makes a wrong number of arguments a usage error that shows the
// right one.
func wrapArgs(c *cobra.Command) {
	args := c.Args
	c.Args = func(cmd *cobra.Command, got []string) error {
		if err := args(cmd, got); err != nil {
			return usagef("%s: %w; usage: %s", cmd.CommandPath(), err, cmd.UseLine())
		}
		return nil
	}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	if s := cmd.SuggestionsFor(name); len(s) > 0 {
		return usagef("unknown command %q; did you mean %q?", name, s[0])
	}
	return usagef("unknown command %q; %s --help lists the commands", name, cmd.CommandPath())
}

// printJSON writes v, indented, with a newline.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
