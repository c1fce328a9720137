package compile

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// A graph is stored as numbers (varints, IEEE doubles) and strings (length,
// then bytes) in one fixed order, so that 10,000 nodes are read in a few
// milliseconds: strings and parameters share the memory of the file.

// errMalformed reports bytes that no encoder wrote.
var errMalformed = errors.New("malformed graph")

// An encoder appends to b.
type encoder struct {
	b     []byte
	files map[string]int // of positions, by name
	names []string
}

func (e *encoder) uint(n uint64)    { e.b = binary.AppendUvarint(e.b, n) }
func (e *encoder) int(n int64)      { e.b = binary.AppendVarint(e.b, n) }
func (e *encoder) float(f float64)  { e.b = binary.LittleEndian.AppendUint64(e.b, math.Float64bits(f)) }
func (e *encoder) string(s string)  { e.uint(uint64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) bytes(s []byte)   { e.uint(uint64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) list(ss []string) { e.uint(uint64(len(ss))); each(ss, e.string) }

func each[T any](list []T, f func(T)) {
	for _, x := range list {
		f(x)
	}
}

func (e *encoder) pos(p pipeline.Pos) {
	e.uint(e.name(p.File))
	e.uint(uint64(p.Line))
	e.uint(uint64(p.Col))
	e.uint(e.name(p.Template))
}

// name returns the index of a name that many positions share.
func (e *encoder) name(s string) uint64 {
	i, ok := e.files[s]
	if !ok {
		i = len(e.names)
		e.files[s] = i
		e.names = append(e.names, s)
	}
	return uint64(i)
}

// encodeGraph returns g in the stored form.
func encodeGraph(g *pipeline.Graph) []byte {
	body := &encoder{files: map[string]int{}}
	body.uint(uint64(len(g.Nodes)))
	for _, n := range g.Nodes {
		body.node(n)
	}
	head := &encoder{}
	head.string(g.Name)
	head.string(g.File)
	head.list(body.names)
	return append(head.b, body.b...)
}

func (e *encoder) node(n *pipeline.Node) {
	e.string(n.Name)
	e.string(n.Kind)
	e.bytes(n.Full)
	if string(n.Params) == string(n.Full) {
		e.uint(0)
	} else {
		e.bytes(n.Params)
	}
	e.uint(uint64(len(n.Inputs)))
	for _, name := range slices.Sorted(maps.Keys(n.Inputs)) {
		e.string(name)
		e.string(n.Inputs[name].Step)
		e.string(n.Inputs[name].Output)
	}
	e.uint(uint64(len(n.Outputs)))
	for _, name := range slices.Sorted(maps.Keys(n.Outputs)) {
		e.string(name)
		e.string(n.Outputs[name])
	}
	e.list(n.Needs)
	e.uint(uint64(len(n.Gate)))
	for _, b := range n.Gate {
		e.string(b.Metric)
		e.string(b.Op)
		e.float(b.Value)
		e.pos(b.Pos)
	}
	e.list(n.Secrets)
	e.int(int64(n.Limits.Timeout))
	e.int(int64(n.Limits.Retries))
	e.int(n.Limits.Memory)
	e.pos(n.Pos)
	e.uint(uint64(len(n.Fields)))
	for _, path := range slices.Sorted(maps.Keys(n.Fields)) {
		e.string(path)
		e.pos(n.Fields[path])
	}
}

// A decoder reads what an encoder wrote. After an error, bad is set and every
// read returns zero.
type decoder struct {
	b     []byte
	s     string // the same bytes
	at    int
	files []string
	bad   bool
}

func (d *decoder) uint() uint64 {
	n, k := binary.Uvarint(d.b[d.at:])
	if k <= 0 {
		d.fail()
		return 0
	}
	d.at += k
	return n
}

func (d *decoder) int() int64 {
	n, k := binary.Varint(d.b[d.at:])
	if k <= 0 {
		d.fail()
		return 0
	}
	d.at += k
	return n
}

func (d *decoder) fail() { d.bad, d.at = true, len(d.b) }

func (d *decoder) float() float64 {
	if len(d.b)-d.at < 8 {
		d.fail()
		return 0
	}
	d.at += 8
	return math.Float64frombits(binary.LittleEndian.Uint64(d.b[d.at-8:]))
}

// span reads a length and returns where that many bytes stand.
func (d *decoder) span() (from, to int) {
	n := d.uint()
	if n > uint64(len(d.b)-d.at) {
		d.fail()
		return d.at, d.at
	}
	from = d.at
	d.at += int(n)
	return from, d.at
}

func (d *decoder) string() string { from, to := d.span(); return d.s[from:to] }
func (d *decoder) bytes() []byte  { from, to := d.span(); return d.b[from:to:to] }

// count reads how many things follow; each takes a byte or more.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.b)-d.at) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) list() []string {
	n := d.count()
	if n == 0 {
		return nil
	}
	ss := make([]string, n)
	for i := range ss {
		ss[i] = d.string()
	}
	return ss
}

func (d *decoder) pos() pipeline.Pos {
	i, line, col, in := d.uint(), d.uint(), d.uint(), d.uint()
	if i >= uint64(len(d.files)) || in >= uint64(len(d.files)) || line > math.MaxInt32 || col > math.MaxInt32 {
		d.fail()
		return pipeline.Pos{}
	}
	return pipeline.Pos{File: d.files[i], Line: int(line), Col: int(col), Template: d.files[in]}
}

// decodeGraph reads what encodeGraph wrote; the graph keeps b.
func decodeGraph(b []byte) (*pipeline.Graph, error) {
	d := &decoder{b: b, s: string(b)}
	g := &pipeline.Graph{Name: d.string(), File: d.string()}
	d.files = d.list()
	n := d.count()
	nodes := make([]pipeline.Node, n)
	g.Nodes = make([]*pipeline.Node, n)
	for i := range nodes {
		d.node(&nodes[i])
		if d.bad {
			return nil, errMalformed
		}
		g.Nodes[i] = &nodes[i]
	}
	if d.bad || d.at != len(d.b) {
		return nil, errMalformed
	}
	return g, nil
}

func (d *decoder) node(n *pipeline.Node) {
	n.Name, n.Kind = d.string(), d.string()
	n.Full = d.bytes()
	if n.Params = d.bytes(); len(n.Params) == 0 {
		n.Params = n.Full
	}
	k := d.count()
	n.Inputs = make(map[string]pipeline.Ref, k)
	for range k {
		name := d.string()
		n.Inputs[name] = pipeline.Ref{Step: d.string(), Output: d.string()}
	}
	k = d.count()
	n.Outputs = make(map[string]string, k)
	for range k {
		name := d.string()
		n.Outputs[name] = d.string()
	}
	n.Needs = d.list()
	for range d.count() {
		b := pipeline.Bound{Metric: d.string(), Op: d.string(), Value: d.float()}
		b.Pos = d.pos()
		n.Gate = append(n.Gate, b)
	}
	n.Secrets = d.list()
	n.Limits.Timeout = time.Duration(d.int())
	n.Limits.Retries = int(d.int())
	n.Limits.Memory = d.int()
	n.Pos = d.pos()
	k = d.count()
	n.Fields = make(map[string]pipeline.Pos, k)
	for range k {
		path := d.string()
		n.Fields[path] = d.pos()
	}
}
