package modules

import (
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
)

// holdsPackage reports whether a folder of a module has CUE files.
func holdsPackage(fsys fs.FS, dir string) bool {
	files, _ := cueFiles(fsys, dir)
	return len(files) > 0
}

// cueFiles lists the CUE files of a folder; the hidden ones, of which CUE
// takes no notice, are left out.
func cueFiles(fsys fs.FS, dir string) ([]string, error) {
	entries, err := fs.ReadDir(fsys, path.Clean(dir))
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && path.Ext(e.Name()) == ".cue" && !isHidden(e.Name()) {
			files = append(files, path.Join(dir, e.Name()))
		}
	}
	return files, nil
}

func isHidden(name string) bool { return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") }

// packages lists the folders of a module that hold CUE files: "." is its root.
// Folders that are modules of their own do not belong to it.
func packages(fsys fs.FS) []string {
	var dirs []string
	fs.WalkDir(fsys, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return nil
		}
		if p != "." {
			if isHidden(e.Name()) || e.Name() == "cue.mod" {
				return fs.SkipDir
			}
			if _, err := fs.Stat(fsys, path.Join(p, "cue.mod")); err == nil {
				return fs.SkipDir
			}
		}
		if holdsPackage(fsys, p) {
			dirs = append(dirs, p)
		}
		return nil
	})
	return dirs
}

// An importSpec is an import of a package that is not CUE's own.
type importSpec struct {
	ast.ImportPath
	file      string // that has it
	line, col int
}

// importsOf lists what the files of a folder import from modules. Files that
// CUE is told to ignore do not count.
func importsOf(fsys fs.FS, dir string) ([]importSpec, error) {
	files, err := cueFiles(fsys, dir)
	if err != nil {
		return nil, err
	}
	var all []importSpec
	for _, name := range files {
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(name, b, parser.ImportsOnly)
		if err != nil {
			return nil, err
		}
		if isIgnored(f) {
			continue
		}
		for spec := range f.ImportSpecs() {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil || !isModulePath(p) {
				continue
			}
			pos := spec.Path.Pos()
			all = append(all, importSpec{ast.ParseImportPath(p), name, pos.Line(), pos.Column()})
		}
	}
	slices.SortStableFunc(all, func(a, b importSpec) int { return strings.Compare(a.String(), b.String()) })
	return all, nil
}

// isIgnored reports whether a file says @ignore() before its package.
func isIgnored(f *ast.File) bool {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.Attribute:
			if key, _ := d.Split(); key == "ignore" {
				return true
			}
		case *ast.Package:
			return false
		}
	}
	return false
}

// isModulePath reports whether an import path belongs to a module rather than
// to CUE's standard library.
func isModulePath(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return strings.Contains(first, ".")
}
