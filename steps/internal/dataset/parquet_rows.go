package dataset

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// parquetRows reads a Parquet file row by row: the entries of all leaves are
// assembled by their levels (Dremel; parquet-format README "Nested Encoding").
type parquetRows struct {
	file    source
	name    string
	meta    *parquetFile
	group   int // next one
	rows    int64
	columns []*columnReader
	flat    []*flatColumn // of the columns of the root; nil for nested ones
	memory  slab
	threads int
	max     int64
	left    int64 // bytes that the row may still take
	record  int64
	err     error // final

	stop chan struct{} // of the group's columns that are decoded ahead
	wait sync.WaitGroup
}

func openParquet(file source, size int64, name string, options Options) (Rows, error) {
	meta, err := readFooter(file, size)
	if err != nil {
		return nil, err
	}
	return &parquetRows{file: file, name: name, meta: meta, max: options.maxRow, threads: options.Threads, memory: slab{chunk: slabFields}}, nil
}

func (p *parquetRows) Close() error {
	p.leave()
	return p.file.Close()
}

func (p *parquetRows) Next() (Raw, error) {
	for p.err == nil && p.rows == 0 {
		p.err = p.nextGroup()
	}
	if p.err != nil {
		return Raw{}, p.err
	}
	p.record++
	p.rows--
	p.left = p.max
	row, err := p.row()
	var bad *textError
	switch {
	case errors.As(err, &bad):
		return Raw{}, &RowError{File: p.name, Record: p.record, Field: bad.column, What: bad.what}
	case err != nil:
		p.err = final(p.name, p.record, 0, err)
		return Raw{}, p.err
	}
	return Raw{Value: row, Record: p.record}, nil
}

// nextGroup moves to the next row group that has rows.
func (p *parquetRows) nextGroup() error {
	p.leave()
	if p.group == len(p.meta.groups) {
		return io.EOF
	}
	group := p.meta.groups[p.group]
	p.group++
	p.rows = group.rows
	budget := newMemoryBudget(decodeLimit)
	for i, leaf := range p.meta.leaves {
		p.columns = append(p.columns, newColumnReader(p.file, leaf, group.chunks[i], budget))
	}
	p.stop = make(chan struct{})
	for _, column := range p.meta.root.children {
		if !column.isFlat() {
			p.flat = append(p.flat, nil)
			continue
		}
		flat := &flatColumn{reader: p.columns[column.leaf]}
		if p.threads > 1 && len(p.meta.leaves) <= maxAhead {
			flat.start(p.stop, &p.wait)
		}
		p.flat = append(p.flat, flat)
	}
	return nil
}

// leave ends what reads the row group.
func (p *parquetRows) leave() {
	if p.stop != nil {
		close(p.stop)
		p.wait.Wait()
		p.stop = nil
	}
	for _, c := range p.columns {
		c.pages.codecs.close()
	}
	p.columns, p.flat = p.columns[:0], p.flat[:0]
}

// textError is a value that is no text though its column says so; the rows
// after can be read.
type textError struct{ column, what string }

func (e *textError) Error() string { return e.column + ": " + e.what }

// row assembles one row. A bad text is reported after the whole row was read,
// so that the columns stay in step.
func (p *parquetRows) row() (Value, error) {
	fields := p.memory.fieldsOf(len(p.meta.root.children))
	var bad error
	for i, column := range p.meta.root.children {
		fields[i].Name = column.name
		err := p.column(i, column, &fields[i].Value)
		if err == nil {
			continue
		}
		var text *textError
		if !errors.As(err, &text) {
			return Value{}, fmt.Errorf("column %s: %w", snippet(column.name), err)
		}
		text.column = column.name
		bad = err
	}
	return Value{Kind: Object, Fields: fields}, bad
}

// column reads the row's value of a column of the root into to, which is null.
func (p *parquetRows) column(i int, column *parquetNode, to *Value) error {
	if flat := p.flat[i]; flat != nil {
		if err := flat.value(to); err != nil {
			return err
		}
		return p.spend(int64(len(to.Text)) + 1)
	}
	if err := p.expect(column, 0); err != nil {
		return err
	}
	value, err := p.read(column)
	*to = value
	return err
}

// expect checks that every leaf below n has an entry of repetition level rep.
func (p *parquetRows) expect(n *parquetNode, rep int) error {
	return n.eachLeaf(func(leaf *parquetNode) error {
		c := p.columns[leaf.leaf]
		ok, err := c.peek()
		if err != nil {
			return err
		}
		if !ok {
			return errColumnEnds
		}
		if c.rep != rep {
			return fmt.Errorf("a repetition level of %d where %d was expected", c.rep, rep)
		}
		return nil
	})
}

