package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// A source is one file to read.
type source struct {
	entry     dataset.Entry
	container dataset.Container
}

// savedNames are what Hugging Face datasets saves beside its Arrow files.
var savedNames = []string{"state.json", "dataset_info.json", "dataset_dict.json"}

// findFiles returns the files that hold rows, by name. With container "auto",
// files of plain text or of no known kind beside files of rows (a README, a
// licence) are passed over.
func findFiles(dir string, p Params, log *slog.Logger) ([]source, error) {
	sources, unknown, err := listFiles(dir, p)
	if err != nil {
		return nil, err
	}
	rows := slices.ContainsFunc(sources, func(s source) bool { return s.container != dataset.PlainText })
	var kept []source
	for _, s := range sources {
		switch {
		case p.Container == string(dataset.Auto) && rows && s.container == dataset.PlainText,
			p.Container == string(dataset.Auto) && savedBeside(sources, s):
			log.Info("passed over " + s.entry.Name)
		default:
			kept = append(kept, s)
		}
	}
	if len(kept) == 0 {
		if len(unknown) > 0 {
			return nil, unknown[0]
		}
		return nil, errors.New("the input holds no files")
	}
	for _, bad := range unknown {
		log.Info("passed over " + bad.Error())
	}
	return kept, checkOptions(p, kept)
}

// listFiles walks dir in order of name, leaving hidden files out. unknown says
// of which files the container cannot be told.
func listFiles(dir string, p Params) (sources []source, unknown []error, err error) {
	entries, err := listEntries(dir)
	if err != nil {
		return nil, nil, err
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name)
	}
	if len(entries) > 0 {
		if err := checkPatterns(p.Files, names); err != nil {
			return nil, nil, err
		}
	}
	for _, entry := range entries {
		if ok, err := chosen(entry.Name, p.Files); !ok || err != nil {
			continue
		}
		s := source{entry: entry, container: dataset.Container(p.Container)}
		if s.container == dataset.Auto {
			if s.container, err = entry.Detect(); err != nil {
				unknown = append(unknown, fmt.Errorf("%s: %w", entry.Name, err))
				continue
			}
		}
		sources = append(sources, s)
	}
	return sources, unknown, nil
}

// listEntries returns the files below dir and in the archives there, by name.
func listEntries(dir string) (entries []dataset.Entry, err error) {
	err = filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if file != dir && strings.HasPrefix(entry.Name(), ".") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		more, err := dataset.Entries(file, filepath.ToSlash(rel))
		entries = append(entries, more...)
		return err
	})
	slices.SortFunc(entries, func(a, b dataset.Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries, err
}

// savedBeside reports whether s describes Arrow files of its folder.
func savedBeside(sources []source, s source) bool {
	return slices.Contains(savedNames, path.Base(s.entry.Name)) && slices.ContainsFunc(sources, func(other source) bool {
		return other.container == dataset.Arrow && strings.HasPrefix(other.entry.Name, strings.TrimPrefix(path.Dir(s.entry.Name)+"/", "./"))
	})
}
