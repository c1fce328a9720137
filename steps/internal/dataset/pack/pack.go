// Package pack takes off what files of rows are wrapped in: gzip, Zstandard and
// bzip2, told by their first bytes, and zip archives of files.
//
// A bomb ends as an error: what is unpacked may not be more than allowance
// times what it takes packed, and something.
package pack

import (
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A Form is how a file is packed.
type Form string

const (
	None  Form = ""
	Gzip  Form = "gz"
	Zstd  Form = "zst"
	Bzip2 Form = "bz2"
	Zip   Form = "zip"
)

// Limits on what is unpacked: Allowance times the packed bytes, and Spare.
const (
	Allowance = 250
	Spare     = 1 << 30
)

// windowBytes bounds the memory that a Zstandard frame may ask for.
const windowBytes = 256 << 20

// MaxMembers bounds the files of an archive.
const MaxMembers = 100_000

// forms are the first bytes of each.
var forms = []struct {
	magic string
	form  Form
}{
	{"\x1f\x8b", Gzip},
	{"\x28\xb5\x2f\xfd", Zstd},
	{"BZh", Bzip2},
	{"PK\x03\x04", Zip},
	{"PK\x05\x06", Zip}, // without members
}

// Detect tells how a file is packed from its first bytes. Forms that cannot be
// unpacked are an error.
func Detect(head []byte) (Form, error) {
	start := string(head[:min(len(head), 16)])
	for _, f := range forms {
		if strings.HasPrefix(start, f.magic) && (f.form != Bzip2 || len(start) > 3 && start[3] >= '1' && start[3] <= '9') {
			return f.form, nil
		}
	}
	if n := len(start); n >= 8 && start[1:4] == "\x2a\x4d\x18" && start[0]&0xf0 == 0x50 {
		return Zstd, nil // a skippable frame comes first
	}
	for magic, name := range map[string]string{
		"\xfd7zXZ\x00": "an xz file", "7z\xbc\xaf\x27\x1c": "a 7z archive", "Rar!\x1a\x07": "a RAR archive",
		"\x04\x22\x4d\x18": "an LZ4 file", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "a binary Office file of before 2007 (save it as .xlsx)",
	} {
		if strings.HasPrefix(start, magic) {
			return None, fmt.Errorf("%s, which cannot be read; gz, zst, bz2 and zip can", name)
		}
	}
	return None, nil
}

// TrimName takes the ending of a form off a file's name: a.jsonl.gz is a.jsonl.
func TrimName(name string, form Form) string {
	lower := strings.ToLower(name)
	for _, ending := range map[Form][]string{Gzip: {".gz", ".gzip"}, Zstd: {".zst", ".zstd"}, Bzip2: {".bz2"}}[form] {
		if strings.HasSuffix(lower, ending) {
			return name[:len(name)-len(ending)]
		}
	}
	return name
}

// NewReader unpacks a stream of size packed bytes. It does not close r.
func NewReader(r io.Reader, form Form, size int64) (io.ReadCloser, error) {
	var plain io.ReadCloser
	switch form {
	case None:
		return io.NopCloser(r), nil
	case Gzip:
		gz, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("unpacking gzip: %w", err)
		}
		plain = gz
	case Zstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(windowBytes), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("unpacking zstd: %w", err)
		}
		plain = z.IOReadCloser()
	case Bzip2:
		plain = io.NopCloser(bzip2.NewReader(r))
	default:
		return nil, errors.New("an archive within an archive, which is not read")
	}
	return &bounded{plain: plain, form: form, size: size, left: Limit(size)}, nil
}

// Limit is how many bytes a file of size bytes may unpack to.
func Limit(size int64) int64 { return Spare + Allowance*size }

// bounded ends a stream that grows beyond its limit, and says what failed.
type bounded struct {
	plain io.ReadCloser
	form  Form
	size  int64
	left  int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.plain.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, tooMuch(b.size)
	}
	if err == io.ErrUnexpectedEOF {
		err = errors.New("it ends early")
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("unpacking %s: %w", b.form, err)
	}
	return n, err
}

func (b *bounded) Close() error { return b.plain.Close() }

func tooMuch(size int64) error {
	return fmt.Errorf("it unpacks to more than %d bytes, %d times the %d that it takes; unpack it beforehand if that is meant",
		Limit(size), Limit(size)/max(size, 1), size)
}

// Archive is an open zip archive.
type Archive struct {
	r    *zip.Reader
	size int64
}

// OpenArchive reads the list of members of a zip archive.
func OpenArchive(file io.ReaderAt, size int64) (*Archive, error) {
	r, err := zip.NewReader(file, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, fmt.Errorf("the zip archive: %w", err)
	}
	if len(r.File) > MaxMembers {
		return nil, fmt.Errorf("the zip archive has %d members; at most %d are read", len(r.File), MaxMembers)
	}
	total := uint64(0)
	for _, f := range r.File {
		total += min(f.UncompressedSize64, uint64(Limit(size))+1)
	}
	if total > uint64(Limit(size)) {
		return nil, tooMuch(size)
	}
	return &Archive{r, size}, nil
}

// Members returns the names of the archive's files, in its order, without
// folders and hidden files. Names are slash-separated and within the archive.
func (a *Archive) Members() ([]string, error) {
	var names []string
	seen := map[string]bool{}
	for _, f := range a.r.File {
		if strings.HasSuffix(f.Name, "/") || hidden(f.Name) {
			continue
		}
		if !fs.ValidPath(f.Name) || strings.Contains(f.Name, `\`) {
			return nil, fmt.Errorf("the zip archive names a member %.60q, which is no path within it", f.Name)
		}
		if seen[f.Name] {
			return nil, fmt.Errorf("the zip archive has two members named %.60q", f.Name)
		}
		seen[f.Name] = true
		names = append(names, f.Name)
	}
	return names, nil
}

// hidden reports whether a part of a path begins with a dot, or is the folder
// of resource forks that macOS adds.
func hidden(name string) bool {
	for part := range strings.SplitSeq(path.Clean(name), "/") {
		if strings.HasPrefix(part, ".") && part != ".." || part == "__MACOSX" {
			return true
		}
	}
	return false
}

// Has reports whether the archive has a member of that name.
func (a *Archive) Has(name string) bool { return a.find(name) != nil }

func (a *Archive) find(name string) *zip.File {
	for _, f := range a.r.File {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Open unpacks a member, and returns its size.
func (a *Archive) Open(name string) (io.ReadCloser, int64, error) {
	f := a.find(name)
	switch {
	case f == nil:
		return nil, 0, fmt.Errorf("the zip archive has no member %.60q", name)
	case f.Flags&1 != 0:
		return nil, 0, errors.New("an encrypted member of a zip archive, which cannot be read")
	}
	r, err := f.Open()
	if err != nil {
		return nil, 0, fmt.Errorf("the zip archive: %w", err)
	}
	return &bounded{plain: r, form: Zip, size: a.size, left: Limit(a.size)}, int64(f.UncompressedSize64), nil
}

// Head returns the first bytes of r, fewer when it ends early.
func Head(r io.Reader, n int) ([]byte, error) {
	var b bytes.Buffer
	_, err := io.CopyN(&b, r, int64(n))
	if err == io.EOF {
		err = nil
	}
	return b.Bytes(), err
}
