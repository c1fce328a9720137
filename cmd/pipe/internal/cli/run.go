package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/cmd/pipe/internal/view"
	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/history"
	"github.com/pipe-run/pipe/pipeline/plan"
	"github.com/pipe-run/pipe/pipeline/run"
)

type runFlags struct {
	source
	jobs      int
	jobsGiven bool
	keepGoing bool
	locked    bool
	fresh     []string
	asJSON    bool

	junit      string
	junitGiven bool
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use: "run FILE [STEP…]", Short: "Run a pipeline, or the named steps and what they need", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.file, f.jobsGiven, f.junitGiven = args[0], cmd.Flags().Changed("jobs"), cmd.Flags().Changed("junit")
			return a.run(cmd.Context(), f, args[1:])
		},
	}
	f.tagFlag(cmd)
	f.cacheFromFlag(cmd)
	cmd.Flags().IntVarP(&f.jobs, "jobs", "j", 0, "steps at once (default: the cores)")
	cmd.Flags().BoolVar(&f.keepGoing, "keep-going", false, "after a failure, still run what does not depend on it")
	cmd.Flags().BoolVar(&f.locked, "locked", false, "refuse sources that pipe.lock does not pin")
	cmd.Flags().StringArrayVar(&f.fresh, "fresh", nil, "run `STEP` even when its result is cached")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print one event a line")
	cmd.Flags().StringVar(&f.junit, "junit", "", "write how every step ended to `FILE`, as JUnit does")
	return cmd
}

// run is the main job. With --json the last line is the run's summary,
// whatever went wrong.
func (a *app) run(ctx context.Context, f runFlags, targets []string) error {
	ctx, stop := untilUnread(ctx)
	defer stop()
	start := time.Now()
	id := history.NewID(start)
	end := pipeline.RunEnd{ID: id, Steps: map[string]pipeline.StepSummary{}}
	w, err := a.watchRun(f, start)
	if err == nil {
		end, err = a.runGraph(ctx, start, id, f, targets, w)
		if ctx.Err() != nil && err != nil && !errors.Is(err, run.ErrFailed) {
			err = run.ErrInterrupted
		}
		if lost := w.end(end, err); lost != nil && err == nil {
			err = lost
		} else if lost != nil {
			a.complain(lost)
		}
	}
	if f.asJSON {
		return a.summarise(w.screen, end, err)
	}
	if err == nil || errors.Is(err, run.ErrFailed) || errors.Is(err, run.ErrInterrupted) {
		w.screen.Event(pipeline.Event{Time: time.Now(), Fact: end})
	}
	w.screen.Close()
	return err
}

// untilUnread returns a context that ends when nobody reads what is printed:
// the run is then interrupted, rather than killed by the signal.
func untilUnread(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	unread := make(chan os.Signal, 1)
	signal.Notify(unread, syscall.SIGPIPE)
	go func() {
		select {
		case <-unread:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(unread); cancel() }
}

// summarise ends the JSON of a run: with the errors that no event has said
// yet, and the last line.
func (a *app) summarise(v view.View, end pipeline.RunEnd, err error) error {
	a.summarised = true
	for _, p := range problemsToShow(err) {
		v.Event(pipeline.Event{Time: time.Now(), Fact: pipeline.Trouble{Problem: *p}})
	}
	v.Event(pipeline.Event{Time: time.Now(), Fact: end})
	v.Close()
	if err != nil {
		return exitError{codeOf(err)}
	}
	return nil
}

// problemsToShow are the errors that no event has said yet.
func problemsToShow(err error) pipeline.Problems {
	if err == nil || errors.Is(err, run.ErrFailed) || errors.Is(err, run.ErrInterrupted) {
		return nil
	}
	if ps := problemsOf(err); ps != nil {
		return ps
	}
	return pipeline.Problems{{Message: err.Error()}}
}

func (a *app) runGraph(ctx context.Context, start time.Time, id string, f runFlags, targets []string, w *watch) (pipeline.RunEnd, error) {
	end := pipeline.RunEnd{ID: id, Steps: map[string]pipeline.StepSummary{}}
	if f.jobsGiven && f.jobs < 1 {
		return end, usagef("-j must be at least 1, got %d", f.jobs)
	}
	s, err := a.openPipeline(ctx, f.source)
	if err != nil {
		return end, err
	}
	defer s.close()
	all := s.graph
	if err := s.target(targets); err != nil {
		return end, err
	}
	w.graph(s)
	for _, name := range f.fresh {
		if all.Node(name) != nil && s.graph.Node(name) == nil {
			return end, usagef("--fresh %s: none of the named steps needs it; name it too", name)
		}
	}
	var rec *recorder
	o, err := s.options(f, func(step string, log pipeline.Digest) { rec.log(step, log) })
	if err != nil {
		return end, err
	}
	rec = s.startRecord(id, start)
	o.ID = id
	o.Emit = func(e pipeline.Event) {
		rec.event(e)
		w.event(e)
	}
	end, err = run.Graph(ctx, s.graph, o)
	rec.end(end, err)
	s.saveSnapshot()
	return end, err
}

// options say how to run, from the flags. logged is told of each step's log.
func (s *session) options(f runFlags, logged func(step string, log pipeline.Digest)) (run.Options, error) {
	planner := s.planner()
	s.from.pullInto(planner)
	planner.Fresh = map[string]bool{}
	for _, name := range f.fresh {
		if s.graph.Node(name) == nil {
			return run.Options{}, usageError{s.noStep(name)}
		}
		planner.Fresh[name] = true
	}
	downloads, err := s.store.Downloads()
	if err != nil {
		downloads = "" // a cache that only reads can still serve hits
	}
	local := &run.Local{Kinds: s.kinds, Store: s.store, Secret: os.LookupEnv, Downloads: downloads, Logged: logged}
	local.Record = s.record
	local.Lookup = func(ctx context.Context, a *pipeline.Action) (*pipeline.Result, error) {
		if planner.Fresh[a.Node.Name] {
			return nil, pipeline.ErrNotFound
		}
		return planner.Cache.Lookup(ctx, a.Key())
	}
	o := run.Options{
		Planner: planner, Execute: local.Execute, Done: local.Done, Lock: s.store.Lock, Record: s.record,
		Jobs: f.jobs, KeepGoing: f.keepGoing, Memory: machineMemory(),
	}
	if !f.locked {
		o.Online = &plan.Online{Downloads: downloads, Pinned: s.pins.add}
	}
	return o, nil
}

// record keeps a result, and what it was made from beside it.
func (s *session) record(ctx context.Context, a *pipeline.Action, r *pipeline.Result) error {
	if err := s.keepPreimage(ctx, a); err != nil {
		return err
	}
	return s.store.Record(ctx, a.Key(), r)
}

// view picks how to show a run.
func (a *app) view(asJSON bool) view.View {
	v := a.plainView(asJSON)
	if a.github != nil {
		return view.All(v, a.github)
	}
	return v
}

func (a *app) plainView(asJSON bool) view.View {
	if asJSON {
		return view.JSON(a.out)
	}
	if f := a.terminal(); f != nil {
		return view.Terminal(f)
	}
	return view.Plain(a.out, a.err)
}
