package fetch

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An entry of an archive to be made; a body that is nil is a folder.
type entry struct {
	name string
	body []byte
	mode fs.FileMode
	link string
}

func zipOf(t testing.TB, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode | 0o644)
		w, err := z.CreateHeader(h)
		if err == nil && e.link != "" {
			e.body = []byte(e.link)
		}
		if err == nil {
			_, err = w.Write(e.body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func tarOf(t testing.TB, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: int64(e.mode.Perm() | 0o644), Size: int64(len(e.body)), Typeflag: tar.TypeReg, Linkname: e.link}
		switch {
		case e.mode&fs.ModeSymlink != 0:
			h.Typeflag = tar.TypeSymlink
		case e.mode&fs.ModeDevice != 0:
			h.Typeflag = tar.TypeChar
		case e.link != "":
			h.Typeflag = tar.TypeLink
		case e.body == nil && strings.HasSuffix(e.name, "/"):
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gzOf(t testing.TB, content string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(content))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// fileParams is a source of one local file with this content.
func fileParams(t *testing.T, name, content, more string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	writeTestFile(t, path, content)
	return fmt.Sprintf(`{"source": {"file": {"path": %q}}%s}`, path, more)
}

func TestUnpack(t *testing.T) {
	good := []entry{
		{name: "a/", mode: fs.ModeDir}, {name: "a/one.txt", body: []byte("1")},
		{name: "a/run.sh", body: []byte("#!"), mode: 0o755}, {name: "two.txt", body: []byte("22")},
	}
	want := map[string]string{"a/one.txt": "1", "a/run.sh": "#!", "two.txt": "22"}
	for _, c := range []struct{ format, name, content string }{
		{"zip", "x.zip", zipOf(t, good...)},
		{"tar", "x.tar", tarOf(t, good...)},
		{"tar.gz", "x.tgz", gzOf(t, tarOf(t, good...))},
	} {
		m := newMachine(t)
		out, err := m.fetch(fileParams(t, c.name, c.content, `, "unpack": "`+c.format+`"`))
		if err != nil || fmt.Sprint(out) != fmt.Sprint(want) {
			t.Errorf("%s: %v, %v", c.format, out, err)
			continue
		}
		for name, bits := range map[string]fs.FileMode{"a/run.sh": 0o111, "two.txt": 0} {
			if info, err := os.Stat(filepath.Join(m.work, "out", name)); err != nil || info.Mode()&0o111 != bits {
				t.Errorf("%s: %s has mode %v, %v", c.format, name, info.Mode(), err)
			}
		}
		// Files stay as they came unless the user asks.
		if out, err := newMachine(t).fetch(fileParams(t, c.name, c.content, "")); err != nil || out[c.name] != c.content {
			t.Errorf("%s, not unpacked: %v", c.format, err)
		}
	}
	out, err := newMachine(t).fetch(fileParams(t, "rows.jsonl.gz", gzOf(t, "{}"), `, "unpack": "gz"`))
	if err != nil || out["rows.jsonl"] != "{}" {
		t.Errorf("gz: %v, %v", out, err)
	}
}

func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	x := []byte("x")
	for _, c := range []struct {
		words   string
		entries []entry
	}{
		{"leads out", []entry{{name: "../evil", body: x}}},
		{"leads out", []entry{{name: "a/../../evil", body: x}}},
		{"absolute", []entry{{name: "/etc/evil", body: x}}},
		{"backslash", []entry{{name: `..\evil`, body: x}}},
		{"control", []entry{{name: "a\x1bb", body: x}}},
		{"shortest form", []entry{{name: "a//b", body: x}}},
		{`"ln" is a symbolic link`, []entry{{name: "ln", mode: fs.ModeSymlink, link: "/etc"}}},
		{"comes twice", []entry{{name: "f", body: x}, {name: "f", body: x}}},
		{"ignore case", []entry{{name: "f", body: x}, {name: "F", body: x}}},
		{"ignore case", []entry{{name: "Dir/a", body: x}, {name: "dir/b", body: x}}},
		{"ignore case", []entry{{name: "\u00e9", body: x}, {name: "e\u0301", body: x}}},
		{"both a file and a folder", []entry{{name: "f", body: x}, {name: "f/g", body: x}}},
		{"more than", []entry{{name: strings.Repeat("n", 300), body: x}}},
		{"empty", nil},
	} {
		for format, content := range map[string]string{"zip": zipOf(t, c.entries...), "tar": tarOf(t, c.entries...)} {
			m := newMachine(t)
			out, err := m.fetch(fileParams(t, "x", content, `, "unpack": "`+format+`"`))
			wantField(t, err, "unpack", c.words)
			if len(out) != 0 {
				t.Errorf("%s with %v left %v", format, c.words, out)
			}
		}
	}
	for words, e := range map[string]entry{
		`"hl" is a hard link`: {name: "hl", link: "/etc/passwd"},
		`"dev" is a device`:   {name: "dev", mode: fs.ModeDevice},
	} {
		_, err := newMachine(t).fetch(fileParams(t, "x", tarOf(t, e), `, "unpack": "tar"`))
		wantField(t, err, "unpack", words)
	}
}

func TestUnpackBroken(t *testing.T) {
	t.Parallel()
	whole := gzOf(t, tarOf(t, entry{name: "f", body: noise(10_000)}))
	flipped := []byte(whole)
	flipped[len(flipped)-6] ^= 1 // in the checksum
	for _, c := range []struct{ format, content, words string }{
		{"tar.gz", whole[:5000], "unexpected EOF"},
		{"tar.gz", string(flipped), "checksum"},
		{"gz", whole[:5000], "unexpected EOF"},
		{"zip", whole, "reading zip"},
		{"tar", whole, "reading tar"},
		{"gz", "hello", "reading gzip"},
	} {
		_, err := newMachine(t).fetch(fileParams(t, "x.gz", c.content, `, "unpack": "`+c.format+`"`))
		wantField(t, err, "unpack", c.words)
	}
	two := filepath.Dir(filepath.Join(t.TempDir(), "x"))
	writeTestFile(t, filepath.Join(two, "a.zip"), "")
	writeTestFile(t, filepath.Join(two, "b.zip"), "")
	_, err := newMachine(t).fetch(fmt.Sprintf(`{"source": {"file": {"path": %q}}, "unpack": "zip"}`, two))
	wantField(t, err, "unpack", "more than one file")
}

func TestUnpackBombs(t *testing.T) {
	t.Parallel()
	zeros := make([]byte, 8<<20)
	for format, content := range map[string]string{
		"zip":    zipOf(t, entry{name: "a", body: zeros}, entry{name: "b", body: zeros}),
		"tar.gz": gzOf(t, tarOf(t, entry{name: "a", body: zeros}, entry{name: "b", body: zeros})),
		"gz":     gzOf(t, string(zeros)+string(zeros)),
	} {
		_, err := newMachine(t).fetch(fileParams(t, "x", content, `, "maxSize": "10MB", "unpack": "`+format+`"`))
		wantField(t, err, "maxSize", "more than 10MB")
	}
	// Beyond freeBytes, only so many times the size of the archive.
	b, err := newBudget("100GB")
	if err != nil {
		t.Fatal(err)
	}
	a := &archive{budget: b, packed: 1000, written: freeBytes}
	if _, err := a.bounded(t.Context(), strings.NewReader("x")).Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "times its size") {
		t.Errorf("ratio: %v", err)
	}
}

// FuzzUnpack looks for archives that break out of their folder.
func FuzzUnpack(f *testing.F) {
	for _, e := range []entry{{name: "a", body: []byte("x")}, {name: "../a", body: []byte("x")}, {name: "l", mode: fs.ModeSymlink, link: ".."}} {
		f.Add(zipOf(f, e), "zip")
		f.Add(tarOf(f, e), "tar")
		f.Add(gzOf(f, tarOf(f, e)), "tar.gz")
	}
	f.Fuzz(func(t *testing.T, content, format string) {
		dir := t.TempDir()
		src := filepath.Join(dir, "src")
		writeTestFile(t, src, content)
		b, err := newBudget("1MB")
		if err != nil {
			t.Fatal(err)
		}
		a := newArchive(src, filepath.Join(dir, "dst"), b)
		a.unpack(t.Context(), format)
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) > 2 {
			t.Errorf("%d entries beside the result, %v", len(entries), err)
		}
		filepath.WalkDir(a.dst, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !d.Type().IsRegular() {
				t.Errorf("%s is %v", path, d.Type())
			}
			return nil
		})
	})
}

// TestZipEncrypted: the bit alone makes a file unreadable.
func TestZipEncrypted(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: "f", Flags: 1, CRC32: crc32.ChecksumIEEE([]byte("x")), CompressedSize64: 1, UncompressedSize64: 1}
	w, err := z.CreateRaw(h)
	if err == nil {
		_, err = w.Write([]byte("x"))
	}
	if err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	_, err = newMachine(t).fetch(fileParams(t, "x.zip", b.String(), `, "unpack": "zip"`))
	wantField(t, err, "unpack", "encrypted")
}
