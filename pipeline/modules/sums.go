package modules

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/mod/modcache"
	"cuelang.org/go/mod/module"

	"github.com/pipe-run/pipe/pipeline"
)

// sums are the digests of a module: of its module file and of all its files.
type sums struct{ mod, tree pipeline.Digest }

// A treeSum digests names and contents, in any order of adding.
type treeSum struct{ lines []string }

func newTreeSum() *treeSum { return &treeSum{} }

func (t *treeSum) add(name string, d pipeline.Digest) {
	t.lines = append(t.lines, fmt.Sprintf("%s  %q\n", d, name))
}

func (t *treeSum) sum() pipeline.Digest {
	slices.Sort(t.lines)
	h := sha256.New()
	for _, l := range t.lines {
		h.Write([]byte(l))
	}
	return pipeline.Digest(h.Sum(nil))
}

// sumFS digests all files of a file system.
func sumFS(fsys fs.FS) (sums, error) {
	var s sums
	t := newTreeSum()
	err := fs.WalkDir(fsys, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if !e.Type().IsRegular() {
			return fmt.Errorf("%s is no regular file", p)
		}
		b, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		d := pipeline.SumBytes(b)
		if p == "cue.mod/module.cue" {
			s.mod = d
		}
		t.add(p, d)
		return nil
	})
	s.tree = t.sum()
	return s, err
}

// A sum file stands beside what CUE keeps of a download. It is written after
// the checks of the download and never changed, so that whatever changes in
// the cache later is found out.
const sumMagic = "pipe module 1\n"

func (s sums) encode() []byte {
	return fmt.Appendf(nil, "%smod %s\ntree %s\n", sumMagic, s.mod, s.tree)
}

func decodeSums(b []byte) (s sums, ok bool) {
	rest, ok := bytes.CutPrefix(b, []byte(sumMagic))
	if !ok || len(rest) > 1024 {
		return s, false
	}
	var mod, tree string
	if n, err := fmt.Sscanf(string(rest), "mod %s\ntree %s\n", &mod, &tree); n != 2 || err != nil {
		return s, false
	}
	var err, err2 error
	s.mod, err = pipeline.ParseDigest(mod)
	s.tree, err2 = pipeline.ParseDigest(tree)
	return s, err == nil && err2 == nil
}

// paths are where CUE's cache keeps a module version.
type paths struct {
	extract string // the folder of its files
	zip     string // the archive it came as
	mod     string // its module file
	sum     string // its digests, by pipe
	lock    string
}

func (r *Registry) paths(mv module.Version) (paths, error) {
	p, err := module.EscapePath(mv.BasePath())
	if err != nil {
		return paths{}, err
	}
	v, err := module.EscapeVersion(mv.Version())
	if err != nil {
		return paths{}, err
	}
	base := filepath.Join(r.dir, "mod", "download", p, "@v", v)
	return paths{
		extract: filepath.Join(r.dir, "mod", "extract", p+"@"+v),
		zip:     base + ".zip", mod: base + ".mod", sum: base + ".pipesum", lock: base + ".lock",
	}, nil
}

// recorded returns the digests of a module version: those written down, else
// those of the download that was just checked or that stands in the cache.
func (r *Registry) recorded(mv module.Version, p paths) (sums, error) {
	if b, err := os.ReadFile(p.sum); err == nil {
		if s, ok := decodeSums(b); ok {
			return s, nil
		}
		return sums{}, r.tampered(mv, "the file of its digests "+p.sum+" is damaged")
	}
	s, ok := r.resolver.checked(mv)
	if !ok { // fetched by cue
		b, err := os.ReadFile(p.zip)
		if errors.Is(err, fs.ErrNotExist) {
			return sums{}, errNoSum
		}
		if err != nil {
			return sums{}, err
		}
		c, err := checkZip(b, mv.BasePath(), mv.Version())
		if err != nil {
			return sums{}, err
		}
		s = c.sums
	}
	writeFile(p.sum, s.encode()) // a cache that is read-only goes without
	return s, nil
}

