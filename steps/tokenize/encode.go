package tokenize

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/answer"
	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// batch is how many records of a chunk a thread takes at a time.
const batch = 32

// An encoder turns records into pieces, and those into rows. What it holds in
// memory is a few chunks at a time and, of packed documents, where they are.
type encoder struct {
	Params
	task     *pipeline.Task
	template *chat.Template
	key      pieceKey      // of every chunk, but for its records
	limit    int           // tokens a document may have
	slots    chan struct{} // one for each thread that may be busy

	pieces   []string // directories of the pieces, in order
	spool    *spool   // nil without packing, or with splitting
	weighted bool     // some document has weights, so that rows have them
	count    counts
	anew     int64 // records encoded by this run
	rows     int64
	bad      []error
}

func newEncoder(p Params, t *pipeline.Task, tpl *chat.Template) (*encoder, error) {
	e := &encoder{
		Params: p, task: t, template: tpl,
		key:   pieceKey{Tokenizer: tpl.Tokenizer().Digest(), Template: tpl.Identity()},
		limit: min(p.MaxLength, positions(t.In["model"])),
		slots: make(chan struct{}, max(1, t.Threads)),
	}
	switch {
	case p.Packing.Split:
		e.limit = math.MaxInt
	case p.Packing.On:
		var err error
		if e.spool, err = newSpool(t.Tmp); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (e *encoder) close() {
	if e.spool != nil {
		e.spool.close()
	}
}

// ahead is how many chunks are in work: more than threads, since some wait to be
// remembered.
func (e *encoder) ahead() int { return 2*cap(e.slots) + 2 }

// pieceKey is what the encoding of a chunk follows from, beside the kind's version.
type pieceKey struct {
	Records   string `json:"records"`
	Tokenizer string `json:"tokenizer"`
	Template  string `json:"template"`
}

// A result is what became of one chunk.
type result struct {
	dir      string // of the piece; "" where records are bad
	records  int
	anew     bool
	bad      []error
	count    counts
	weighted bool
	lengths  []int32 // with a spool: of each document, 0 for those left out
	spool    []byte  // with a spool: the documents that are not
	sizes    []int32 // with a spool: bytes of each of lengths
}

// all encodes every record that is not remembered.
func (e *encoder) all(ctx context.Context, records *dataset.RecordReader) error {
	return inOrder(ctx, e.ahead(), chunks(records.Next), e.chunk, func(r *result) error {
		e.count.add(&r.count)
		e.weighted = e.weighted || r.weighted
		if r.anew {
			e.anew += int64(r.records)
		}
		if len(r.bad) > 0 {
			e.bad = append(e.bad, r.bad...)
			e.bad = e.bad[:min(len(e.bad), maxBad+1)]
		}
		e.pieces = append(e.pieces, r.dir)
		e.task.Emit(pipeline.Progress{Done: e.count.records, Unit: "records"})
		if e.spool != nil && len(e.bad) == 0 {
			return e.spool.add(r)
		}
		return nil
	})
}

// chunk finds the piece of a chunk, or makes it.
func (e *encoder) chunk(ctx context.Context, c chunked) (*result, error) {
	key := e.key
	key.Records = c.digest
	dir, err := e.task.FindPiece(ctx, key)
	if err == nil {
		r, err := e.found(dir)
		if !errors.Is(err, errPiece) {
			return r, err
		}
		e.task.Log.Warn("a remembered piece is damaged and is made again", "error", err)
	} else if !errors.Is(err, pipeline.ErrNotFound) {
		return nil, err
	}
	body, bad, err := e.encode(ctx, c.records)
	if err != nil {
		return nil, err
	}
	if len(bad) > 0 {
		return &result{bad: bad, count: counts{records: int64(len(c.records))}}, nil
	}
	r := &result{records: len(c.records), anew: true}
	sealed := seal(len(c.records), body)
	r.dir, err = e.task.SavePiece(ctx, key, func(dir string) error {
		return os.WriteFile(filepath.Join(dir, pieceFile), sealed, 0o666)
	})
	if err != nil {
		return nil, err
	}
	return r, e.sum(r, &pieceReader{rest: body, left: len(c.records)})
}

func (e *encoder) found(dir string) (*result, error) {
	p, err := readPiece(dir)
	if err != nil {
		return nil, err
	}
	r := &result{dir: dir, records: p.left}
	return r, e.sum(r, p)
}

// encode returns the body of a piece, or the errors of the records that cannot be
// trained on.
func (e *encoder) encode(ctx context.Context, records []dataset.Record) (body []byte, bad []error, err error) {
	n := (len(records) + batch - 1) / batch
	bodies, errs := make([][]byte, n), make([][]error, n)
	var wg sync.WaitGroup
	for i := range n {
		e.slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-e.slots }()
			for _, r := range records[i*batch : min((i+1)*batch, len(records))] {
				documents, err := e.documents(ctx, answer.Record(r))
				if err != nil {
					errs[i] = append(errs[i], fmt.Errorf("%s, record %d: %w", r.Origin.File, r.Origin.Record, err))
					continue
				}
				bodies[i] = appendRecord(bodies[i], documents)
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	for i := range n {
		body, bad = append(body, bodies[i]...), append(bad, errs[i]...)
	}
	return body, bad, nil
}

// documents encodes a record: to one document, or the two of a pair.
func (e *encoder) documents(ctx context.Context, r chat.Record) ([]chat.Encoded, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.Shape == chat.Preference {
		chosen, rejected, err := e.template.EncodePair(ctx, r)
		return []chat.Encoded{chosen, rejected}, err
	}
	one, err := e.template.Encode(ctx, r)
	return []chat.Encoded{one}, err
}

// sum counts what a piece holds under the bounds of this run and, for packing,
// takes its documents.
func (e *encoder) sum(r *result, p *pieceReader) error {
	e.slots <- struct{}{}
	defer func() { <-e.slots }()
	return each(p, func(documents []chat.Encoded) error {
		fit := e.fit(documents)
		r.count.records++
		r.count.length(fit.longest)
		if fit.long {
			r.count.long++
		}
		if fit.empty {
			r.count.empty++
		}
		if !fit.kept {
			documents = nil
		}
		for _, d := range documents {
			r.weighted = r.weighted || d.Weights != nil
			r.count.tally(e.template, d)
		}
		if e.spool != nil {
			r.take(documents)
		}
		return nil
	})
}

// take puts the only document of a record, or none, where the spool gets it.
func (r *result) take(documents []chat.Encoded) {
	n, before := 0, len(r.spool)
	for _, d := range documents {
		d.Lost = nil
		n = len(d.IDs)
		r.spool = appendDocument(r.spool, d)
	}
	r.lengths = append(r.lengths, int32(n))
	r.sizes = append(r.sizes, int32(len(r.spool)-before))
}

// A fit is what the bound of length makes of a record.
type fit struct {
	longest     int // tokens of its longest document, before
	long, empty bool
	kept        bool
}

// fit shortens the documents of a record, as maxLength and overLength say.
func (e *encoder) fit(documents []chat.Encoded) (f fit) {
	for _, d := range documents {
		f.longest = max(f.longest, len(d.IDs))
	}
	f.kept = true
	if f.longest <= e.limit {
		return f
	}
	f.long = true
	f.kept = e.OverLength == "truncate" // with "error" the step fails once all are counted
	for i := range documents {
		if f.kept && !cut(&documents[i], e.limit) {
			f.kept, f.empty = false, true
		}
	}
	return f
}

// cut shortens a document to limit tokens and says whether that left anything
// supervised.
func cut(d *chat.Encoded, limit int) bool {
	if len(d.IDs) > limit {
		d.IDs, d.Labels = d.IDs[:limit], d.Labels[:limit]
		if d.Weights != nil {
			d.Weights = d.Weights[:limit]
		}
		d.Supervised = supervised(d.Labels)
	}
	return d.Supervised > 0
}

func supervised(labels []int64) (n int) {
	for _, l := range labels {
		if l != chat.Unsupervised {
			n++
		}
	}
	return n
}
