package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Parquet is read here page by page (parquet-format: README, Encodings.md,
// LogicalTypes.md, parquet.thrift), with the codecs of the Arrow library. That
// library's own reader loops for ever on some malformed levels and panics in
// goroutines of its own on others, which nothing can catch.

// maxFooter bounds the metadata at the end of a Parquet file.
const maxFooter = 64 << 20

// maxLeaves bounds the columns of a Parquet file, counted at the leaves.
const maxLeaves = 4096

// Physical types (enum Type).
const (
	physBoolean = iota
	physInt32
	physInt64
	physInt96
	physFloat
	physDouble
	physByteArray
	physFixed
)

// Repetition types (enum FieldRepetitionType).
const (
	required = iota
	optionally
	repeated
)

// parquetFile is what the footer says.
type parquetFile struct {
	root   *parquetNode
	leaves []*parquetNode
	groups []parquetGroup
}

// parquetGroup is a row group.
type parquetGroup struct {
	rows   int64
	chunks []parquetChunk // one for each leaf
}

// parquetChunk is the part of a column within a row group.
type parquetChunk struct {
	codec        int
	values       int64 // entries, nulls included
	start, limit int64 // where its pages are in the file
}

// parquetNode is a node of the schema.
type parquetNode struct {
	name       string
	repetition int
	children   []*parquetNode
	maxDef     int // definition level at which the node itself is there
	maxRep     int
	converted  int // enum ConvertedType, -1 for none
	logical    thrift

	// Of leaves.
	leaf     int // index
	physical int
	width    int // of physFixed
	scale    int // of decimals
}

// readFooter reads and checks the metadata of a Parquet file.
func readFooter(file io.ReaderAt, size int64) (*parquetFile, error) {
	var tail [8]byte // footer length, magic
	if size < 12 {
		return nil, fmt.Errorf("%d bytes are too few for a Parquet file", size)
	}
	if _, err := file.ReadAt(tail[:], size-8); err != nil {
		return nil, err
	}
	switch string(tail[4:]) {
	case "PAR1":
	case "PARE":
		return nil, errors.New("an encrypted Parquet file, which cannot be read")
	default:
		return nil, errors.New("not a Parquet file, or a truncated one: it does not end with PAR1")
	}
	length := int64(binary.LittleEndian.Uint32(tail[:]))
	if length > min(maxFooter, size-12) {
		return nil, fmt.Errorf("the Parquet footer says it takes %d of the file's %d bytes", length, size)
	}
	data := make([]byte, length)
	if _, err := file.ReadAt(data, size-8-length); err != nil {
		return nil, err
	}
	meta, _, err := parseThrift(data)
	if err != nil {
		return nil, fmt.Errorf("the Parquet footer: %w", err)
	}
	if _, encrypted := meta.get(8); encrypted {
		return nil, errors.New("an encrypted Parquet file, which cannot be read")
	}
	return newParquetFile(meta, size)
}

func newParquetFile(meta thrift, size int64) (*parquetFile, error) {
	f := &parquetFile{}
	elements, _ := meta.get(2)
	rest := elements.list
	if len(rest) == 0 {
		return nil, errors.New("the Parquet footer holds no schema")
	}
	var err error
	if f.root, rest, err = f.node(rest, nil, 0); err != nil {
		return nil, fmt.Errorf("the Parquet schema: %w", err)
	}
	if len(rest) > 0 {
		return nil, errors.New("the Parquet schema has more than one root")
	}
	if len(f.root.children) == 0 {
		return nil, errors.New("the Parquet file has no columns")
	}
	groups, _ := meta.get(4)
	for i, g := range groups.list {
		group, err := f.group(g, size)
		if err != nil {
			return nil, fmt.Errorf("row group %d of the Parquet file: %w", i, err)
		}
		f.groups = append(f.groups, group)
	}
	return f, nil
}

// node takes the first element, which is depth below the root, and those below
// it off the list.
func (f *parquetFile) node(elements []thrift, parent *parquetNode, depth int) (*parquetNode, []thrift, error) {
	if depth > maxFieldDepth {
		return nil, nil, fmt.Errorf("columns are nested more than %d deep", maxFieldDepth)
	}
	if len(elements) == 0 {
		return nil, nil, errors.New("it ends before all children have come")
	}
	e := elements[0]
	elements = elements[1:]
	name, _ := e.get(4)
	n := &parquetNode{name: string(name.bytes), repetition: int(e.num(3, required)), converted: int(e.num(6, -1))}
	n.logical, _ = e.get(10)
	if !utf8.ValidString(n.name) || n.repetition < required || n.repetition > repeated {
		return nil, nil, fmt.Errorf("column %s is malformed", snippet(n.name))
	}
	if parent != nil {
		n.maxDef, n.maxRep = parent.maxDef, parent.maxRep
		if n.repetition != required {
			n.maxDef++
		}
		if n.repetition == repeated {
			n.maxRep++
		}
	}
	children, err := e.int32(5, 0)
	if err != nil {
		return nil, nil, err
	}
	if _, isLeaf := e.get(1); isLeaf && children <= 0 {
		return n, elements, f.leaf(n, e)
	}
	if children <= 0 && parent != nil {
		return nil, nil, fmt.Errorf("column %s has neither a type nor children", snippet(n.name))
	}
	seen := map[string]bool{}
	for range children {
		var child *parquetNode
		if child, elements, err = f.node(elements, n, depth+1); err != nil {
			return nil, nil, err
		}
		if seen[child.name] {
			return nil, nil, fmt.Errorf("two columns are named %s", snippet(child.name))
		}
		seen[child.name] = true
		n.children = append(n.children, child)
	}
	return n, elements, nil
}

func (f *parquetFile) leaf(n *parquetNode, e thrift) (err error) {
	n.leaf, n.physical = len(f.leaves), int(e.num(1, -1))
	if n.width, err = e.int32(2, 0); err != nil {
		return err
	}
	if n.scale, err = e.int32(7, 0); err != nil {
		return err
	}
	if n.physical < physBoolean || n.physical > physFixed || n.physical == physFixed && (n.width <= 0 || n.width > 1<<20) {
		return fmt.Errorf("column %s is of unknown type %d with width %d", snippet(n.name), n.physical, n.width)
	}
	if n.scale < 0 || n.scale > 1000 {
		return fmt.Errorf("column %s is of scale %d", snippet(n.name), n.scale)
	}
	if len(f.leaves) == maxLeaves {
		return fmt.Errorf("more than %d columns", maxLeaves)
	}
	f.leaves = append(f.leaves, n)
	return nil
}

func (f *parquetFile) group(g thrift, size int64) (parquetGroup, error) {
	group := parquetGroup{rows: g.num(3, -1)}
	columns, _ := g.get(1)
	if len(columns.list) != len(f.leaves) || group.rows < 0 {
		return group, fmt.Errorf("%d rows in %d columns where the schema has %d", group.rows, len(columns.list), len(f.leaves))
	}
	for i, c := range columns.list {
		name := snippet(f.leaves[i].name)
		if path, ok := c.get(1); ok && len(path.bytes) > 0 {
			return group, fmt.Errorf("column %s is in another file", name)
		}
		if _, encrypted := c.get(8); encrypted {
			return group, fmt.Errorf("column %s is encrypted", name)
		}
		m, ok := c.get(3)
		if !ok {
			return group, fmt.Errorf("column %s has no metadata", name)
		}
		chunk := parquetChunk{codec: int(m.num(4, 0)), values: m.num(5, -1), start: m.num(9, -1)}
		if at := m.num(11, 0); at > 0 && at < chunk.start {
			chunk.start = at
		}
		chunk.limit = size - 8
		if chunk.values == 0 {
			chunk.start = chunk.limit // never read
		}
		if chunk.values < 0 || chunk.start < 4 || chunk.start > chunk.limit || int(m.num(1, -1)) != f.leaves[i].physical {
			return group, fmt.Errorf("column %s: its metadata is malformed", name)
		}
		group.chunks = append(group.chunks, chunk)
	}
	return group, nil
}

// is reports whether a node has a logical type: its number in union LogicalType,
// or the older converted types.
func (n *parquetNode) is(logical int, converted ...int) bool {
	if _, ok := n.logical.get(logical); ok {
		return true
	}
	for _, c := range converted {
		if n.converted == c {
			return true
		}
	}
	return false
}

// Logical types: their number in union LogicalType, then in enum ConvertedType.
func (n *parquetNode) isText() bool { return n.is(1, 0) || n.is(4, 4) || n.is(12, 19) }
func (n *parquetNode) isMap() bool  { return n.is(2, 1, 2) }
func (n *parquetNode) isList() bool { return n.is(3, 3) }
