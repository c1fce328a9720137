package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/cmd/pipe/internal/view"
	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/plan"
	"github.com/pipe-run/pipe/pipeline/store/archive"
	"github.com/pipe-run/pipe/pipeline/store/disk"
)

type exportFlags struct {
	source
	out     string
	without []string
	pieces  bool
	asJSON  bool
}

// An exportPage is the JSON of pipe cache export.
type exportPage struct {
	File string `json:"file"` // "-": standard output
	archive.Counts
	Packed  int64    `json:"packed"`  // bytes of the file
	Steps   []string `json:"steps"`   // whose results are in it
	Missing []string `json:"missing"` // steps that have no cached result
}

func (a *app) cacheExportCommand() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use: "export FILE [STEP…]", Short: "Write the results of a pipeline, or of the named steps and what they need, to one file", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.file = args[0]
			return a.cacheExport(cmd.Context(), f, args[1:])
		},
	}
	f.tagFlag(cmd)
	cmd.Flags().StringVarP(&f.out, "output", "o", "-", "`FILE` to write; - is standard output")
	cmd.Flags().StringArrayVar(&f.without, "without", nil, "leave out the results of `STEP`, which a run then makes again")
	cmd.Flags().BoolVar(&f.pieces, "pieces", false, "add the pieces that steps of these kinds keep, such as checkpoints of trainings")
	jsonFlag(cmd, &f.asJSON)
	return cmd
}

func (a *app) cacheExport(ctx context.Context, f exportFlags, targets []string) error {
	if f.out == "-" && a.terminal() != nil {
		return usagef("pipe cache export: say where to with -o FILE, or lead standard output elsewhere")
	}
	if f.out == "-" && f.asJSON {
		return usagef("pipe cache export: --json needs -o FILE: standard output is the archive")
	}
	s, err := a.openPipeline(ctx, f.source)
	if err != nil {
		return err
	}
	defer s.close()
	page, o, err := s.exports(ctx, f, targets)
	if err != nil {
		return interruptedOr(ctx, err)
	}
	page.File = f.out
	if f.out == "-" {
		w := &counter{w: a.out}
		page.Counts, err = s.store.Export(ctx, w, o)
		page.Packed = w.n
	} else {
		err = atomically(f.out, func(w io.Writer) error {
			c := &counter{w: w}
			page.Counts, err = s.store.Export(ctx, c, o)
			page.Packed = c.n
			return err
		})
	}
	if err != nil {
		return interruptedOr(ctx, err)
	}
	return a.printExport(page, f.asJSON)
}

// exports finds what is to be exported.
func (s *session) exports(ctx context.Context, f exportFlags, targets []string) (*exportPage, disk.ExportOptions, error) {
	var o disk.ExportOptions
	all := s.graph
	for _, name := range f.without {
		if all.Node(name) == nil {
			return nil, o, usageError{s.noStep(name)}
		}
	}
	if err := s.target(targets); err != nil {
		return nil, o, err
	}
	items, err := s.planner().Graph(ctx, s.graph)
	if err != nil {
		return nil, o, err
	}
	page := &exportPage{Steps: []string{}, Missing: []string{}}
	kinds := map[string]bool{}
	for _, it := range items {
		switch {
		case slices.Contains(f.without, it.Node.Name):
		case it.State == plan.Hit:
			o.Keys = append(o.Keys, it.Key)
			page.Steps = append(page.Steps, it.Node.Name)
		default:
			page.Missing = append(page.Missing, it.Node.Name)
		}
		kinds[it.Node.Kind] = true
	}
	if len(o.Keys) == 0 {
		return nil, o, fmt.Errorf("nothing to export: no step has a cached result; pipe run %s makes them", s.graph.File)
	}
	if f.pieces {
		keys, err := s.pieces(ctx, kinds)
		if err != nil {
			return nil, o, err
		}
		o.Keys = append(o.Keys, keys...)
	}
	return page, o, nil
}

// pieces returns the keys of all pieces that steps of some kinds have kept: it
// is not known which of them a pipeline would ask for.
func (s *session) pieces(ctx context.Context, kinds map[string]bool) ([]pipeline.Key, error) {
	all, err := s.store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	var keys []pipeline.Key
	for _, k := range all {
		raw, err := s.past.Preimage(ctx, k)
		if err != nil || !isPiece(raw, kinds) {
			continue
		}
		if _, err := s.store.Lookup(ctx, k); err == nil {
			keys = append(keys, k)
		} else if !errors.Is(err, pipeline.ErrNotFound) {
			return nil, err
		}
	}
	return keys, nil
}

// isPiece reports whether an action is that of a piece of one of the kinds.
func isPiece(raw []byte, kinds map[string]bool) bool {
	var p struct {
		Kind    string                     `json:"kind"`
		Params  map[string]json.RawMessage `json:"params"`
		Outputs map[string]string          `json:"outputs"`
	}
	if json.Unmarshal(raw, &p) != nil {
		return false
	}
	_, ok := p.Params["piece"]
	return ok && len(p.Params) == 1 && len(p.Outputs) == 1 && p.Outputs[pipeline.PieceOutput] != "" && kinds[p.Kind]
}

func (a *app) printExport(page *exportPage, asJSON bool) error {
	out := a.out
	if page.File == "-" {
		out = a.err
	}
	if len(page.Missing) > 0 {
		fmt.Fprintf(a.err, "pipe: note: left out, since there is no cached result: %s\n", strings.Join(page.Missing, ", "))
	}
	if asJSON {
		return a.printJSON(page)
	}
	_, err := fmt.Fprintf(out, "%s: %s, %s of %s, %s packed\n", page.File,
		count(int(page.Results), "result"), count(int(page.Blobs), "blob"), view.Bytes(page.Bytes), view.Bytes(page.Packed))
	return err
}

// A counter counts the bytes that pass.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// atomically makes the file at path, whole or not at all.
func atomically(path string, fill func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = fill(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