// errNoSum says that nothing is known of what a module should be.
var errNoSum = errors.New("no digests are known")

// verify holds the files of a cached module against what was downloaded.
func (r *Registry) verify(mv module.Version) error {
	p, err := r.paths(mv)
	if err != nil {
		return err
	}
	want, err := r.recorded(mv, p)
	if errors.Is(err, errNoSum) {
		return r.tampered(mv, "the archive it came as is gone")
	}
	if err != nil {
		return err
	}
	got, err := sumFS(os.DirFS(p.extract))
	if err != nil {
		return r.tampered(mv, oneLine(err))
	}
	if got.tree != want.tree {
		return r.tampered(mv, changed(mv, p))
	}
	return nil
}

// verifyMod holds a cached module file against what was downloaded, as far as
// that is known.
func (r *Registry) verifyMod(mv module.Version) error {
	p, err := r.paths(mv)
	if err != nil {
		return err
	}
	want, err := r.recorded(mv, p)
	if errors.Is(err, errNoSum) {
		return nil // the archive, which is what counts, comes later
	}
	if err != nil {
		return err
	}
	b, err := os.ReadFile(p.mod)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || pipeline.SumBytes(b) != want.mod {
		return r.tampered(mv, p.mod+" differs")
	}
	return nil
}

// dropMod removes the module file of a module whose archive was refused: it
// came from the same hand. Where an archive is kept, its file stays.
func (r *Registry) dropMod(mv module.Version, err error) {
	var e *Error
	p, perr := r.paths(mv)
	if perr != nil || !errors.As(err, &e) || !e.refused {
		return
	}
	if _, err := os.Stat(p.zip); errors.Is(err, fs.ErrNotExist) {
		os.Remove(p.mod)
	}
}

// changed names the first file that differs from the archive beside it.
func changed(mv module.Version, p paths) string {
	b, err := os.ReadFile(p.zip)
	if err != nil {
		return "its files are not those that were downloaded"
	}
	z, err := checkZip(b, mv.BasePath(), mv.Version())
	if err != nil {
		return "its files are not those that were downloaded"
	}
	want := z.digests
	var names []string
	fs.WalkDir(os.DirFS(p.extract), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			b, _ := os.ReadFile(filepath.Join(p.extract, filepath.FromSlash(name)))
			if want[name] != pipeline.SumBytes(b) {
				names = append(names, name)
			}
			delete(want, name)
		}
		return nil
	})
	for name := range want {
		names = append(names, name)
	}
	if len(names) == 0 {
		return "its archive is not the one that was downloaded"
	}
	slices.Sort(names)
	return filepath.Join(p.extract, filepath.FromSlash(names[0])) + " differs"
}

// tampered refuses a module whose cached copy is not what was downloaded.
func (r *Registry) tampered(mv module.Version, how string) error {
	return &Error{
		Module:  named(mv),
		Message: fmt.Sprintf("the cached copy of %s was changed after it was downloaded: %s", named(mv), how),
		Hint:    "to download it again: pipe mod get --fresh " + named(mv),
	}
}

// Forget removes what the cache holds of a module version, so that it is
// downloaded again.
func (r *Registry) Forget(mv module.Version) error {
	if isBuiltin(mv.Path()) {
		return nil
	}
	if err := r.open(); err != nil {
		return err
	}
	p, err := r.paths(mv)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p.lock), 0o777); err != nil {
		return err
	}
	unlock, err := lock(p.lock)
	if err != nil {
		return err
	}
	defer unlock()
	err = modcache.RemoveAll(p.extract)
	for _, f := range []string{p.zip, p.mod, p.sum} {
		if e := os.Remove(f); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// writeFile writes a file as a whole or not at all.
func writeFile(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), strings.TrimSuffix(filepath.Base(name), ".cue")+".tmp*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
