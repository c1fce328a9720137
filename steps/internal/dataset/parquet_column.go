package dataset

import (
	"fmt"
	"io"
	"math/bits"
	"unicode/utf8"
)

// cellBytes is what a cell of a dictionary counts for in the budget.
const cellBytes = 48

// columnReader yields the entries of a leaf within a row group: each with its
// repetition and definition level, and a value when it has one.
type columnReader struct {
	leaf   *parquetNode
	pages  pageReader
	left   int64 // entries of the chunk that are in no page yet
	budget *memoryBudget

	dictionary []cell

	page       page
	entries    int // left in the page
	reps, defs *rle
	values     cells

	ready    bool // rep and def are those of the entry not taken yet
	rep, def int
}

func newColumnReader(file io.ReaderAt, leaf *parquetNode, chunk parquetChunk, budget *memoryBudget) *columnReader {
	return &columnReader{
		leaf: leaf, left: chunk.values, budget: budget,
		pages: pageReader{
			file: window{file: file}, leaf: leaf, codec: chunk.codec, codecs: &codecs{},
			at: chunk.start, limit: chunk.limit, budget: budget,
		},
	}
}

// peek looks at the next entry; false at the end of the chunk.
func (c *columnReader) peek() (bool, error) {
	if c.ready {
		return true, nil
	}
	for c.entries == 0 {
		if c.left <= 0 {
			return false, nil
		}
		if err := c.turn(); err != nil {
			return false, err
		}
	}
	var err error
	if c.rep, err = level(c.reps, c.leaf.maxRep); err != nil {
		return false, err
	}
	if c.def, err = level(c.defs, c.leaf.maxDef); err != nil {
		return false, err
	}
	c.entries--
	c.ready = true
	return true, nil
}

func level(r *rle, most int) (int, error) {
	if r == nil {
		return 0, nil
	}
	v, err := r.next()
	if err != nil {
		return 0, fmt.Errorf("levels: %w", err)
	}
	if int64(v) > int64(most) {
		return 0, fmt.Errorf("a level of %d where at most %d is possible", v, most)
	}
	return int(v), nil
}

// take consumes the entry; ok says whether it has a value.
func (c *columnReader) take() (v cell, ok bool, err error) {
	c.ready = false
	if c.def < c.leaf.maxDef {
		return v, false, nil
	}
	v, err = c.values.next()
	return v, err == nil, err
}

// turn moves to the next page.
func (c *columnReader) turn() error {
	c.budget.give(c.page.size)
	c.page = page{}
	p, err := c.pages.next()
	c.page = p
	if err != nil {
		return err
	}
	switch p.kind {
	case pageDictionary:
		return c.setDictionary(p)
	case pageData, pageDataV2:
	default:
		return nil
	}
	if c.reps, err = levels(p.reps, c.leaf.maxRep); err != nil {
		return err
	}
	if c.defs, err = levels(p.defs, c.leaf.maxDef); err != nil {
		return err
	}
	if c.values, err = newCells(c.leaf, p.encoding, p.data, c.dictionary); err != nil {
		return err
	}
	c.entries = p.values
	c.left -= int64(p.values)
	return nil
}

func levels(b []byte, most int) (*rle, error) {
	if most == 0 {
		return nil, nil
	}
	return newRLE(b, bits.Len(uint(most)))
}

func (c *columnReader) setDictionary(p page) error {
	if c.dictionary != nil {
		return fmt.Errorf("a second dictionary")
	}
	if p.encoding != encPlain && p.encoding != encPlainDictionary {
		return fmt.Errorf("a dictionary of encoding %d", p.encoding)
	}
	c.page.size = 0 // the cells keep the page
	values := plainCells{leaf: c.leaf, b: p.data}
	room := min(p.values, len(p.data)/4+1) // most have a width of four bytes or more
	if err := c.budget.take(int64(room) * cellBytes); err != nil {
		return err
	}
	text := c.leaf.isText() && c.leaf.physical == physByteArray
	c.dictionary = make([]cell, 0, room)
	for i := range p.values {
		if i >= room && (i-room)%1024 == 0 {
			if err := c.budget.take(1024 * cellBytes); err != nil {
				return err
			}
		}
		v, err := values.next()
		if err != nil {
			return fmt.Errorf("the dictionary: %w", err)
		}
		v.text = text && utf8.Valid(v.bytes)
		c.dictionary = append(c.dictionary, v)
	}
	return nil
}
