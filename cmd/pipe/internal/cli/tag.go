package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/history"
	"github.com/pipe-run/pipe/pipeline/plan"
)

func (a *app) tagCommand() *cobra.Command {
	var list, del, force, asJSON bool
	cmd := &cobra.Command{
		Use: "tag RUN NAME", Short: "Give a run that passed a name; pipe cache gc keeps its results", Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.open()
			if err != nil {
				return err
			}
			defer s.close()
			switch {
			case list && !del && len(args) == 0:
				return s.listTags(asJSON)
			case del && !list && len(args) == 1:
				return s.deleteTag(args[0])
			case list || del || asJSON || len(args) != 2:
				return usagef("pipe tag: usage: pipe tag RUN NAME, pipe tag --list, or pipe tag --delete NAME")
			}
			return s.tag(cmd.Context(), args[0], args[1], force)
		},
	}
	cmd.Flags().BoolVar(&list, "list", false, "list the tags")
	cmd.Flags().BoolVar(&del, "delete", false, "forget the tag NAME, of every pipeline that has one")
	cmd.Flags().BoolVar(&force, "force", false, "tag a run that failed too, with the results that it has")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// tags are those of the cache.
func (s *session) tags() *history.Tags {
	return history.OpenTags(filepath.Join(s.store.Dir(), "tags"))
}

// tag gives a run a name, which an earlier run of its pipeline may have had.
func (s *session) tag(ctx context.Context, id, name string, force bool) error {
	if err := history.CheckTagName(name); err != nil {
		return usageError{err}
	}
	r, err := s.findRun(ctx, id)
	if err != nil {
		return err
	}
	if r.Status != history.Done && !(force && r.Status == history.Failed) {
		return fmt.Errorf("run %s is not tagged: it ended as %s, and only a run that passed is tagged (--force tags one that failed)", r.ID, r.Status)
	}
	t := &history.Tag{Name: name, Pipeline: r.Name, Run: r.ID, File: r.File, Started: r.Started, Seconds: r.Seconds,
		Status: r.Status, Version: r.Version, Steps: map[string]history.TagStep{}}
	steps, err := s.past.history.Steps(ctx, r.ID)
	if err != nil {
		return err
	}
	for _, st := range steps {
		step, err := s.tagStep(ctx, st)
		if errors.Is(err, pipeline.ErrNotFound) && r.Status != history.Done {
			continue
		}
		if err != nil {
			return fmt.Errorf("run %s is not tagged: step %s: %w; run the pipeline again", r.ID, st.Step, err)
		}
		t.Steps[st.Step] = step
	}
	if err := s.tags().Set(t); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s: run %s of %s, %s\n", name, r.ID, r.Name, count(len(t.Steps), "result"))
	return err
}

// tagStep reads what a step of a run left, which must still be in the cache.
func (s *session) tagStep(ctx context.Context, st history.Step) (step history.TagStep, err error) {
	k, err := pipeline.ParseKey(st.Key)
	if err != nil {
		return step, pipeline.ErrNotFound
	}
	r, err := s.store.Lookup(ctx, k)
	if err != nil {
		return step, err
	}
	raw, err := s.past.Preimage(ctx, k)
	if err != nil {
		return step, err
	}
	var action struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(raw, &action); err != nil {
		return step, err
	}
	step = history.TagStep{Kind: action.Kind, Key: k, Outputs: map[string]pipeline.Digest{}}
	measures := false
	for name, art := range r.Outputs {
		step.Outputs[name] = art.Root
		measures = measures || art.Type == pipeline.TypeMetrics
	}
	if measures {
		step.Metrics, err = plan.Metrics(s.store.FS, r)
	}
	return step, err
}

func (s *session) listTags(asJSON bool) error {
	tags, damaged, err := s.tags().List()
	if err != nil {
		return err
	}
	for _, d := range damaged {
		fmt.Fprintln(s.err, "pipe:", d)
	}
	if asJSON {
		if tags == nil {
			tags = []*history.Tag{}
		}
		return s.printJSON(tags)
	}
	if len(tags) == 0 {
		_, err := fmt.Fprintln(s.out, "no tags yet")
		return err
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, tag := range tags {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", tag.Name, tag.Pipeline, tag.Run, tag.Started.Local().Format(time.DateTime), tag.Status)
	}
	return t.Flush()
}

// deleteTag forgets a tag of all pipelines that have it.
func (s *session) deleteTag(name string) error {
	tags, _, err := s.tags().List()
	if err != nil {
		return err
	}
	var names []string
	found := false
	for _, tag := range tags {
		if names = append(names, tag.Name); tag.Name != name {
			continue
		}
		found = true
		if err := s.tags().Delete(tag.Pipeline, name); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "forgot %s, run %s of %s\n", name, tag.Run, tag.Pipeline)
	}
	if !found {
		return usagef("no run is tagged %s%s", name, suggest(name, names))
	}
	return nil
}
