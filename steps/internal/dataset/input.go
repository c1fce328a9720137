package dataset

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/pipe-run/pipe/steps/internal/dataset/charset"
	"github.com/pipe-run/pipe/steps/internal/dataset/pack"
)

// maxWrapping is how many packings may be around a file: one of its own, one of
// the archive that it is in.
const maxWrapping = 2

// input is the bytes of one file of rows, with what it is packed in taken off.
type input struct {
	file  source // as it lies on the machine
	size  int64
	name  string // without the endings of its packing
	open  func() (io.ReadCloser, error)
	plain bool // not packed: file and size are the bytes themselves
	head  []byte
}

// newInput looks at what file is packed in. member names a file of an archive;
// "" is the only one.
func newInput(file source, size int64, name, member string) (*input, error) {
	in := &input{file: file, size: size, name: name, plain: true}
	in.open = func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(file, 0, size)), nil }
	for range maxWrapping + 1 {
		var err error
		if in.head, err = in.begin(headBytes); err != nil {
			return nil, err
		}
		form, err := pack.Detect(in.head)
		if err != nil {
			return nil, err
		}
		if form == pack.None {
			return in, nil
		}
		if form == pack.Zip {
			if !in.plain {
				return nil, errors.New("an archive within an archive, which is not read")
			}
			archive, err := pack.OpenArchive(file, size)
			if err != nil {
				return nil, err
			}
			if archive.Has(workbookMember) {
				return in, nil // a workbook, which is a zip archive itself
			}
			if err := in.enter(archive, member); err != nil {
				return nil, err
			}
			continue
		}
		in.unpack(form)
	}
	return nil, fmt.Errorf("packed more than %d times, one in another", maxWrapping)
}

// headBytes is how much of a file tells what it is.
const headBytes = 64

// begin returns the first n bytes, fewer when there are no more.
func (in *input) begin(n int) ([]byte, error) {
	r, err := in.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return pack.Head(r, n)
}

// enter goes to a member of an archive.
func (in *input) enter(archive *pack.Archive, member string) error {
	names, err := archive.Members()
	if err != nil {
		return err
	}
	if member == "" {
		if len(names) != 1 {
			return fmt.Errorf("a zip archive of %d files where one was wanted", len(names))
		}
		member = names[0]
	}
	in.name, in.plain = member, false
	in.open = func() (io.ReadCloser, error) {
		r, _, err := archive.Open(member)
		return r, err
	}
	return nil
}

// unpack takes a packing off.
func (in *input) unpack(form pack.Form) {
	outer := in.open
	in.name, in.plain = pack.TrimName(in.name, form), false
	in.open = func() (io.ReadCloser, error) {
		r, err := outer()
		if err != nil {
			return nil, err
		}
		plain, err := pack.NewReader(r, form, in.size)
		if err != nil {
			r.Close()
			return nil, err
		}
		return stacked{plain, r}, nil
	}
}

// stacked closes a reader and the one it reads from.
type stacked struct {
	io.ReadCloser
	under io.Closer
}

func (s stacked) Close() error { return errors.Join(s.ReadCloser.Close(), s.under.Close()) }

// random returns the bytes for reading at any offset: of the file itself, or of
// a copy in dir that goes away when it is closed.
func (in *input) random(dir string) (source, int64, error) {
	if in.plain {
		return in.file, in.size, nil
	}
	r, err := in.open()
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	file, err := os.CreateTemp(dir, "unpacked-*")
	if err != nil {
		return nil, 0, errors.New("no temporary file can be made to unpack it into")
	}
	copied := temporary{file, in.file}
	n, err := io.Copy(file, r)
	if err != nil {
		return nil, 0, errors.Join(err, os.Remove(file.Name()), file.Close())
	}
	return copied, n, nil
}

// temporary is a file that is removed when it is closed; the file it was
// unpacked from is closed too.
type temporary struct {
	*os.File
	from io.Closer
}

func (t temporary) Close() error { return errors.Join(t.remove(), t.from.Close()) }

