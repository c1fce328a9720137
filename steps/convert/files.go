package convert

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// A source is one file to read.
type source struct {
	path      string // on this machine
	name      string // slash-separated, within the input
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
			log.Info("passed over " + s.name)
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
		s := source{path: file, name: filepath.ToSlash(rel), container: dataset.Container(p.Container)}
		if s.container == dataset.Auto {
			head, err := readHead(file)
			if err != nil {
				return err
			}
			if s.container, err = dataset.Detect(s.name, head); err != nil {
				unknown = append(unknown, fmt.Errorf("%s: %w", s.name, err))
				return nil
			}
		}
		sources = append(sources, s)
		return nil
	})
	slices.SortFunc(sources, func(a, b source) int { return strings.Compare(a.name, b.name) })
	return sources, unknown, err
}

func readHead(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 64)
	n, err := io.ReadFull(f, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return head[:n], err
}

// savedBeside reports whether s describes Arrow files of its folder.
func savedBeside(sources []source, s source) bool {
	return slices.Contains(savedNames, path.Base(s.name)) && slices.ContainsFunc(sources, func(other source) bool {
		return other.container == dataset.Arrow && strings.HasPrefix(other.name, strings.TrimPrefix(path.Dir(s.name)+"/", "./"))
	})
}

// checkOptions refuses options that no file would heed.
func checkOptions(p Params, sources []source) error {
	has := func(c dataset.Container) bool {
		return slices.ContainsFunc(sources, func(s source) bool { return s.container == c })
	}
	if p.Text != nil && !has(dataset.PlainText) {
		return &pipeline.FieldError{Field: "text", Err: fmt.Errorf("no file is plain text: %s is %s", sources[0].name, sources[0].container)}
	}
	if p.Rows != "" && !has(dataset.JSON) {
		return &pipeline.FieldError{Field: "rows", Err: fmt.Errorf("no file is JSON: %s is %s", sources[0].name, sources[0].container)}
	}
	return nil
}
