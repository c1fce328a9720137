package pipeline

import (
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

// sampleDirectory uses all there is, and names whose order differs between
// bytes and letters.
func sampleDirectory() *Directory {
	digest := func(c string) (d Digest) {
		d, err := ParseDigest(strings.Repeat(c, 64))
		if err != nil {
			panic(err)
		}
		return d
	}
	return &Directory{
		Files: []FileNode{
			{Name: "B", Digest: digest("a"), Size: 300},
			{Name: "a", Digest: digest("b")},
			{Name: "run.sh", Digest: digest("c"), Size: 1, Executable: true},
			{Name: "é", Digest: digest("d"), Size: 1 << 40},
		},
		Dirs: []DirNode{
			{Name: "empty", Digest: SumBytes(nil)},
			{Name: "sub", Digest: digest("e"), Size: 75},
		},
	}
}

// goldenDirectory was written by google.golang.org/protobuf from the message
// build.bazel.remote.execution.v2.Directory of
// github.com/bazelbuild/remote-apis with these entries.
const goldenDirectory = "0a4a0a014212450a406161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616110ac020a470a016112420a40626262626262626262626262626262626262626262626262626262626262626262626262626262626262626262626262626262626262626262626262626262620a500a0672756e2e736812440a4063636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363100120010a4f0a02c3a912490a406464646464646464646464646464646464646464646464646464646464646464646464646464646464646464646464646464646464646464646464646464646410808080808020124b0a05656d70747912420a4065336230633434323938666331633134396166626634633839393666623932343237616534316534363439623933346361343935393931623738353262383535124b0a0373756212440a4065656565656565656565656565656565656565656565656565656565656565656565656565656565656565656565656565656565656565656565656565656565104b"

func TestDirectoryGolden(t *testing.T) {
	d := sampleDirectory()
	b := d.Encode()
	if got := hex.EncodeToString(b); got != goldenDirectory {
		t.Errorf("encoded as\n%s\nwant\n%s", got, goldenDirectory)
	}
	back, err := DecodeDirectory(b)
	if err != nil || !reflect.DeepEqual(back, d) {
		t.Errorf("decoded as %+v, %v", back, err)
	}
	if got := SumBytes((&Directory{}).Encode()).String(); got != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("the empty directory is %s", got)
	}
}

func TestDirectorySort(t *testing.T) {
	d, want := sampleDirectory(), sampleDirectory()
	d.Files[0], d.Files[3] = d.Files[3], d.Files[0]
	d.Dirs[0], d.Dirs[1] = d.Dirs[1], d.Dirs[0]
	func() {
		defer func() {
			if recover() == nil {
				t.Error("encoded without being sorted")
			}
		}()
		d.Encode()
	}()
	if d.Sort(); !reflect.DeepEqual(d, want) {
		t.Errorf("sorted to %+v", d)
	}
}

func TestDecodeDirectoryRefuses(t *testing.T) {
	hash := hex.EncodeToString([]byte(strings.Repeat("a", 64)))
	file := func(name string) string { // a file of one byte
		n := len(name) + 2 + 2 + 68
		return "0a" + hex.EncodeToString([]byte{byte(n)}) + "0a" + hex.EncodeToString([]byte{byte(len(name))}) + hex.EncodeToString([]byte(name)) +
			"1244" + "0a40" + hash + "1001"
	}
	if _, err := decodeHex(file("a") + file("b")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"out of order":          file("b") + file("a"),
		"same name twice":       file("a") + file("a"),
		"file and directory":    file("a") + "12" + file("a")[2:],
		"name ..":               file(".."),
		"name .":                file("."),
		"name with slash":       file("a/b"),
		"name with NUL":         file("a\x00"),
		"empty name":            file(""),
		"invalid UTF-8":         file("\xff"),
		"symlink":               "1a060a0161120162",
		"properties":            "2a00",
		"fixed32":               "0d00000000",
		"truncated":             file("a")[:20],
		"length beyond the end": "0affffffffffffffff7f",
		"overlong varint":       "0a8080808080808080808001",
		"field 0":               "0200",
		"short hash":            "0a" + "08" + "0a0161" + "1203" + "0a0161",
		"upper-case hash":       strings.Replace(file("a"), hash, strings.ToUpper(hex.EncodeToString([]byte(strings.Repeat("A", 64)))), 1),
		"negative size":         "0a52" + "0a0161" + "124d" + "0a40" + hash + "10ffffffffffffffffff01" + "",
		"default written out":   "0a4b" + "0a0161" + "1244" + "0a40" + hash + "1001" + "2000",
		"executable directory":  "124b" + "0a0161" + "1244" + "0a40" + hash + "1001" + "2001",
		"executable is 2":       "0a4b" + "0a0161" + "1244" + "0a40" + hash + "1001" + "2002",
		"fields out of order":   "0a49" + "1244" + "0a40" + hash + "1001" + "0a0161",
	} {
		if d, err := decodeHex(text); err == nil {
			t.Errorf("%s: decoded as %+v", name, d)
		}
	}
}

func decodeHex(text string) (*Directory, error) {
	b, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return DecodeDirectory(b)
}

func FuzzDecodeDirectory(f *testing.F) {
	f.Add(sampleDirectory().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := DecodeDirectory(b)
		if err == nil && string(d.Encode()) != string(b) {
			t.Errorf("%x decodes, and encodes as %x", b, d.Encode())
		}
	})
}