// remove closes and removes the copy alone.
func (t temporary) remove() error { return errors.Join(t.File.Close(), os.Remove(t.File.Name())) }

// text is the bytes of a file of text, as UTF-8 after a byte order mark.
type text struct {
	input    *input
	encoding charset.Name
	start    int64 // bytes of the mark, as UTF-8
}

// text tells the encoding, unless it is declared.
func (in *input) text(declared string) (*text, error) {
	t := &text{input: in, encoding: charset.UTF8}
	sample, err := in.begin(charset.SampleBytes)
	if err != nil && len(sample) == 0 {
		return nil, err // after some text, the record at the place names it
	}
	if declared != "" {
		if t.encoding, err = charset.Parse(declared); err != nil {
			return nil, err
		}
		switch mark, n, _ := charset.Mark(sample); {
		case mark == t.encoding && n > 0:
			t.start = 3
		case mark == charset.UTF8:
			return nil, fmt.Errorf("it begins with the byte order mark of UTF-8, so it is not %s", t.encoding)
		}
		return t, nil
	}
	guess, err := charset.Detect(sample)
	if err != nil {
		return nil, err
	}
	if guess.Sure {
		t.encoding = guess.Name
	}
	if guess.Marks > 0 {
		t.start = 3
	}
	return t, nil
}

// open returns the text from byte at on, counted with the mark.
func (t *text) open(at int64) (io.ReadCloser, error) {
	r, err := t.input.open()
	if err != nil {
		return nil, err
	}
	decoded := io.ReadCloser(stacked{io.NopCloser(charset.NewReader(r, t.encoding)), r})
	if _, err := io.CopyN(io.Discard, decoded, at); err != nil {
		return nil, errors.Join(err, decoded.Close())
	}
	return decoded, nil
}

// close releases the file.
func (t *text) close() error { return t.input.file.Close() }

// An Entry is a file of rows on this machine, or one within a zip archive.
type Entry struct {
	Path   string // of the file or the archive
	Name   string // slash-separated; of a member, the archive's with its own behind
	Member string // within the archive; "" when the file is none
}

// Entries returns what the file at path holds: itself, or the members of a zip
// archive, in the archive's order.
func Entries(path_, name string) ([]Entry, error) {
	file, size, err := openFile(path_)
	if err != nil {
		return nil, final(name, 0, 0, pathless(err))
	}
	defer file.Close()
	head := make([]byte, headBytes)
	n, _ := file.ReadAt(head, 0)
	form, err := pack.Detect(head[:n])
	if err != nil || form != pack.Zip {
		return []Entry{{Path: path_, Name: name}}, nil // Detect will say so
	}
	archive, err := pack.OpenArchive(file, size)
	if err != nil {
		return nil, final(name, 0, 0, err)
	}
	if archive.Has(workbookMember) {
		return []Entry{{Path: path_, Name: name}}, nil
	}
	members, err := archive.Members()
	if err != nil {
		return nil, final(name, 0, 0, err)
	}
	var entries []Entry
	for _, member := range members {
		entries = append(entries, Entry{Path: path_, Name: path.Join(name, member), Member: member})
	}
	return entries, nil
}

// Detect tells the container of a file from its name and first bytes, packed or
// not.
func (f Entry) Detect() (Container, error) {
	file, size, err := openFile(f.Path)
	if err != nil {
		return "", pathless(err)
	}
	defer file.Close()
	in, err := newInput(file, size, f.Name, f.Member)
	if err != nil {
		return "", err
	}
	return Detect(in.name, in.head)
}

// Open opens the file for reading rows. The caller must Close what it gets. Its
// error is a final *RowError.
func (f Entry) Open(options Options) (Rows, error) {
	options.member = f.Member
	return Open(f.Path, f.Name, options)
}

// pathless takes the path off an error, which is this machine's.
func pathless(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// unsureHint ends errors about bytes that are not UTF-8.
const unsureHint = "; declare encoding if the text is not UTF-8"
