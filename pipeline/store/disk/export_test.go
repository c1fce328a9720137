package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/store/archive"
)

// fillTrees records n results of random trees, which share files, and returns them.
func fillTrees(t *testing.T, s *Store, n int) map[pipeline.Key]*pipeline.Result {
	t.Helper()
	r := rand.New(rand.NewPCG(7, uint64(n)))
	all := map[pipeline.Key]*pipeline.Result{}
	for i := range n {
		action := fmt.Appendf(nil, `{"n":%d}`, i)
		if _, _, err := s.Put(t.Context(), bytes.NewReader(action)); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for j := range 1 + r.IntN(5) {
			path := filepath.Join(dir, strings.Repeat("d/", r.IntN(3)), strconv.Itoa(j))
			text := bytes.Repeat([]byte{byte(r.IntN(4))}, r.IntN(3000))
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, text, 0o666)); err != nil {
				t.Fatal(err)
			}
		}
		root, size, err := s.Commit(t.Context(), dir, CommitOptions{})
		if err != nil {
			t.Fatal(err)
		}
		log, _, err := s.Put(t.Context(), strings.NewReader("log "+strconv.Itoa(i)))
		if err != nil {
			t.Fatal(err)
		}
		k := pipeline.Key(pipeline.SumBytes(action))
		all[k] = &pipeline.Result{Outputs: map[string]pipeline.Artifact{"out": {Type: "files", Root: root, Size: size}}, Log: log, Usage: pipeline.Usage{Seconds: float64(i)}}
		if err := s.Record(t.Context(), k, all[k]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func keysOf(all map[pipeline.Key]*pipeline.Result) []pipeline.Key { return sortedKeys(all) }

func export(t *testing.T, s *Store, o ExportOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := s.Export(t.Context(), &b, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// An import into an empty cache gives every result and every byte, and exports
// as the same archive; a second import changes nothing.
func TestExportImport(t *testing.T) {
	a := open(t, t.TempDir())
	defer a.Close()
	all := fillTrees(t, a, 12)
	file := export(t, a, ExportOptions{Keys: keysOf(all)})
	dir := t.TempDir()
	b := open(t, dir)
	defer b.Close()
	for i := range 2 {
		r, err := b.Import(t.Context(), bytes.NewReader(file), ImportOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 && (r.New != r.Counts || r.Results != 12) || i == 1 && r.New != (archive.Counts{}) {
			t.Errorf("import %d: %+v", i, r)
		}
	}
	for k, want := range all {
		got, err := b.Lookup(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		if got.Outputs["out"] != want.Outputs["out"] || got.Log != want.Log || got.Usage != want.Usage {
			t.Errorf("%v, want %v", got, want)
		}
		if _, err := b.Get(t.Context(), k.Preimage()); err != nil {
			t.Error(err)
		}
	}
	if again := export(t, b, ExportOptions{Keys: keysOf(all)}); !bytes.Equal(again, file) {
		t.Error("the importing cache exports something else")
	}
	if v, err := b.VerifyAll(t.Context(), nil); err != nil || len(v.Damaged) > 0 {
		t.Errorf("%+v, %v", v, err)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "tmp")); len(left) > 0 {
		t.Errorf("%v is left in tmp", left)
	}
}

func TestExportMissing(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	if _, err := s.Export(t.Context(), io.Discard, ExportOptions{Keys: []pipeline.Key{{1}}}); !errors.Is(err, pipeline.ErrNotFound) {
		t.Error(err)
	}
}

// contents lists the files of a cache that count.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	for _, sub := range []string{"cas", "ac", "tmp"} {
		err := filepath.WalkDir(filepath.Join(dir, sub), func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				fmt.Fprintln(&b, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// An archive that is cut off or has a flipped bit leaves nothing behind, or
// what was exported.
func TestImportDamaged(t *testing.T) {
	a := open(t, t.TempDir())
	defer a.Close()
	all := fillTrees(t, a, 2)
	file := export(t, a, ExportOptions{Keys: keysOf(all)})
	dir := t.TempDir()
	b := open(t, dir)
	defer b.Close()
	before := contents(t, dir)
	stride := 7
	if testing.Short() {
		stride = 101
	}
	for n := 0; n < len(file); n += stride {
		bad := bytes.Clone(file)
		bad[n] ^= 1 << (n % 8)
		for what, bytesOf := range map[string][]byte{"cut off": file[:n], "flipped": bad} {
			_, err := b.Import(t.Context(), bytes.NewReader(bytesOf), ImportOptions{})
			if err == nil && what == "flipped" {
				continue // a bit that says nothing; TestFlippedBits of archive
			}
			if !errors.Is(err, archive.ErrDamaged) && !strings.Contains(fmt.Sprint(err), "has format") {
				t.Fatalf("%s at %d: %v", what, n, err)
			}
			if after := contents(t, dir); after != before {
				t.Fatalf("%s at %d: left behind\n%s", what, n, after)
			}
		}
	}
}

// forge writes an archive with its own hands.
func forge(t *testing.T, blobs []string, results map[pipeline.Key][]byte, tags ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := archive.NewWriter(&b, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	byDigest := map[pipeline.Digest]string{}
	for _, text := range blobs {
		byDigest[pipeline.SumBytes([]byte(text))] = text
	}
	for _, d := range sortedDigests(byDigest) {
		w.Blob(d, int64(len(byDigest[d])), strings.NewReader(byDigest[d]))
	}
	for _, k := range sortedKeys(results) {
		w.Result(k, results[k])
	}
	for _, tag := range tags {
		w.Tag([]byte(tag))
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestImportForged(t *testing.T) {
	k := pipeline.Key{5}
	file := pipeline.FileNode{Name: "f", Digest: pipeline.SumBytes([]byte("file")), Size: 4}
	wrongSize := file
	wrongSize.Size = 1 << 40
	tree := func(d pipeline.Directory) string { return string(d.Encode()) }
	result := func(root string) map[pipeline.Key][]byte {
		d := pipeline.SumBytes([]byte(root))
		raw, err := encodeResult(k, &pipeline.Result{Outputs: map[string]pipeline.Artifact{"out": {Type: "files", Root: d}}}, map[pipeline.Digest]int64{d: int64(len(root))})
		if err != nil {
			t.Fatal(err)
		}
		return map[pipeline.Key][]byte{k: raw}
	}
	other := map[pipeline.Key][]byte{{6}: result("")[k]}
	good := tree(pipeline.Directory{Files: []pipeline.FileNode{file}})
	long := tree(pipeline.Directory{Files: []pipeline.FileNode{wrongSize}})
	// A directory that names .. is not one that Encode would write: by hand.
	name := "../../x"
	node := append([]byte{1<<3 | 2, byte(len(name))}, name...)
	digest := append([]byte{1<<3 | 2, 64}, file.Digest.String()...)
	node = append(append(node, 2<<3|2, byte(len(digest))), digest...)
	escape := string(append(binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(node))), node...))
	for _, c := range []struct {
		name, want string
		file       []byte
	}{
		{"no directory", "names what is neither in it nor in the cache", forge(t, []string{"file"}, result(good))},
		{"no file", "names what is neither in it nor in the cache", forge(t, []string{good}, result(good))},
		{"other size", "has 4 bytes, not 1099511627776", forge(t, []string{"file", long}, result(long))},
		{"names a path", "is not a file name", forge(t, []string{"file", escape}, result(escape))},
		{"no directory at all", "decoding directory", forge(t, []string{"file", "text"}, result("text"))},
		{"result of another key", "its checksum is wrong", forge(t, nil, other)},
		{"no result", "it has 3 bytes", forge(t, nil, map[pipeline.Key][]byte{k: []byte("abc")})},
		{"a tag", "it holds a tag", forge(t, nil, nil, "{}")},
	} {
		dir := t.TempDir()
		s := open(t, dir)
		before := contents(t, dir)
		_, err := s.Import(t.Context(), bytes.NewReader(c.file), ImportOptions{})
		if !errors.Is(err, archive.ErrDamaged) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if after := contents(t, dir); after != before {
			t.Errorf("%s: left behind\n%s", c.name, after)
		}
		s.Close()
	}
	s := open(t, t.TempDir())
	defer s.Close()
	if _, err := s.Import(t.Context(), bytes.NewReader(forge(t, []string{"file", good}, result(good))), ImportOptions{}); err != nil {
		t.Errorf("the right one: %v", err)
	}
}

// A blob that the disk has no room for is refused before it is written.
func TestImportTooLarge(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	m := &importer{store: s, dir: dir}
	err := m.stageBlob(nil, archive.Entry{Type: archive.Blob, Size: 1 << 49})
	if err == nil || !strings.Contains(err.Error(), "the disk of the cache") {
		t.Error(err)
	}
}

// importWork is what is killed: an import of two results.
func importWork(s *Store) error {
	file, err := os.Open(os.Getenv("PIPE_TEST_CRASH_FILE"))
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = s.Import(context.Background(), file, ImportOptions{})
	return err
}

// An import may be killed at any time: there is no result without its blobs,
// and another import brings the rest.
func TestImportCrash(t *testing.T) {
	a := open(t, t.TempDir())
	defer a.Close()
	all := fillTrees(t, a, 2)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, export(t, a, ExportOptions{Keys: keysOf(all)}), 0o666); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PIPE_TEST_CRASH_FILE", file)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stride := 1
	if testing.Short() {
		stride = 13
	}
	ops := 0
	for n := 1; ; n += stride {
		dir := t.TempDir()
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), "PIPE_TEST_CRASH_DIR="+dir, "PIPE_TEST_CRASH_AT="+strconv.Itoa(n))
		out, err := cmd.CombinedOutput()
		if err == nil {
			break
		}
		if cmd.ProcessState.ExitCode() != crashCode {
			t.Fatalf("before change %d: %v\n%s", n, err, out)
		}
		ops++
		s := open(t, dir)
		if v, err := s.VerifyAll(t.Context(), nil); err != nil || len(v.Damaged) > 0 {
			t.Errorf("killed before change %d, %s: %v, %v", n, out, v, err)
		}
		if err := importWork(s); err != nil {
			t.Errorf("killed before change %d, %s, and imported again: %v", n, out, err)
		}
		for k := range all {
			if _, err := s.Lookup(t.Context(), k); err != nil {
				t.Errorf("killed before change %d, %s: %v", n, out, err)
			}
		}
		s.Close()
	}
	if ops < 30/stride {
		t.Errorf("only %d changes of the file system", ops)
	}
}
