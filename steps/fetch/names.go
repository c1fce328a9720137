package fetch

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxName = 4096 // bytes of a path inside a result
	maxPart = 255  // bytes of one part of it
)

// checkName refuses a name, with slashes, that would lead out of the folder
// it is created in, or that not every file system can hold.
func checkName(name string) error {
	switch {
	case name == "" || name == ".":
		return errors.New("empty name")
	case len(name) > maxName:
		return fmt.Errorf("name of %d bytes", len(name))
	case !utf8.ValidString(name):
		return fmt.Errorf("name %q is not UTF-8", name)
	case strings.ContainsFunc(name, func(r rune) bool { return r == '\\' || unicode.IsControl(r) }):
		return fmt.Errorf("name %q holds a backslash or control character", name)
	case path.IsAbs(name):
		return fmt.Errorf("name %q is absolute", name)
	case path.Clean(name) != name || !filepath.IsLocal(filepath.FromSlash(name)):
		return fmt.Errorf("name %q leads out of its folder or is not in its shortest form", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxPart {
			return fmt.Errorf("name %q has a part of more than %d bytes", name, maxPart)
		}
	}
	return nil
}

// names collects the names of a tree that comes from outside and refuses those
// that would become one file on some file system.
type names struct {
	seen map[string]named // by folded name
}

type named struct {
	name string
	dir  bool
}

func newNames() *names { return &names{seen: map[string]named{}} }

// add adds a file, or a folder, and the folders above it.
func (n *names) add(name string, dir bool) error {
	if err := checkName(name); err != nil {
		return err
	}
	for i, r := range name {
		if r == '/' {
			if err := n.put(name[:i], true); err != nil {
				return err
			}
		}
	}
	return n.put(name, dir)
}

func (n *names) put(name string, dir bool) error {
	folded := strings.ToLower(norm.NFC.String(name))
	old, dup := n.seen[folded]
	switch {
	case !dup:
		n.seen[folded] = named{name, dir}
		return nil
	case old.name != name:
		return fmt.Errorf("%q and %q would be one on file systems that ignore case", old.name, name)
	case old.dir != dir:
		return fmt.Errorf("%q is both a file and a folder", name)
	case !dir:
		return fmt.Errorf("%q comes twice", name)
	}
	return nil
}
