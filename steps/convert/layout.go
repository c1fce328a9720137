package convert

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// The formats that are none of package dataset.
const (
	autoFormat     = "auto"
	registryFormat = "llama-factory"
)

// maxSample bounds the memory that the first rows take, and one row.
const maxSample = 32 << 20

// A plan is which files are read, and how.
type plan struct {
	files  []source
	layout dataset.Layout
	shaper *dataset.Shaper
	note   string // what the rows are read as and why; "" where the user said it
}

// planned decides which of the input's files are read, and how their rows are
// laid out.
func planned(p Params, t *pipeline.Task) (*plan, error) {
	pl := &plan{}
	err := error(nil)
	if p.Format == registryFormat {
		if p, err = pl.register(p, t); err != nil {
			return nil, err
		}
	} else if pl.layout, err = p.layout(); err != nil {
		return nil, err
	}
	if pl.files, err = findFiles(t.In["files"], p, t.Log); err != nil {
		return nil, err
	}
	sample := pl.sample(p, t)
	if p.Format == autoFormat {
		if err := pl.propose(sample, t.Log); err != nil {
			return nil, err
		}
	}
	if pl.shaper, err = pl.layout.Shaper(); err != nil {
		return nil, &pipeline.FieldError{Field: "columns", Err: err}
	}
	if len(sample) == 0 {
		return pl, nil
	}
	pl.shaper.Settle(sample[0].Value)
	pl.unread(sample, t.Log)
	if template := pl.layout.Template; template != nil {
		return pl, fieldError(template.CheckRow(sample[0].Value))
	}
	return pl, nil
}

// layout is what the parameters say of it.
func (p Params) layout() (l dataset.Layout, err error) {
	l = dataset.Layout{Format: dataset.Format(p.Format), Columns: p.Columns, Reasoning: p.Reasoning}
	if p.KTO != nil {
		l.Undesirable = p.KTO.Keep == "all"
	}
	if p.SQuAD != nil {
		l.Unanswerable = p.SQuAD.Unanswerable
	}
	if p.Template != nil {
		l.Template, err = dataset.ParseRowTemplate(*p.Template, p.Labels)
	}
	return l, fieldError(err)
}

// fieldError blames the parameter that a template's error names.
func fieldError(err error) error {
	var bad *dataset.TemplateError
	if errors.As(err, &bad) {
		return &pipeline.FieldError{Field: bad.Field, Err: errors.New(bad.What)}
	}
	return err
}

// sample reads the first rows of the files. Those that cannot be read are said
// when all are.
func (pl *plan) sample(p Params, t *pipeline.Task) (sample []dataset.Raw) {
	size := 0
	for _, file := range pl.files {
		if file.container == dataset.PlainText && p.Format != autoFormat {
			continue // one column, and perhaps one row
		}
		rows, err := file.entry.Open(p.reading(file, pl.columns(), 1, t.Tmp))
		if err != nil {
			continue
		}
		for len(sample) < dataset.SampleRows && size < maxSample {
			raw, err := rows.Next()
			var bad *dataset.RowError
			if err == io.EOF || errors.As(err, &bad) && bad.Final {
				break
			}
			if err == nil {
				sample = append(sample, raw)
				size += raw.Value.Size()
			}
		}
		rows.Close()
		if len(sample) > 0 && p.Format != autoFormat || len(sample) == dataset.SampleRows || size >= maxSample {
			break
		}
	}
	return sample
}

// columns are those by which a lone JSON object is known to be a row.
func (pl *plan) columns() (columns []string) {
	if shaper, err := pl.layout.Shaper(); err == nil {
		return shaper.Columns()
	}
	for _, format := range dataset.Formats() {
		if shaper, err := dataset.NewShaper(format, nil); err == nil {
			columns = append(columns, shaper.Columns()...)
		}
	}
	return columns
}

// propose tells the format from rows.
func (pl *plan) propose(sample []dataset.Raw, log *slog.Logger) error {
	var rows []dataset.Value
	for _, raw := range sample {
		rows = append(rows, raw.Value)
	}
	found, err := dataset.ProposeOne(rows)
	if err != nil {
		return &pipeline.FieldError{Field: "format", Err: err}
	}
	pl.layout.Format = found.Format
	pl.note = fmt.Sprintf("%s: %s", found.Format, found.Why)
	log.Info("the rows are read as " + pl.note)
	return nil
}