func (n *parquetNode) eachLeaf(f func(*parquetNode) error) error {
	if len(n.children) == 0 {
		return f(n)
	}
	for _, child := range n.children {
		if err := child.eachLeaf(f); err != nil {
			return err
		}
	}
	return nil
}

// first returns the column of the first leaf below n, whose levels decide for n.
func (p *parquetRows) first(n *parquetNode) *columnReader {
	for len(n.children) > 0 {
		n = n.children[0]
	}
	return p.columns[n.leaf]
}

// read assembles the value of a node whose leaves stand at its entry.
func (p *parquetRows) read(n *parquetNode) (Value, error) {
	first := p.first(n)
	if first.def < n.maxDef && n.repetition != required {
		if err := p.drop(n); err != nil {
			return Value{}, err
		}
		if n.repetition == repeated {
			return Value{Kind: List}, nil
		}
		return Value{}, nil
	}
	if n.repetition != repeated {
		return p.body(n)
	}
	list := Value{Kind: List}
	var bad error
	for {
		item, err := p.body(n)
		var text *textError
		if errors.As(err, &text) {
			bad = err
		} else if err != nil {
			return Value{}, err
		}
		list.Items = append(list.Items, item)
		more, err := first.peek()
		if err != nil {
			return Value{}, err
		}
		if !more || first.rep != n.maxRep {
			return list, bad
		}
		if err := p.expect(n, n.maxRep); err != nil {
			return Value{}, err
		}
	}
}

// drop takes an entry without a value off every leaf below n.
func (p *parquetRows) drop(n *parquetNode) error {
	return n.eachLeaf(func(leaf *parquetNode) error {
		c := p.columns[leaf.leaf]
		if ok, err := c.peek(); err != nil || !ok {
			return errors.Join(err, errors.New("columns of one group do not agree"))
		}
		if _, ok, err := c.take(); err != nil || ok {
			return errors.Join(err, errors.New("columns of one group do not agree"))
		}
		return p.spend(1)
	})
}

// body assembles a node that is there.
func (p *parquetRows) body(n *parquetNode) (Value, error) {
	if len(n.children) == 0 {
		return p.leaf(n)
	}
	if len(n.children) == 1 && n.children[0].repetition == repeated {
		if n.isList() {
			return p.list(n.children[0])
		}
		if n.isMap() && len(n.children[0].children) > 0 {
			return p.mapping(n.children[0])
		}
	}
	object := Value{Kind: Object, Fields: make([]Field, 0, len(n.children))}
	var bad error
	for _, child := range n.children {
		value, err := p.read(child)
		var text *textError
		if errors.As(err, &text) {
			bad = err
		} else if err != nil {
			return Value{}, err
		}
		object.Fields = append(object.Fields, Field{child.name, value})
	}
	return object, bad
}

// list unwraps the group of one field that the three-level form of lists has
// around each element (LogicalTypes.md, "Lists").
func (p *parquetRows) list(n *parquetNode) (Value, error) {
	list, err := p.read(n)
	if len(n.children) != 1 || n.name == "array" || n.children[0].repetition == repeated {
		return list, err
	}
	for i, item := range list.Items {
		if len(item.Fields) == 1 {
			list.Items[i] = item.Fields[0].Value
		}
	}
	return list, err
}

// mapping makes an object of a repeated group of key and value.
func (p *parquetRows) mapping(n *parquetNode) (Value, error) {
	pairs, err := p.read(n)
	object := Value{Kind: Object}
	var index map[string]int
	for _, pair := range pairs.Items {
		if len(pair.Fields) == 0 {
			continue
		}
		key, value := pair.Fields[0].Value, Value{}
		if len(pair.Fields) > 1 {
			value = pair.Fields[1].Value
		}
		name := key.Text
		if key.Kind != String {
			name = key.JSON()
		}
		index = object.set(name, value, index)
	}
	return object, err
}

func (p *parquetRows) leaf(n *parquetNode) (Value, error) {
	c := p.columns[n.leaf]
	if ok, err := c.peek(); err != nil || !ok {
		return Value{}, errors.Join(err, errors.New("the column ends within a row"))
	}
	v, ok, err := c.take()
	if err != nil {
		return Value{}, err
	}
	if err := p.spend(int64(len(v.bytes)) + 1); err != nil {
		return Value{}, err
	}
	if !ok {
		return Value{}, nil
	}
	return n.value(v)
}

// valueBytes is what a value counts for beside its text.
const valueBytes = 64

// spend counts what the row takes.
func (p *parquetRows) spend(n int64) error {
	if p.left -= n + valueBytes; p.left < 0 {
		return fmt.Errorf("the row takes more than %d bytes", p.max)
	}
	return nil
}
