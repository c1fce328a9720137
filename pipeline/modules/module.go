package modules

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/module"
)

// A Main is the module that a user works in.
type Main struct {
	Dir  string // its root
	File *modfile.File

	name string // of the module file, as messages say it
	text []byte
}

// Open reads the module that dir belongs to.
func Open(dir string) (*Main, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	name := FindFile(abs)
	if name == "" {
		return nil, &Error{
			Message: fmt.Sprintf("%s is not in a module: there is no cue.mod/module.cue in it or above it", dir),
			Hint:    "pipe mod init makes it one",
		}
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	shown := name
	if rel, err := filepath.Rel(abs, name); err == nil && !filepath.IsAbs(dir) {
		shown = filepath.Join(dir, rel)
	}
	f, err := modfile.ParseNonStrict(b, shown)
	if err != nil {
		return nil, &Error{Message: "the module file is wrong: " + oneLine(err), Hint: "pipe mod init writes a good one"}
	}
	return &Main{Dir: filepath.Dir(filepath.Dir(name)), File: f, name: shown, text: b}, nil
}

// Path is the module's path with its major version.
func (m *Main) Path() string { return m.File.QualifiedModule() }

// base is the module's path without its major version.
func (m *Main) base() string {
	p, _, _ := strings.Cut(m.Path(), "@")
	return p
}

// fs returns the files of the module.
func (m *Main) fs() fs.FS { return os.DirFS(m.Dir) }

// Init writes the module file of a new module at dir. A path without a major
// version means v0; without any path the module cannot be published, which
// pipelines need not be. It returns the name of what it wrote.
func Init(dir, path string) (string, error) {
	if path == "" {
		path = "pipeline.local"
	}
	if !strings.Contains(path, "@") {
		path += "@v0"
	}
	if err := module.CheckPath(path); err != nil {
		return "", &Error{
			Message: fmt.Sprintf("%q is no module path: %s", path, plainPath(err)),
			Hint:    "a module is named like example.com/team/chat or example.com/team/chat@v1, where example.com is a name of the internet that is yours",
		}
	}
	if isBuiltin(path) {
		return "", &Error{Message: path + " is the module inside pipe itself", Hint: "name yours after a name of the internet that is yours"}
	}
	name := filepath.Join(dir, "cue.mod", "module.cue")
	if _, err := os.Lstat(filepath.Dir(name)); err == nil {
		return "", &Error{Message: fmt.Sprintf("%s is a module already: there is %s", dir, filepath.Dir(name)), Hint: "edit " + name}
	}
	f := &modfile.File{
		Module:   path,
		Language: &modfile.Language{Version: language},
		Source:   &modfile.Source{Kind: "self"},
	}
	if inGit(dir) {
		f.Source.Kind = "git"
	}
	b, err := modfile.Format(f)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return "", err
	}
	return name, writeNew(name, b)
}

// inGit reports whether dir belongs to a git work tree.
func inGit(dir string) bool {
	dir, err := filepath.Abs(dir)
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			return true
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return false
}

// writeNew writes a file that does not exist yet.
func writeNew(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
