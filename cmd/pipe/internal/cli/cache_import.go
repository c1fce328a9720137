package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pipe-run/pipe/cmd/pipe/internal/view"
	"github.com/pipe-run/pipe/pipeline/store/disk"
)

// An importPage is the JSON of pipe cache import.
type importPage struct {
	File string `json:"file"`
	*disk.ImportResult
}

func (a *app) cacheImportCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "import [FILE]", Short: "Take in what pipe cache export wrote, all of it or nothing; without FILE from standard input", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "-"
			if len(args) == 1 {
				name = args[0]
			}
			r, err := a.cacheImport(cmd.Context(), name)
			if err != nil {
				return interruptedOr(cmd.Context(), err)
			}
			if asJSON {
				return a.printJSON(importPage{name, r})
			}
			_, err = fmt.Fprintf(a.out, "%s: %s, %s of %s; new %s, %s of %s\n", name,
				count(int(r.Results), "result"), count(int(r.Blobs), "blob"), view.Bytes(r.Bytes),
				count(int(r.New.Results), "result"), count(int(r.New.Blobs), "blob"), view.Bytes(r.New.Bytes))
			return err
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) cacheImport(ctx context.Context, name string) (*disk.ImportResult, error) {
	in := a.in
	if f, ok := in.(*os.File); ok && name == "-" && term.IsTerminal(int(f.Fd())) {
		return nil, usagef("pipe cache import: name the file, or lead it into standard input")
	}
	if name != "-" {
		f, err := openImport(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	s, err := a.open()
	if err != nil {
		return nil, err
	}
	defer s.close()
	r, err := s.store.Import(ctx, in, disk.ImportOptions{})
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return r, err
}

// openImport opens the file to import, which a person named.
func openImport(name string) (io.ReadCloser, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, usagef("%s does not exist", name)
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, usagef("%s is a folder; pipe cache import reads one file that pipe cache export wrote", name)
	}
	return f, nil
}
