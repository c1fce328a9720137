package cli

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/compile"
)

func (a *app) fmtCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "fmt [FILE|FOLDER]…", Short: "Write CUE files in the one form that all have", Args: cobra.ArbitraryArgs,
		Long: "Writes CUE files in the one form that all have: the files named, those in the folders named and\n" +
			"below them, or those in this folder. It prints the files that it changes.",
		RunE: func(_ *cobra.Command, args []string) error {
			names, err := cueFiles(args)
			if err != nil {
				return err
			}
			return a.format(names, check)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; exit with 1 when a file would change")
	return cmd
}

// cueFiles returns the files that args name; without args those of this
// folder.
func cueFiles(args []string) ([]string, error) {
	if len(args) == 0 {
		return filepath.Glob("*.cue")
	}
	var names []string
	for _, arg := range args {
		st, err := os.Stat(arg)
		if err != nil {
			return nil, usagef("%s: no such file or folder", arg)
		}
		if !st.IsDir() {
			names = append(names, arg)
			continue
		}
		err = filepath.WalkDir(arg, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && name != arg && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			if err == nil && !d.IsDir() && filepath.Ext(name) == ".cue" {
				names = append(names, name)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return names, nil
}

// format formats files. One that cannot be parsed keeps no other from being
// formatted.
func (a *app) format(names []string, check bool) error {
	var problems pipeline.Problems
	changed := false
	for _, name := range names {
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		out, err := compile.Format(name, src)
		if ps := problemsOf(err); ps != nil {
			problems = append(problems, ps...)
			continue
		} else if err != nil {
			return err
		}
		if bytes.Equal(src, out) {
			continue
		}
		changed = true
		if !check {
			if err := rewrite(name, out); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(a.out, name); err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		return problems
	}
	if check && changed {
		return exitError{exitFailed}
	}
	return nil
}

// rewrite replaces a file at once, keeping its mode.
func rewrite(name string, b []byte) error {
	st, err := os.Stat(name)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".pipe-fmt-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(st.Mode().Perm())
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
