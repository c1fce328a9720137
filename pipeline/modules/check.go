package modules

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/module"
	"cuelang.org/go/mod/modzip"

	"github.com/pipe-run/pipe/pipeline"
)

// checkModFile parses the module file of a module and holds it against what
// was asked for.
func checkModFile(b []byte, mpath, version string) (*modfile.File, error) {
	name := mpath + "@" + version
	f, err := modfile.Parse(b, "cue.mod/module.cue")
	if err != nil {
		return nil, &Error{
			Module:  name,
			Message: fmt.Sprintf("the module file of %s is wrong: %s", name, oneLine(err)),
			Hint:    "tell whoever published it, or use another version",
		}
	}
	mv, err := module.NewVersion(mpath, version)
	if err != nil {
		return nil, &Error{Module: name, Message: fmt.Sprintf("%s is no module version: %s", name, oneLine(err))}
	}
	if f.QualifiedModule() != mv.Path() {
		return nil, &Error{
			Module:  name,
			Message: fmt.Sprintf("%s lies about itself: its module file says that it is %s", name, f.QualifiedModule()),
			Hint:    "tell whoever published it; nothing of it was kept",
			refused: true,
		}
	}
	return f, nil
}

// A checkedZip is what a good archive holds.
type checkedZip struct {
	sums
	modFile []byte
	digests map[string]pipeline.Digest // by name
	sizes   map[string]int64
	bytes   int64 // of all files
}

// checkZip reads the archive of a module to its end: names, sizes, checksums
// and the module file are what they should be, so that extracting it cannot
// fail halfway.
func checkZip(b []byte, mpath, version string) (*checkedZip, error) {
	name := mpath + "@" + version
	refuse := func(format string, args ...any) (*checkedZip, error) {
		return nil, &Error{
			Module:  name,
			Message: fmt.Sprintf("%s is refused: %s", name, fmt.Sprintf(format, args...)),
			Hint:    "tell whoever published it; nothing of it was kept",
			refused: true,
		}
	}
	mv, err := module.NewVersion(mpath, version)
	if err != nil {
		return refuse("it is no module version")
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return refuse("its archive is damaged")
	}
	if len(z.File) > maxFiles {
		return refuse("it has %d files, and %d are the most there may be", len(z.File), maxFiles)
	}
	if _, _, _, err := modzip.CheckZip(mv, bytes.NewReader(b), int64(len(b))); err != nil {
		return refuse("%s", plainZip(err))
	}
	c := &checkedZip{digests: map[string]pipeline.Digest{}, sizes: map[string]int64{}}
	tree := newTreeSum()
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		if !f.Mode().IsRegular() {
			return refuse("%q in it is no regular file", f.Name)
		}
		if f.UncompressedSize64 > maxContent || c.bytes+int64(f.UncompressedSize64) > maxContent {
			return refuse("its files take more than the %d MiB there may be", maxContent>>20)
		}
		content, err := readFile(f)
		if err != nil {
			return refuse("%q in it is damaged", f.Name)
		}
		c.bytes += int64(len(content))
		c.sizes[f.Name] = int64(len(content))
		c.digests[f.Name] = pipeline.SumBytes(content)
		tree.add(f.Name, c.digests[f.Name])
		if f.Name == "cue.mod/module.cue" {
			c.modFile = content
		}
	}
	if _, err := checkModFile(c.modFile, mpath, version); err != nil {
		return nil, err
	}
	c.sums = sums{mod: pipeline.SumBytes(c.modFile), tree: tree.sum()}
	return c, nil
}

// differs names a file that is not the same in c and o.
func (c *checkedZip) differs(o *checkedZip) string {
	for _, name := range slices.Sorted(maps.Keys(o.digests)) {
		if d, ok := c.digests[name]; !ok {
			return name + " is new"
		} else if d != o.digests[name] {
			return name + " differs"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.digests)) {
		if _, ok := o.digests[name]; !ok {
			return name + " is gone"
		}
	}
	return "nothing differs"
}

// readFile reads one file of an archive, which has just the size it says.
func readFile(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := readAll(r, int64(f.UncompressedSize64))
	if err == nil && uint64(len(b)) != f.UncompressedSize64 {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// plainZip says what CUE found wrong with an archive, in one line.
func plainZip(err error) string {
	if list, ok := err.(modzip.FileErrorList); ok && len(list) > 0 {
		s := fmt.Sprintf("%q in it: %s", list[0].Path, oneLine(list[0].Err))
		if len(list) > 1 {
			s += fmt.Sprintf(" (and %d more like it)", len(list)-1)
		}
		return s
	}
	return oneLine(err)
}
