package pack

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const text = "one\ntwo\n"

// bzipped is text as bzip2 packs it; the standard library does not write it.
var bzipped, _ = base64.StdEncoding.DecodeString(bzip64)

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zstded(b []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	defer w.Close()
	return w.EncodeAll(b, nil)
}

func zipped(t testing.TB, members map[string]string) []byte {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	names := []string{}
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, members[name])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestStreams(t *testing.T) {
	for form, packed := range map[Form][]byte{None: []byte(text), Gzip: gzipped([]byte(text)), Zstd: zstded([]byte(text)), Bzip2: bzipped} {
		got, err := Detect(packed)
		if got != form || err != nil {
			t.Errorf("%s is told as %s, %v", form, got, err)
		}
		r, err := NewReader(bytes.NewReader(packed), form, int64(len(packed)))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); string(b) != text || err != nil {
			t.Errorf("%s: %q, %v", form, b, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if form == None {
			continue
		}
		r, err = NewReader(bytes.NewReader(packed[:len(packed)-3]), form, int64(len(packed)))
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if err == nil {
			t.Errorf("%s: three bytes too few are no error", form)
		}
	}
	// Two gzip members one after another are one text.
	r, err := NewReader(bytes.NewReader(append(gzipped([]byte("a")), gzipped([]byte("b"))...)), Gzip, 50)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); string(b) != "ab" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestUnreadFormsAreNamed(t *testing.T) {
	for magic, want := range map[string]string{"\xfd7zXZ\x00": "xz", "7z\xbc\xaf\x27\x1c": "7z", "Rar!\x1a\x07\x01": "RAR", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ".xlsx"} {
		if _, err := Detect([]byte(magic)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", magic, err)
		}
	}
}

// TestBomb: zeros pack a thousand times and more.
func TestBomb(t *testing.T) {
	w, _ := zstd.NewWriter(nil)
	defer w.Close()
	mega := w.EncodeAll(make([]byte, 64<<20), nil)
	packed := bytes.Repeat(mega, 20)
	r, err := NewReader(bytes.NewReader(packed), Zstd, int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	if err == nil || !strings.Contains(err.Error(), "unpacks to more than") || n > Limit(int64(len(packed))) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestArchive(t *testing.T) {
	b := zipped(t, map[string]string{"a/b.csv": "x\n1\n", "z.jsonl": "1\n", "a/": "", ".git/x": "", "__MACOSX/z": ""})
	a, err := OpenArchive(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	names, err := a.Members()
	if want := []string{"a/b.csv", "z.jsonl"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("%q, %v", names, err)
	}
	r, size, err := a.Open("a/b.csv")
	if err != nil || size != 4 {
		t.Fatal(size, err)
	}
	if text, err := io.ReadAll(r); string(text) != "x\n1\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	for _, name := range []string{"../x", "/etc/passwd", `a\b`} {
		b := zipped(t, map[string]string{name: ""})
		a, err := OpenArchive(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if names, err := a.Members(); err == nil {
			t.Errorf("%q was taken for %q", name, names)
		}
	}
}

func FuzzArchive(f *testing.F) {
	f.Add(zipped(f, map[string]string{"a": "text", "b/c": "more"}))
	f.Add(gzipped([]byte(text)))
	f.Add(zstded([]byte(text)))
	f.Add(bzipped)
	f.Fuzz(func(t *testing.T, data []byte) {
		form, err := Detect(data)
		if err != nil || form == None {
			return
		}
		if form != Zip {
			if r, err := NewReader(bytes.NewReader(data), form, int64(len(data))); err == nil {
				io.Copy(io.Discard, io.LimitReader(r, 1<<20))
				r.Close()
			}
			return
		}
		a, err := OpenArchive(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		names, _ := a.Members()
		for _, name := range names[:min(len(names), 10)] {
			if r, _, err := a.Open(name); err == nil {
				io.Copy(io.Discard, io.LimitReader(r, 1<<20))
				r.Close()
			}
		}
	})
}

const bzip64 = "QlpoOTFBWSZTWacUK3cAAALBgAAQAgGEgCAAIYAMAjj1G4u5IpwoSFOKFbuA"
