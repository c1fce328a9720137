package safetensors

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// Spec announces a tensor to a Writer.
type Spec struct {
	Name  string
	DType tensor.DType
	Shape []int
}

// PyTorch is the metadata that transformers and PEFT demand of a file.
func PyTorch() map[string]string { return map[string]string{"format": "pt"} }

// Writer writes a file tensor by tensor, in the order Order gives, holding
// none of them in memory.
type Writer struct {
	w     *bufio.Writer
	close func() error
	order []Tensor
	next  int   // index in order of the tensor being written
	left  int64 // bytes of it still to come
}

// Order sorts specs as they lie in a file: wide dtypes first, so that every
// tensor is aligned to its element size, then by name. It is the order of the
// format's reference implementation, so the files are its files, byte for byte.
func Order(specs []Spec) []Spec {
	sorted := append([]Spec(nil), specs...)
	sort.SliceStable(sorted, func(i, j int) bool {
		a, b := sorted[i], sorted[j]
		if ra, rb := rank(a.DType), rank(b.DType); ra != rb {
			return ra > rb
		}
		return a.Name < b.Name
	})
	return sorted
}

// rank orders the dtypes by element size, ties as the reference implementation breaks them.
func rank(d tensor.DType) int {
	return slices.Index([]tensor.DType{
		tensor.Bool, tensor.U8, tensor.I8, tensor.F8E5M2, tensor.F8E4M3, tensor.I16, tensor.U16, tensor.F16,
		tensor.BF16, tensor.I32, tensor.U32, tensor.F32, tensor.F64, tensor.I64, tensor.U64,
	}, d)
}

// Create begins a file at path that will hold specs. The header is written at
// once; Writer.Write then takes the tensors' bytes and Close ends the file.
func Create(path string, specs []Spec, metadata map[string]string) (*Writer, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	w, err := NewWriter(f, specs, metadata)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	w.close = f.Close
	return w, nil
}

// NewWriter is Create on an open writer, which stays open.
func NewWriter(w io.Writer, specs []Spec, metadata map[string]string) (*Writer, error) {
	order, err := layout(Order(specs))
	if err != nil {
		return nil, err
	}
	header, err := encodeHeader(order, metadata)
	if err != nil {
		return nil, err
	}
	out := &Writer{w: bufio.NewWriterSize(w, 1<<20), order: order}
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(len(header)))
	if _, err := out.w.Write(length[:]); err != nil {
		return nil, err
	}
	if _, err := out.w.Write(header); err != nil {
		return nil, err
	}
	if len(order) > 0 {
		out.left = order[0].Bytes()
	}
	return out, nil
}

// layout gives every tensor its offsets.
func layout(specs []Spec) ([]Tensor, error) {
	tensors := make([]Tensor, len(specs))
	seen := make(map[string]bool, len(specs))
	var at int64
	for i, s := range specs {
		switch {
		case seen[s.Name]:
			return nil, fmt.Errorf("tensor %q is announced twice", s.Name)
		case s.Name == metadataKey || !utf8.ValidString(s.Name):
			return nil, fmt.Errorf("%q cannot be a tensor's name", s.Name)
		}
		seen[s.Name] = true
		size, err := byteSize(s.DType, s.Shape)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", s.Name, err)
		}
		if at+size < at {
			return nil, fmt.Errorf("tensor %q: the file would exceed 2^63 bytes", s.Name)
		}
		tensors[i] = Tensor{s.Name, s.DType, append([]int{}, s.Shape...), at, at + size}
		at += size
	}
	return tensors, nil
}

// encodeHeader writes the header in the order of the data, metadata first with
// sorted keys, and pads it with spaces to a multiple of eight bytes.
func encodeHeader(order []Tensor, metadata map[string]string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	if metadata != nil {
		b.WriteString(quote(metadataKey) + ":{")
		keys := make([]string, 0, len(metadata))
		for key := range metadata {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		for i, key := range keys {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(quote(key) + ":" + quote(metadata[key]))
		}
		b.WriteByte('}')
	}
	for _, t := range order {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		shape := strings.ReplaceAll(strings.Trim(fmt.Sprint(t.Shape), "[]"), " ", ",")
		fmt.Fprintf(&b, `%s:{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}`, quote(t.Name), t.DType, shape, t.begin, t.end)
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	if b.Len() > MaxHeader {
		return nil, fmt.Errorf("header of %d bytes exceeds the limit of %d", b.Len(), MaxHeader)
	}
	return b.Bytes(), nil
}

// quote is a JSON string, without escapes for HTML.
func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // a string always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Write appends bytes of the tensor name. Tensors come in the order of Order,
// each in as many pieces as the caller likes.
func (w *Writer) Write(name string, p []byte) error {
	for w.left == 0 && w.next < len(w.order) && w.order[w.next].Name != name {
		w.advance()
	}
	if w.next == len(w.order) || w.order[w.next].Name != name {
		return fmt.Errorf("tensor %q is not the one to be written now", name)
	}
	if int64(len(p)) > w.left {
		return fmt.Errorf("tensor %q: more bytes than its %d", name, w.order[w.next].Bytes())
	}
	w.left -= int64(len(p))
	_, err := w.w.Write(p)
	return err
}

func (w *Writer) advance() {
	w.next++
	if w.next < len(w.order) {
		w.left = w.order[w.next].Bytes()
	}
}

// Close ends the file. It is an error if a tensor is missing bytes.
func (w *Writer) Close() error {
	var missing error
	for w.left == 0 && w.next < len(w.order) {
		w.advance()
	}
	if w.next < len(w.order) {
		missing = fmt.Errorf("tensor %q lacks %d bytes", w.order[w.next].Name, w.left)
	}
	err := errors.Join(missing, w.w.Flush())
	if w.close != nil {
		err = errors.Join(err, w.close())
	}
	return err
}
