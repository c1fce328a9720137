package archive

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/pipe-run/pipe/pipeline"
)

// A sample is what goes into an archive.
type sample struct {
	blobs   map[pipeline.Digest][]byte
	results map[pipeline.Key][]byte
	tags    []string
}

func newSample(texts ...[]byte) sample {
	s := sample{blobs: map[pipeline.Digest][]byte{}, results: map[pipeline.Key][]byte{}}
	for _, b := range texts {
		s.blobs[pipeline.SumBytes(b)] = b
	}
	return s
}

func small() sample {
	s := newSample([]byte("alpha"), []byte("beta"), nil, bytes.Repeat([]byte("gamma"), 100))
	s.results[pipeline.Key{1}] = []byte("one")
	s.results[pipeline.Key{2}] = []byte("two")
	s.tags = []string{`{"name":"a"}`, `{"name":"b"}`}
	return s
}

// large spans several chunks, of which some cannot be packed.
func large() sample {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 5<<20)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	return newSample(noise, bytes.Repeat([]byte("the same over and over. "), 500_000), make([]byte, chunkSize), noise[:chunkSize-41-17], []byte("x"))
}

func compare(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) }

// write packs s.
func (s sample) write(t testing.TB, threads int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, threads)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var ds []pipeline.Digest
	for d := range s.blobs {
		ds = append(ds, d)
	}
	slices.SortFunc(ds, func(a, b pipeline.Digest) int { return compare(a, b) })
	for _, d := range ds {
		if err := w.Blob(d, int64(len(s.blobs[d])), bytes.NewReader(s.blobs[d])); err != nil {
			t.Fatal(err)
		}
	}
	var ks []pipeline.Key
	for k := range s.results {
		ks = append(ks, k)
	}
	slices.SortFunc(ks, func(a, b pipeline.Key) int { return compare(a, b) })
	for _, k := range ks {
		if err := w.Result(k, s.results[k]); err != nil {
			t.Fatal(err)
		}
	}
	for _, tag := range s.tags {
		if err := w.Tag([]byte(tag)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if c.Blobs != int64(len(s.blobs)) || c.Results != int64(len(s.results)) || c.Tags != int64(len(s.tags)) {
		t.Errorf("counted %+v", c)
	}
	return out.Bytes()
}

// read unpacks what is an archive, all of it.
func read(b []byte, threads int) (s sample, err error) {
	s = newSample()
	r, err := NewReader(bytes.NewReader(b), threads)
	if err != nil {
		return s, err
	}
	defer r.Close()
	for {
		e, err := r.Next()
		if err == io.EOF {
			return s, nil
		}
		if err != nil {
			return s, err
		}
		switch e.Type {
		case Blob:
			if s.blobs[e.Digest], err = io.ReadAll(r); err != nil {
				return s, err
			}
		case Result:
			s.results[e.Key] = e.Raw
		case Tag:
			s.tags = append(s.tags, string(e.Raw))
		}
	}
}

func (s sample) equal(o sample) bool {
	same := len(s.blobs) == len(o.blobs) && len(s.results) == len(o.results) && slices.Equal(s.tags, o.tags)
	for d, b := range s.blobs {
		got, ok := o.blobs[d]
		same = same && ok && bytes.Equal(got, b)
	}
	for k, b := range s.results {
		same = same && bytes.Equal(o.results[k], b)
	}
	return same
}

func TestRoundTrip(t *testing.T) {
	for name, s := range map[string]sample{"empty": newSample(), "small": small(), "large": large()} {
		first := s.write(t, 1)
		for _, threads := range []int{1, 2, 5} {
			if !bytes.Equal(s.write(t, threads), first) {
				t.Errorf("%s: %d threads write other bytes", name, threads)
			}
			got, err := read(first, threads)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !got.equal(s) {
				t.Errorf("%s: %d threads read something else", name, threads)
			}
		}
	}
}

// Other versions of pipe, and other programs, read these bytes.
func TestGolden(t *testing.T) {
	s := newSample([]byte("hello"))
	s.results[pipeline.Key{0xab}] = []byte("result")
	s.tags = []string{"{}"}
	b := s.write(t, 1)
	if got := hex.EncodeToString(b[:21]); got != "502a4d180d000000"+hex.EncodeToString([]byte("pipe cache 1\n")) {
		t.Errorf("it begins with %s", got)
	}
	z, err := zstd.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	want := "62" + pipeline.SumBytes([]byte("hello")).String() + "0500000000000000" + "68656c6c6f" +
		"72" + "ab" + strings.Repeat("00", 31) + "06000000" + "726573756c74" +
		"74" + "02000000" + "7b7d" +
		"65" + "0100000000000000" + "0100000000000000" + "0100000000000000" + "0500000000000000"
	if got := hex.EncodeToString(raw[:len(raw)-32]); got != want {
		t.Errorf("records\n%s\nwant\n%s", got, want)
	}
	if sum := hex.EncodeToString(raw[len(raw)-32:]); sum != "aeff2888a38f39c2cd606de04a33977c619426857120457ac3d36660bb89bb43" {
		t.Errorf("sum %s", sum)
	}
}

func TestOtherPrograms(t *testing.T) {
	zstdPath, err := exec.LookPath("zstd")
	if err != nil {
		t.Skip("the program zstd is not here")
	}
	cmd := exec.Command(zstdPath, "-dcq")
	cmd.Stdin = bytes.NewReader(large().write(t, 2))
	out, err := cmd.Output()
	if err != nil || len(out) < 20<<20 || out[0] != 'b' {
		t.Errorf("zstd unpacks %d bytes: %v", len(out), err)
	}
}

func TestCutOff(t *testing.T) {
	b := small().write(t, 1)
	for n := range b {
		if _, err := read(b[:n], 2); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
}

func TestFlippedBits(t *testing.T) {
	s := small()
	b := s.write(t, 1)
	for i := range 8 * len(b) {
		bad := slices.Clone(b)
		bad[i/8] ^= 1 << (i % 8)
		got, err := read(bad, 1)
		if err == nil && !got.equal(s) { // some bits of a frame's header say nothing
			t.Errorf("bit %d flipped, and read as something else", i)
		}
	}
}

// pack makes an archive of any records, right or wrong.
func pack(records []byte) []byte {
	enc, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
	defer enc.Close()
	out := skippable(headFrame, []byte(magic))
	for len(records) > 0 {
		n := min(len(records), chunkSize)
		packed := enc.EncodeAll(records[:n], nil)
		lengths := binary.LittleEndian.AppendUint32(nil, uint32(len(packed)))
		lengths = binary.LittleEndian.AppendUint32(lengths, uint32(n))
		out = append(append(out, skippable(chunkFrame, lengths)...), packed...)
		records = records[n:]
	}
	return out
}

func unpack(t *testing.T, b []byte) []byte {
	t.Helper()
	z, err := zstd.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestHostile(t *testing.T) {
	blob := func(text string, size uint64) []byte {
		d := pipeline.SumBytes([]byte(text))
		return append(binary.LittleEndian.AppendUint64(append([]byte{'b'}, d[:]...), size), text...)
	}
	one := small().write(t, 1)
	bomb := func(size int, said uint32) []byte {
		enc, _ := zstd.NewWriter(nil)
		defer enc.Close()
		packed := enc.EncodeAll(make([]byte, size), nil)
		lengths := binary.LittleEndian.AppendUint32(nil, uint32(len(packed)))
		lengths = binary.LittleEndian.AppendUint32(lengths, said)
		return slices.Concat(skippable(headFrame, []byte(magic)), skippable(chunkFrame, lengths), packed)
	}
	key := append([]byte{'r'}, make([]byte, 32)...)
	for _, c := range []struct {
		name, want string
		file       []byte
	}{
		{"nothing", "no file that pipe cache export wrote", nil},
		{"text", "no file that pipe cache export wrote", []byte("hello, this is some text")},
		{"other zstd", "no file that pipe cache export wrote", skippable(headFrame, []byte("something else"))},
		{"newer", "has format 2, this pipe knows format 1", skippable(headFrame, []byte("pipe cache 2\n"))},
		{"no records", "ends in the middle", skippable(headFrame, []byte(magic))},
		{"wrong digest", "has the SHA-256", pack(append(append([]byte{'b'}, make([]byte, 32)...), append(binary.LittleEndian.AppendUint64(nil, 5), "hello"...)...))},
		{"huge blob", "is said to have 1152921504606846976 bytes", pack(blob("x", 1<<60))},
		{"negative blob", "is said to have 18446744073709551615 bytes", pack(blob("x", 1<<64-1))},
		{"long blob", "ends in the middle", pack(blob("x", 1<<40))},
		{"twice", "one stands in it twice", pack(slices.Concat(blob("x", 1), blob("x", 1)))},
		{"huge result", "is said to have 4294967295 bytes", pack(append(slices.Clone(key), 255, 255, 255, 255))},
		{"results first", "out of order", pack(slices.Concat(key, make([]byte, 4), blob("x", 1)))},
		{"unknown type", "of no known type", pack([]byte("z"))},
		{"no end", "ends in the middle", pack(blob("x", 1))},
		{"records behind the end", "something stands behind its end", pack(append(unpack(t, one), 'b'))},
		{"bytes behind the end", "ends in the middle", append(slices.Clone(one), 'b')},
		{"bomb", "cannot be unpacked", bomb(4<<20, 4)},
		{"bomb, said", "is said to have", bomb(4<<20, 1<<30)},
		{"short frame", "becomes 3 bytes, not 4", bomb(3, 4)},
		{"wrong counts", "its end does not fit", pack(append([]byte{'e'}, make([]byte, 64)...))},
	} {
		_, err := read(c.file, 2)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	w, err := NewWriter(io.Discard, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Blob(pipeline.SumBytes([]byte("a")), 1, strings.NewReader("b")); err == nil {
		t.Error("a blob with other bytes was written")
	}
	w, _ = NewWriter(io.Discard, 1)
	defer w.Close()
	if w.Tag([]byte("b")); w.Tag([]byte("a")) == nil {
		t.Error("tags out of order were written")
	}
}

// FuzzFile reads any bytes.
func FuzzFile(f *testing.F) {
	f.Add(small().write(f, 1))
	f.Add(pack([]byte("z")))
	f.Fuzz(func(t *testing.T, b []byte) {
		read(b, 1)
	})
}

// FuzzRecords reads any records, rightly packed. What is accepted makes the
// same records again.
func FuzzRecords(f *testing.F) {
	b := small().write(f, 1)
	z, _ := zstd.NewReader(bytes.NewReader(b))
	raw, _ := io.ReadAll(z)
	z.Close()
	f.Add(raw)
	f.Add([]byte("e"))
	f.Fuzz(func(t *testing.T, records []byte) {
		s, err := read(pack(records), 1)
		if err != nil {
			return
		}
		z, err := zstd.NewReader(bytes.NewReader(s.write(t, 1)))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		if again, err := io.ReadAll(z); err != nil || !bytes.Equal(again, records) {
			t.Errorf("%x was accepted, and makes %x (%v)", records, again, err)
		}
	})
}
