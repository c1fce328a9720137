// Package charset reads text in the encodings that tables and corpora come in,
// strictly: what cannot be decoded is an error with its place, never U+FFFD.
package charset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// A Name is an encoding.
type Name string

const (
	UTF8        Name = "utf-8"
	UTF16LE     Name = "utf-16le"
	UTF16BE     Name = "utf-16be"
	GB18030     Name = "gb18030" // and so GBK and GB2312
	Big5        Name = "big5"
	ShiftJIS    Name = "shift_jis" // and so Windows-31J
	EUCKR       Name = "euc-kr"    // and so CP949
	Windows1252 Name = "windows-1252"
	Latin1      Name = "latin-1" // ISO 8859-1
)

// aliases are other names by which encodings are declared.
var aliases = map[string]Name{
	"utf8": UTF8, "utf-8-sig": UTF8, "utf-16-le": UTF16LE, "utf-16-be": UTF16BE, "gbk": GB18030, "gb2312": GB18030, "cp936": GB18030,
	"big-5": Big5, "cp950": Big5, "shift-jis": ShiftJIS, "sjis": ShiftJIS, "cp932": ShiftJIS, "euckr": EUCKR, "cp949": EUCKR,
	"cp1252": Windows1252, "iso-8859-1": Latin1, "latin1": Latin1,
}

// Names returns the encodings that can be declared.
func Names() []Name {
	return []Name{UTF8, UTF16LE, UTF16BE, GB18030, Big5, ShiftJIS, EUCKR, Windows1252, Latin1}
}

// Parse returns the encoding of a declared name.
func Parse(s string) (Name, error) {
	lower := strings.ToLower(s)
	if slices.Contains(Names(), Name(lower)) {
		return Name(lower), nil
	}
	if name, ok := aliases[lower]; ok {
		return name, nil
	}
	known := make([]string, 0, len(Names()))
	for _, name := range Names() {
		known = append(known, string(name))
	}
	return "", fmt.Errorf("unknown encoding %q; known are %s", s, strings.Join(known, ", "))
}

// An Error says which byte is no text in the declared or detected encoding.
type Error struct {
	Encoding Name
	Offset   int64 // of the byte within the undecoded text
	Byte     byte
}

func (e *Error) Error() string {
	return fmt.Sprintf("byte 0x%02x at byte %d is not %s", e.Byte, e.Offset, e.Encoding)
}

// newDecoder returns the decoder of an encoding other than UTF-8.
func (n Name) newDecoder() *encoding.Decoder {
	switch n {
	case UTF16LE:
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewDecoder()
	case UTF16BE:
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewDecoder()
	case GB18030:
		return simplifiedchinese.GB18030.NewDecoder()
	case Big5:
		return traditionalchinese.Big5.NewDecoder()
	case ShiftJIS:
		return japanese.ShiftJIS.NewDecoder()
	case EUCKR:
		return korean.EUCKR.NewDecoder()
	case Windows1252:
		return charmap.Windows1252.NewDecoder()
	}
	return charmap.ISO8859_1.NewDecoder()
}

// NewReader returns text in encoding n as UTF-8. A byte order mark stays, as
// U+FEFF. UTF-8 is returned as it is, unchecked. Its errors are *Error.
func NewReader(r io.Reader, n Name) io.Reader {
	if n == UTF8 {
		return r
	}
	return &reader{r: r, name: n, decoder: n.newDecoder(), in: make([]byte, 0, chunk)}
}

const chunk = 64 << 10

// reader decodes chunk by chunk.
type reader struct {
	r       io.Reader
	name    Name
	decoder *encoding.Decoder
	in      []byte // read and not decoded
	at      int64  // offset of in
	out     []byte // decoded and not returned
	store   [3 * chunk]byte
	err     error // of r
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil && (r.err != io.EOF || len(r.in) == 0) {
			return 0, r.err
		}
		if err := r.fill(); err != nil {
			r.err, r.in = err, nil
		}
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// fill decodes the next chunk. What is decoded before a bad byte is returned
// before its error.
func (r *reader) fill() error {
	if r.err == nil && len(r.in) < chunk {
		n, err := r.r.Read(r.in[len(r.in):chunk])
		r.in, r.err = r.in[:len(r.in)+n], err
	}
	n, used, err := r.decoder.Transform(r.store[:], r.in, r.err != nil)
	out := r.store[:n]
	if bad := r.bad(out, r.in[:used]); bad >= 0 {
		n, used = r.upTo(bad)
		r.out = r.store[:n]
		return r.fail(used)
	}
	r.out = out
	rest := copy(r.in[:chunk], r.in[used:])
	r.in, r.at = r.in[:rest], r.at+int64(used)
	switch {
	case err == nil || err == transform.ErrShortDst:
	case err == transform.ErrShortSrc && r.err == nil:
	default:
		return r.fail(0)
	}
	if r.err == io.EOF && len(r.out) == 0 && len(r.in) > 0 {
		return r.fail(0)
	}
	return nil
}

func (r *reader) fail(used int) error {
	return &Error{Encoding: r.name, Offset: r.at + int64(used), Byte: r.in[used]}
}

// replacement is what decoders put in place of what they cannot decode.
var replacement = []byte("\ufffd")

// encoded is U+FFFD as a text may hold it, in the encodings that have it.
var encoded = map[Name][]byte{GB18030: []byte("\x84\x31\xa4\x37"), UTF16LE: []byte("\xfd\xff"), UTF16BE: []byte("\xff\xfd")}

// bad reports where out has the first character that stands for undecodable
// bytes, or -1.
func (r *reader) bad(out, in []byte) int {
	i := bytes.Index(out, replacement)
	if i < 0 {
		return -1
	}
	own, ok := encoded[r.name]
	if !ok || !bytes.Contains(in, own) {
		return i
	}
	if bytes.Count(in, own) >= bytes.Count(out, replacement) {
		return -1
	}
	return i
}

// upTo decodes character by character until bad bytes are out, and returns how
// many bytes that took.
func (r *reader) upTo(bad int) (out, in int) {
	d := r.name.newDecoder()
	for out < bad {
		n, used := 0, 0
		for size := 1; size <= 4 && in+size <= len(r.in) && n == 0; size++ {
			var err error
			n, used, err = d.Transform(r.store[out:], r.in[in:in+size], false)
			if err != nil && err != transform.ErrShortSrc {
				return out, in
			}
		}
		if n == 0 {
			return out, in
		}
		out, in = out+n, in+used
	}
	return out, in
}

var errUTF32 = errors.New("a byte order mark of UTF-32, which cannot be read")

// Mark returns the encoding that a byte order mark says and the mark's length,
// or "" without one.
func Mark(head []byte) (Name, int, error) {
	start := string(head[:min(len(head), 4)])
	switch {
	case strings.HasPrefix(start, "\xef\xbb\xbf"):
		return UTF8, 3, nil
	case strings.HasPrefix(start, "\xff\xfe\x00\x00"), strings.HasPrefix(start, "\x00\x00\xfe\xff"):
		return "", 0, errUTF32
	case strings.HasPrefix(start, "\xff\xfe"):
		return UTF16LE, 2, nil
	case strings.HasPrefix(start, "\xfe\xff"):
		return UTF16BE, 2, nil
	}
	return "", 0, nil
}

// validStart returns how many bytes of b are UTF-8, counting a character that
// the end of b cuts as valid.
func validStart(b []byte) int {
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			if len(b)-i < utf8.UTFMax && !utf8.FullRune(b[i:]) {
				return len(b)
			}
			return i
		}
		i += size
	}
	return len(b)
}
