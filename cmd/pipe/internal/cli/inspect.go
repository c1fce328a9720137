package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/cmd/pipe/internal/view"
	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/inspect"
)

func (a *app) inspectCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "inspect PATH|DIGEST", Short: "Say what a model, adapter, dataset, GGUF or token file holds", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			page, err := a.inspect(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(page)
			}
			return printPage(a.out, page)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// inspect looks at a path, or at an artifact or blob of the cache.
func (a *app) inspect(ctx context.Context, what string) (*inspect.Page, error) {
	if _, err := os.Stat(what); err == nil {
		return inspect.Path(ctx, what)
	}
	d, err := pipeline.ParseDigest(what)
	if err != nil {
		return nil, usagef("%s is neither a file or folder nor a digest", what)
	}
	s, err := a.open()
	if err != nil {
		return nil, err
	}
	defer s.close()
	dir, done, err := s.folder(ctx, d)
	if err == nil {
		defer done()
		return inspect.Path(ctx, dir)
	}
	if r, blobErr := s.store.Get(ctx, d); blobErr == nil {
		defer r.Close()
		if f, ok := r.(*os.File); ok {
			return inspect.Path(ctx, f.Name())
		}
	}
	if errors.Is(err, pipeline.ErrNotFound) {
		return nil, usagef("the cache has nothing under %s", what)
	}
	return nil, err
}

// printPage shows facts, then tensors or files.
func printPage(w io.Writer, p *inspect.Page) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "type\t%s\nsize\t%s\n", p.Type, view.Bytes(p.Bytes))
	for _, f := range p.Facts {
		fmt.Fprintf(t, "%s\t%s\n", f.Name, factText(f.Value))
	}
	if p.From != nil {
		b, err := json.Marshal(p.From)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "provenance\t%s\n", b)
	}
	t.Flush()
	if len(p.Tensors) > 0 {
		fmt.Fprintln(w)
	}
	for _, x := range p.Tensors {
		fmt.Fprintf(t, "%s\t%s\t%s\n", x.Name, x.DType, strings.ReplaceAll(fmt.Sprint(x.Shape), " ", ", "))
	}
	t.Flush()
	if len(p.Files) > 0 {
		fmt.Fprintln(w)
	}
	for _, f := range p.Files {
		fmt.Fprintf(t, "%s\t%s\n", f.Name, view.Bytes(f.Size))
	}
	return t.Flush()
}

// factText prints a value in one line; a map in order of its keys.
func factText(v any) string {
	switch v := v.(type) {
	case map[string]string:
		return pairs(v)
	case map[string]int64:
		return pairs(v)
	case []string:
		return strings.Join(v, ", ")
	}
	return fmt.Sprint(v)
}

func pairs[V any](m map[string]V) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		name := k
		if name == "" {
			name = "(rows)"
		}
		parts = append(parts, fmt.Sprintf("%s: %v", name, m[k]))
	}
	return strings.Join(parts, "; ")
}
