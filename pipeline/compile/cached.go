package compile

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/modules"
)

// A stored graph is one file of the cache folder, named after the pipeline
// file, how the user named it, and the tags:
//
//	magic
//	CRC-32C of the rest, 4 bytes
//	identity of the executable
//	what the graph was made from: (path, digest) of every file, of every
//	  folder of packages (its *.cue names), and of the module that was found
//	the graph (see codec.go)
//
// It is a hit when all of that is still so; anything else is a miss and the
// file is written anew. Its loss costs a compilation, nothing more.
const cacheMagic = "pipe graph 2\n"

// Cached is File, remembering graphs in dir: as long as nothing changed that
// the graph depends on, CUE is not even loaded. Only what compiles is
// remembered. Trouble with dir is not an error.
func Cached(ctx context.Context, dir, file string, opts Options) (*pipeline.Graph, error) {
	entry, err := entryPath(dir, file, opts)
	if err != nil {
		return File(ctx, file, opts)
	}
	exe := executable()
	if g := lookupGraph(entry, exe); g != nil {
		return g, nil
	}
	c, err := compileFile(ctx, file, opts)
	if err != nil {
		return nil, err
	}
	if exe != "" {
		storeGraph(entry, exe, c.dependencies(), c.graph)
	}
	return c.graph, nil
}

// entryPath returns where the graph of file is remembered.
func entryPath(dir, file string, opts Options) (string, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	e := &encoder{}
	e.string(abs)
	e.string(file)
	e.list(opts.Tags)
	env := opts.Env
	if env == nil {
		env = os.Environ()
	}
	env = slices.DeleteFunc(slices.Clone(env), func(s string) bool { return !strings.HasPrefix(s, "CUE_") })
	slices.Sort(env)
	e.list(env)
	return filepath.Join(dir, pipeline.SumBytes(e.b).String()+".graph"), nil
}

// executable identifies the program by its file's name, size and time; the
// schema is part of it. Empty when that cannot be told.
func executable() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	st, err := os.Stat(path)
	if err != nil {
		return ""
	}
	e := &encoder{}
	e.string(path)
	e.int(st.Size())
	e.int(st.ModTime().UnixNano())
	return string(e.b)
}

// A dependency is something outside that a graph was made from.
type dependency struct {
	path   string
	how    byte // 'f': bytes of a file, 'd': names in a folder, 'm': the module of a folder
	digest pipeline.Digest
}

// dependencies returns what the graph was made from. The digests are those of
// the bytes that were read, not of what stands there now.
func (s *source) dependencies() []dependency {
	deps := []dependency{{s.abs, 'f', pipeline.SumBytes(s.src)}}
	if !s.imports {
		return deps
	}
	folders := map[string]bool{}
	for path, d := range s.deps {
		deps = append(deps, dependency{path, 'f', d})
		if dir := filepath.Dir(path); !folders[dir] {
			folders[dir] = true
			deps = append(deps, dependency{dir, 'd', sumNames(dir)})
		}
	}
	deps = append(deps, dependency{s.dir, 'm', pipeline.SumBytes([]byte(modules.FindFile(s.dir)))})
	slices.SortFunc(deps[1:], func(a, b dependency) int { return strings.Compare(a.path, b.path) })
	return deps
}

// Sources returns the files, beside the program, that the graph of file
// depends on, as absolute paths.
func Sources(ctx context.Context, file string, opts Options) ([]string, error) {
	c, err := compileFile(ctx, file, opts)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, d := range c.dependencies() {
		if d.how == 'f' {
			paths = append(paths, d.path)
		}
	}
	return paths, nil
}

// now returns the digest of d as it is at this moment.
func (d dependency) now() pipeline.Digest {
	switch d.how {
	case 'f':
		b, err := os.ReadFile(d.path)
		if err != nil {
			return pipeline.Digest{}
		}
		return pipeline.SumBytes(b)
	case 'd':
		return sumNames(d.path)
	case 'm':
		return pipeline.SumBytes([]byte(modules.FindFile(d.path)))
	}
	return pipeline.Digest{}
}

// sumNames digests the names of the CUE files in a folder.
func sumNames(dir string) pipeline.Digest {
	names, _ := filepath.Glob(filepath.Join(dir, "*.cue"))
	e := &encoder{}
	e.list(names)
	return pipeline.SumBytes(e.b)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// lookupGraph returns the remembered graph, or nil.
func lookupGraph(entry, exe string) *pipeline.Graph {
	b, err := os.ReadFile(entry)
	if err != nil {
		return nil
	}
	rest, ok := bytes.CutPrefix(b, []byte(cacheMagic))
	if !ok || len(rest) < 4 || binary.LittleEndian.Uint32(rest) != crc32.Checksum(rest[4:], castagnoli) {
		return nil
	}
	rest = rest[4:]
	d := &decoder{b: rest, s: string(rest[:min(len(rest), 1<<16)])}
	if string(d.bytes()) != exe {
		return nil
	}
	for range d.count() {
		dep := dependency{path: string(d.bytes()), how: byte(d.uint())}
		copy(dep.digest[:], d.bytes())
		if d.bad || dep.digest.IsZero() || dep.now() != dep.digest {
			return nil
		}
	}
	g, err := decodeGraph(rest[d.at:])
	if err != nil {
		return nil
	}
	return g
}

// storeGraph remembers g, if it can.
func storeGraph(entry, exe string, deps []dependency, g *pipeline.Graph) {
	e := &encoder{}
	e.string(exe)
	e.uint(uint64(len(deps)))
	for _, d := range deps {
		e.string(d.path)
		e.uint(uint64(d.how))
		e.bytes(d.digest[:])
	}
	e.b = append(e.b, encodeGraph(g)...)
	b := binary.LittleEndian.AppendUint32([]byte(cacheMagic), crc32.Checksum(e.b, castagnoli))
	b = append(b, e.b...)
	if os.MkdirAll(filepath.Dir(entry), 0o777) != nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(entry), ".graph-*")
	if err != nil {
		return
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), entry)
	}
	if err != nil {
		os.Remove(f.Name())
	}
}
