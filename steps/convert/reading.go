package convert

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// reading returns how a file is read: the options that its container has.
func (p Params) reading(file source, columns []string, threads int, tmp string) dataset.Options {
	options := dataset.Options{Container: file.container, Columns: columns, Threads: threads, Tmp: tmp}
	switch file.container {
	case dataset.JSON:
		options.Rows = p.Rows
	case dataset.CSV, dataset.TSV:
		options.Delimiter, options.Fields, options.Skip = p.Delimiter, p.Fields, p.Skip
	case dataset.Excel:
		options.Sheet, options.Fields, options.Skip = p.Sheet, p.Fields, p.Skip
	case dataset.PlainText:
		if p.Text != nil {
			options.Unit = dataset.Unit(p.Text.Split)
		}
	}
	if isText(file.container) {
		options.Encoding = p.Encoding
	}
	return options
}

func isText(c dataset.Container) bool {
	return !slices.Contains([]dataset.Container{dataset.Parquet, dataset.Arrow, dataset.Excel}, c)
}

func isTable(c dataset.Container) bool {
	return c == dataset.CSV || c == dataset.TSV || c == dataset.Excel
}

// checkOptions refuses options that contradict each other, or that no file
// would heed.
func checkOptions(p Params, sources []source) error {
	if err := checkHeader(p); err != nil {
		return err
	}
	for _, option := range []struct {
		field string
		given bool
		heeds func(dataset.Container) bool
		what  string
	}{
		{"text", p.Text != nil, func(c dataset.Container) bool { return c == dataset.PlainText }, "plain text"},
		{"rows", p.Rows != "", func(c dataset.Container) bool { return c == dataset.JSON }, "JSON"},
		{"encoding", p.Encoding != "", isText, "text"},
		{"delimiter", p.Delimiter != "", func(c dataset.Container) bool { return c == dataset.CSV || c == dataset.TSV }, "CSV"},
		{"header", p.Header != nil, isTable, "CSV or a workbook"},
		{"skip", p.Skip > 0, isTable, "CSV or a workbook"},
		{"sheet", p.Sheet != "", func(c dataset.Container) bool { return c == dataset.Excel }, "a workbook"},
	} {
		if option.given && !slices.ContainsFunc(sources, func(s source) bool { return option.heeds(s.container) }) {
			err := fmt.Errorf("no file is %s: %s is %s", option.what, sources[0].entry.Name, sources[0].container)
			return &pipeline.FieldError{Field: option.field, Err: err}
		}
	}
	return nil
}

// checkHeader refuses columns that are named twice, or not at all.
func checkHeader(p Params) error {
	hasHeader := p.Header == nil || *p.Header
	switch {
	case hasHeader && p.Fields != nil:
		return &pipeline.FieldError{Field: "fields", Err: errors.New("the header names the columns"), Hint: "header: false says that there is none"}
	case !hasHeader && p.Fields == nil:
		return &pipeline.FieldError{Field: "header", Err: errors.New("without a header, fields must name the columns")}
	}
	for i, field := range p.Fields {
		if slices.Contains(p.Fields[:i], field) {
			return &pipeline.FieldError{Field: "fields", Err: fmt.Errorf("%q is there twice", field)}
		}
	}
	return nil
}

// chosen reports whether a file is one of those that patterns name; ** stands
// for any folders.
func chosen(name string, patterns []string) (bool, error) {
	if patterns == nil {
		return true, nil
	}
	for _, pattern := range patterns {
		ok, err := match(strings.Split(pattern, "/"), strings.Split(name, "/"))
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func match(pattern, name []string) (bool, error) {
	if len(pattern) == 0 {
		return len(name) == 0, nil
	}
	if pattern[0] == "**" {
		for i := range len(name) + 1 {
			if ok, err := match(pattern[1:], name[i:]); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	}
	if len(name) == 0 {
		return false, nil
	}
	if ok, err := path.Match(pattern[0], name[0]); !ok || err != nil {
		return false, err
	}
	return match(pattern[1:], name[1:])
}

// checkPatterns refuses patterns that are malformed or name no file.
func checkPatterns(patterns []string, names []string) error {
	for i, pattern := range patterns {
		found := false
		for _, name := range append(names, "") {
			ok, err := chosen(name, []string{pattern})
			if err != nil {
				return &pipeline.FieldError{Field: fmt.Sprintf("files[%d]", i), Err: fmt.Errorf("%q is no pattern: %w", pattern, err)}
			}
			found = found || ok
		}
		if !found {
			return &pipeline.FieldError{Field: fmt.Sprintf("files[%d]", i), Err: fmt.Errorf("%q matches none of the input's %d files, such as %s", pattern, len(names), some(names))}
		}
	}
	return nil
}

// some lists the first few names.
func some(names []string) string {
	const few = 3
	if len(names) > few {
		names = append(slices.Clone(names[:few]), "…")
	}
	return strings.Join(names, ", ")
}
