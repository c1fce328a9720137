package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/examples"
)

// starter is the folder of the example that pipe init writes.
const starter = "quickstart"

func (a *app) initCommand() *cobra.Command {
	var template string
	cmd := &cobra.Command{
		Use: "init [DIR]", Short: "Write a runnable pipeline to start from", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			if cmd.Flags().Changed("template") {
				return a.initTemplate(cmd.Context(), template, dir)
			}
			if err := initDir(dir); err != nil {
				return err
			}
			_, err := fmt.Fprintf(a.out, "wrote a pipeline to %s; run it: pipe run %s\n", dir, filepath.Join(dir, "finetune.cue"))
			return err
		},
	}
	cmd.Flags().StringVar(&template, "template", "", "use a template of this `MODULE[@VERSION]`, or of a package of one")
	return cmd
}

// initDir copies the example to dir. When a file of it exists there, nothing
// is written.
func initDir(dir string) error {
	src, err := fs.Sub(examples.Quickstart, starter)
	if err != nil {
		return err
	}
	var names []string
	err = fs.WalkDir(src, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) == ".go" { // the example's own test stays behind
			return err
		}
		names = append(names, name)
		dst := filepath.Join(dir, filepath.FromSlash(name))
		if _, err := os.Lstat(dst); err == nil {
			return usagef("%s exists already; pipe init overwrites nothing", dst)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := copyOut(src, name, filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			return err
		}
	}
	return nil
}

func copyOut(src fs.FS, name, dst string) error {
	b, err := fs.ReadFile(src, name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o777); err != nil {
		return err
	}
	f, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
