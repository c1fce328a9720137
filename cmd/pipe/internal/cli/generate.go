package cli

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/run"
	"github.com/pipe-run/pipe/steps/generate"
)

func (a *app) generateCommand() *cobra.Command {
	var src source
	o := generate.Options{}
	cmd := &cobra.Command{
		Use: "generate FILE STEP[.OUT] -p PROMPT", Short: "Try a model, or an adapter on its base model", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			src.file = args[0]
			if !cmd.Flags().Changed("prompt") {
				return usagef("pipe generate: a prompt is missing; usage: %s", cmd.UseLine())
			}
			if o.MaxNewTokens < 1 {
				return usagef("--max-tokens must be at least 1, got %d", o.MaxNewTokens)
			}
			o.Threads = runtime.GOMAXPROCS(0)
			o.Today = time.Now().Format(time.DateOnly)
			if err := o.Check(); err != nil {
				return usageError{err}
			}
			return a.generate(cmd.Context(), src, args[1], o)
		},
	}
	src.tagFlag(cmd)
	f := cmd.Flags()
	f.StringVarP(&o.Prompt, "prompt", "p", "", "what the model is asked")
	f.StringVar(&o.System, "system", "", "a system message before the prompt")
	f.StringVar(&o.Template, "template", "", "model, chatml or another built-in one, none, or Jinja source (default: what training used)")
	f.StringVar(&o.Date, "date", "", "the day a template is told that asks for the date (default: what training used, else today)")
	f.IntVar(&o.MaxNewTokens, "max-tokens", 256, "stop after so many tokens")
	f.Float64Var(&o.Temperature, "temperature", 0, "above 0: sample, the higher the bolder; 0: take the likeliest token")
	f.Float64Var(&o.TopP, "top-p", 0, "sample among the likeliest tokens that together have this probability; 0: among all")
	f.Uint64Var(&o.Seed, "seed", 0, "of sampling")
	return cmd
}

// A cleaner writes text that a terminal can trust: a model may say anything.
type cleaner struct{ w io.Writer }

func (c cleaner) Write(b []byte) (int, error) {
	_, err := io.WriteString(c.w, clean(string(b)))
	return len(b), err
}

func (a *app) generate(ctx context.Context, src source, name string, o generate.Options) error {
	s, err := a.openPipeline(ctx, src)
	if err != nil {
		return err
	}
	defer s.close()
	art, err := s.artifact(ctx, name)
	if err != nil {
		return err
	}
	model := art
	switch art.Type {
	case pipeline.TypeModel:
	case pipeline.TypeAdapter:
		step, _, _ := strings.Cut(name, ".")
		base, ok, err := s.feeder(ctx, step, "model")
		if err != nil {
			return err
		}
		if !ok {
			return usagef("nothing says which model the adapter of %s belongs to: its step has no input model", step)
		}
		model = base
		dir, done, err := s.folder(ctx, art.Root)
		if err != nil {
			return err
		}
		defer done()
		o.Adapter = dir
	default:
		return usagef("%s holds %s; only a model or an adapter can generate", name, art.Type)
	}
	dir, done, err := s.folder(ctx, model.Root)
	if err != nil {
		return err
	}
	defer done()
	o.Model = dir
	debug.SetGCPercent(100) // from here on this process computes
	err = generate.Text(ctx, o, cleaner{a.out})
	fmt.Fprintln(a.out)
	if ctx.Err() != nil {
		return run.ErrInterrupted
	}
	return err
}
