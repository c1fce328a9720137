package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/cmd/pipe/internal/view"
	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/run"
	"github.com/pipe-run/pipe/pipeline/store/disk"
)

// budget is how much the cache may hold by default.
const budget = "50GB"

func (a *app) cacheCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cache", Short: "Look after the cache", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return usagef("pipe cache: say which: du, gc, verify, export or import")
		},
	}
	for _, sub := range []*cobra.Command{a.cacheDuCommand(), a.cacheGCCommand(), a.cacheVerifyCommand(), a.cacheExportCommand(), a.cacheImportCommand()} {
		wrapArgs(sub)
		cmd.AddCommand(sub)
	}
	return cmd
}

func (a *app) cacheDuCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "du", Short: "Say what fills the cache", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.open()
			if err != nil {
				return err
			}
			defer s.close()
			u, err := s.store.DiskUsage(cmd.Context())
			if err != nil {
				return interruptedOr(cmd.Context(), err)
			}
			if asJSON {
				return a.printJSON(u)
			}
			t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
			for _, l := range []struct {
				name string
				disk.Count
			}{
				{"blobs", u.Blobs}, {"results", u.Results}, {"downloads", u.Downloads},
				{"work", u.Work}, {"other", u.Other}, {"total", u.Total},
			} {
				fmt.Fprintf(t, "%s\t%s\t%s\t\n", l.name, count(l.Files, "file"), view.Bytes(l.Bytes))
			}
			return t.Flush()
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// A gcPage is the JSON of pipe cache gc.
type gcPage struct {
	Deleted bool  `json:"deleted"` // false for a dry run
	Budget  int64 `json:"budget"`
	*disk.GCResult
}

func (a *app) cacheGCCommand() *cobra.Command {
	var asJSON, del bool
	var text string
	cmd := &cobra.Command{
		Use: "gc", Short: "Say what must go to keep the cache under its budget; --delete does it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bytes, err := parseSize(text)
			if err != nil {
				return usagef("--budget: %w", err)
			}
			page, err := a.gc(cmd.Context(), bytes, del)
			if err != nil {
				return interruptedOr(cmd.Context(), err)
			}
			if asJSON {
				return a.printJSON(page)
			}
			return a.printGC(page)
		},
	}
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&del, "delete", false, "delete, rather than say what would be deleted")
	cmd.Flags().StringVar(&text, "budget", budget, "`SIZE` that the cache may keep, such as 500MB or 20GiB")
	return cmd
}

func (a *app) gc(ctx context.Context, bytes int64, del bool) (*gcPage, error) {
	s, err := a.open()
	if err != nil {
		return nil, err
	}
	defer s.close()
	keys, err := s.roots(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.store.GC(ctx, disk.GCOptions{Budget: bytes, DryRun: !del, Keys: keys})
	if err != nil {
		return nil, err
	}
	if r.Evicted == nil {
		r.Evicted = []disk.Eviction{}
	}
	return &gcPage{Deleted: del, Budget: bytes, GCResult: r}, nil
}

// roots are the results that gc keeps: those of tagged runs, and of the latest
// run of every pipeline file that still exists.
func (s *session) roots(ctx context.Context) ([]pipeline.Key, error) {
	runs, err := s.past.history.Runs(ctx, "", 0)
	if err != nil {
		return nil, err
	}
	tags, damaged, err := s.tags().List()
	if err != nil {
		return nil, err
	}
	for _, d := range damaged {
		fmt.Fprintln(s.err, "pipe:", d)
	}
	var keys []pipeline.Key
	for _, t := range tags {
		keys = append(keys, t.Keys()...)
	}
	seen := map[string]bool{}
	for _, r := range runs {
		if seen[r.File] {
			continue
		}
		seen[r.File] = true
		if _, err := os.Stat(r.File); err != nil {
			continue
		}
		steps, err := s.past.history.Steps(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		for _, st := range steps {
			if k, err := pipeline.ParseKey(st.Key); err == nil {
				keys = append(keys, k)
			}
		}
	}
	return keys, nil
}

func (a *app) printGC(page *gcPage) error {
	t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, e := range page.Evicted {
		used := ""
		if !e.Used.IsZero() {
			used = "last wanted " + e.Used.Local().Format(time.DateTime)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", e.Kind, e.Name, view.Bytes(e.Size), used)
	}
	t.Flush()
	verb := "would free"
	if page.Deleted {
		verb = "freed"
	}
	_, err := fmt.Fprintf(a.out, "%s %s: %s before, %s after, budget %s\n", verb, view.Bytes(page.Before-page.After),
		view.Bytes(page.Before), view.Bytes(page.After), view.Bytes(page.Budget))
	if err == nil && page.After > page.Budget {
		_, err = fmt.Fprintln(a.out, "the rest stays: a tag or the latest run of every pipeline that still exists needs it, or it is in use")
	}
	if err == nil && !page.Deleted && len(page.Evicted) > 0 {
		_, err = fmt.Fprintln(a.out, "nothing was deleted; --delete does it")
	}
	return err
}

func (a *app) cacheVerifyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "verify", Short: "Hash everything in the cache; what is damaged goes and becomes a miss", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.open()
			if err != nil {
				return err
			}
			defer s.close()
			r, err := s.store.VerifyAll(cmd.Context(), nil)
			if err != nil {
				return interruptedOr(cmd.Context(), err)
			}
			if r.Damaged == nil {
				r.Damaged = []disk.Report{}
			}
			if asJSON {
				err = a.printJSON(r)
			} else {
				_, err = fmt.Fprintf(a.out, "%s, %s, %s read; %d damaged\n",
					count(r.Blobs, "blob"), count(r.Results, "result"), view.Bytes(r.Bytes), len(r.Damaged))
			}
			if err == nil && len(r.Damaged) > 0 {
				err = exitError{exitFailed}
			}
			return err
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// interruptedOr turns what an interrupt caused into the interrupt.
func interruptedOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return run.ErrInterrupted
	}
	return err
}

// parseSize reads a size with a unit, as schemas do.
func parseSize(s string) (int64, error) {
	units := []struct {
		name  string
		bytes float64
	}{
		{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
		{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
	}
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		x, err := strconv.ParseFloat(digits, 64)
		if err != nil || !(x >= 0) || x*u.bytes > math.MaxInt64/2 {
			break
		}
		return int64(x * u.bytes), nil
	}
	return 0, errors.New(strconv.Quote(s) + " is no size; write 500MB or 20GiB")
}