// unread says which columns of the first rows nothing is made of.
func (pl *plan) unread(sample []dataset.Raw, log *slog.Logger) {
	const most = 12
	read := pl.shaper.Columns()
	var names []string
	for _, raw := range sample {
		for _, f := range raw.Value.Fields {
			if !slices.Contains(read, f.Name) && !slices.Contains(names, f.Name) && len(names) <= most {
				names = append(names, f.Name)
			}
		}
	}
	if len(names) > most {
		names[most] = "…"
	}
	if len(names) > 0 {
		log.Info("columns that are not read: " + strings.Join(names, ", "))
	}
}

// register reads LLaMA-Factory's registry: the layout is that of the entry, the
// files are its.
func (pl *plan) register(p Params, t *pipeline.Task) (Params, error) {
	if p.Files != nil {
		return p, &pipeline.FieldError{Field: "files", Err: errors.New("the entry of dataset_info.json names the file")}
	}
	dir, folder, err := registryFolder(t.In["files"])
	if err != nil {
		return p, &pipeline.FieldError{Field: "format", Err: err}
	}
	blame := func(err error) error { return &pipeline.FieldError{Field: "dataset", Err: err} }
	raw, err := os.ReadFile(filepath.Join(dir, dataset.RegistryFile))
	if err != nil {
		return p, fmt.Errorf("reading %s: %w", dataset.RegistryFile, errors.Unwrap(err))
	}
	registry, err := dataset.ParseRegistry(raw)
	if err != nil {
		return p, &pipeline.FieldError{Field: "format", Err: err}
	}
	entry, err := registry.Entry(p.Dataset)
	if err != nil {
		return p, blame(err)
	}
	if pl.layout, err = entry.Layout(); err != nil {
		return p, blame(fmt.Errorf("%s: %w", p.Dataset, err))
	}
	pl.layout.Reasoning = p.Reasoning
	pl.layout.Undesirable = p.KTO != nil && p.KTO.Keep == "all"
	local, err := entry.Local()
	if err != nil {
		return p, blame(fmt.Errorf("%s: %w", p.Dataset, err))
	}
	for _, note := range entry.Notes() {
		t.Log.Warn(p.Dataset + ": " + note)
	}
	pl.note = fmt.Sprintf("%s: %s says so of %s", pl.layout.Format, dataset.RegistryFile, p.Dataset)
	t.Log.Info("the rows are read as " + pl.note)
	p.Files, err = patternsOf(dir, folder, local)
	if err != nil {
		return p, blame(fmt.Errorf("%s: %w", p.Dataset, err))
	}
	return p, nil
}

// registryFolder finds the folder of the input that holds the registry: the
// top, or the only one below it that does. It returns its path on this machine
// and in the input.
func registryFolder(dir string) (file, folder string, err error) {
	if _, err := os.Stat(filepath.Join(dir, dataset.RegistryFile)); err == nil {
		return dir, "", nil
	}
	entries, err := listEntries(dir)
	if err != nil {
		return "", "", err
	}
	var folders []string
	for _, entry := range entries {
		if path.Base(entry.Name) == dataset.RegistryFile && entry.Member == "" {
			folders = append(folders, path.Dir(entry.Name))
		}
	}
	switch len(folders) {
	case 0:
		return "", "", fmt.Errorf("the input has no %s", dataset.RegistryFile)
	case 1:
		return filepath.Join(dir, filepath.FromSlash(folders[0])), folders[0], nil
	}
	return "", "", fmt.Errorf("the input has several %s, in %s; bring one", dataset.RegistryFile, some(folders))
}

// patternsOf returns the patterns for a file, or for all files of a folder, that
// the registry in dir names.
func patternsOf(dir, folder, local string) ([]string, error) {
	if !filepath.IsLocal(filepath.FromSlash(local)) {
		return nil, fmt.Errorf("its file_name %q leads out of the folder of %s", local, dataset.RegistryFile)
	}
	info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(local)))
	if err != nil {
		return nil, fmt.Errorf("its file %s is not in the input", local)
	}
	name := path.Join(folder, path.Clean(local))
	name = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(name)
	if info.IsDir() {
		name += "/**"
	}
	return []string{name}, nil
}
