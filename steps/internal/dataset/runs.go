package dataset

import "io"

// A Run is some records that follow one another.
type Run struct {
	records []Record

	columns  *columns // in place of records
	from, to int      // rows of columns
	shift    int64    // of the numbers of records
}

// RunOf returns a run of given records.
func RunOf(records ...Record) Run { return Run{records: records} }

// Len returns the number of records, at least one.
func (r Run) Len() int {
	if r.columns == nil {
		return len(r.records)
	}
	return r.to - r.from
}

// Part returns the records i to j.
func (r Run) Part(i, j int) Run {
	if r.columns == nil {
		r.records = r.records[i:j]
		return r
	}
	r.from, r.to = r.from+i, r.from+j
	return r
}

// Record returns record i. Its text is valid as long as the run.
func (r Run) Record(i int) Record {
	if r.columns == nil {
		return r.records[i]
	}
	record := r.columns.record(r.from + i)
	record.Origin.Record += r.shift
	return record
}

// Runs yields the records that a Shaper makes of the rows of a file, in order.
type Runs struct {
	rows   Rows
	blocks *blockRows // rows, when they are shaped as they are parsed
	shaper *Shaper
	file   string

	records []Record
	errs    []error // to return after them
}

// Runs returns what yields the records that s makes of rows of the named file.
// The caller must Close rows when it wants no more.
func (s *Shaper) Runs(rows Rows, file string) *Runs {
	r := &Runs{rows: rows, shaper: s, file: file}
	if blocks, ok := rows.(*blockRows); ok {
		r.blocks = blocks
		blocks.shape = r.shape
		if blocks.pool != nil && file != "" {
			blocks.quick, blocks.file = s.quick(), file
		}
	}
	return r
}

func (r *Runs) shape(raw Raw, to []Record) ([]Record, []error) {
	return r.shaper.Records(r.file, raw, to)
}

// Next returns the next records, valid until the call after, or io.EOF after the
// last. Another error is a *RowError: that of a row, which comes after the records
// of rows before it, or a final one.
func (r *Runs) Next() (Run, error) {
	if r.blocks != nil {
		return r.blocks.nextRun()
	}
	if len(r.errs) == 0 {
		r.fill()
	}
	if len(r.records) > 0 {
		run := Run{records: r.records}
		r.records = nil
		return run, nil
	}
	err := r.errs[0]
	if err != io.EOF {
		r.errs = r.errs[1:]
	}
	return Run{}, err
}

// A run ends after some records, or some bytes of them.
const runRecords, runBytes = 256, 1 << 20

// fill reads rows until there are records for a run, or an error.
func (r *Runs) fill() {
	r.records = r.records[:0]
	for size := 0; len(r.errs) == 0 && len(r.records) < runRecords && size < runBytes; {
		raw, err := r.rows.Next()
		if err != nil {
			r.errs = append(r.errs, err)
			return
		}
		had := len(r.records)
		r.records, r.errs = r.shape(raw, r.records)
		for _, record := range r.records[had:] {
			size += record.size()
		}
	}
}
