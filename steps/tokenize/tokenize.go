// Package tokenize implements the tokenize step: records become rows of token
// ids with labels, in the layout of Hugging Face datasets.
//
// Only what the model would itself write is supervised, and every supervised
// row ends in a stop token (see package chat). A row longer than maxLength is
// an error unless the user said what to do with it.
package tokenize

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/answer"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/token"
)

// Kind is the tokenize step.
var Kind = pipeline.Define("tokenize", 1, run)

// Params mirrors schemas/tokenize.cue.
type Params struct {
	Template   answer.Template `json:"template"`
	MaxLength  int             `json:"maxLength"`
	OverLength string          `json:"overLength"`
	Packing    bool            `json:"packing"`
}

// chunk is how many records are encoded at once, in parallel.
const chunk = 1024

func run(ctx context.Context, p Params, t *pipeline.Task) error {
	tok, err := token.Load(t.In["model"])
	if err != nil {
		return err
	}
	for _, w := range tok.Warnings() {
		t.Log.Warn(w)
	}
	records, err := dataset.OpenRecords(t.In["records"])
	if err != nil {
		return err
	}
	defer records.Close()
	tpl, err := template(t.In["model"], tok, p.Template, string(records.Shape()))
	if err != nil {
		return &pipeline.FieldError{Field: "template", Err: err}
	}
	out := t.Out["tokens"]
	w, err := dataset.CreateTokens(out, dataset.TokenOptions{Packed: p.Packing})
	if err != nil {
		return err
	}
	e := &encoder{
		Params: p, task: t, template: tpl, out: w,
		limit: min(p.MaxLength, positions(t.In["model"])),
	}
	if p.Packing {
		e.packer = newPacker(p.MaxLength, w.Write)
	}
	err = errors.Join(e.all(ctx, records), w.Close())
	if err == nil {
		err = e.report()
	}
	if err != nil {
		return err
	}
	return artifact.Write(out, artifact.Provenance{
		Type: pipeline.TypeTokens, Tokenizer: tok.Digest(), ChatTemplate: identity(tpl),
	})
}

// template loads the template for records of a shape. Only conversations have
// one; the schema's default is no choice for the others.
func template(dir string, tok *token.Tokenizer, given answer.Template, shape string) (*chat.Template, error) {
	if shape == chat.Messages {
		return chat.Load(dir, tok, chat.Spec(given))
	}
	if given.Kind != chat.Model {
		return nil, fmt.Errorf("a template is for conversations, and these records are of shape %q", shape)
	}
	return chat.Plain(tok), nil
}

// identity is what later steps need to use the same template.
func identity(t *chat.Template) *artifact.ChatTemplate {
	id := &artifact.ChatTemplate{Kind: t.Kind()}
	if t.Kind() != chat.None {
		id.Digest = t.Digest()
	}
	if t.Kind() == chat.Jinja {
		id.Jinja = t.Source()
	}
	return id
}

// positions is how many positions the model has; a model whose configuration
// says nothing that pipe understands bounds nothing here.
func positions(dir string) int {
	if c, err := decoder.ReadConfig(dir); err == nil {
		return c.MaxPositions
	}
	return 1 << 30
}

// An encoder turns records into rows.
type encoder struct {
	Params
	task     *pipeline.Task
	template *chat.Template
	out      *dataset.TokenWriter
	packer   *packer // nil without packing
	limit    int     // tokens a record may have
	count    counts
	bad      []error
}

// all encodes every record, in order.
func (e *encoder) all(ctx context.Context, records *dataset.RecordReader) error {
	for {
		batch, err := read(records)
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			break
		}
		encoded := make([]chat.Encoded, len(batch))
		errs := make([]error, len(batch))
		tensor.Parallel(e.task.Threads, len(batch), func(i int) {
			encoded[i], errs[i] = e.template.Encode(ctx, answer.Record(batch[i]))
		})
		if err := ctx.Err(); err != nil {
			return err
		}
		for i, r := range batch {
			if errs[i] != nil {
				e.reject(r.Origin, errs[i])
				continue
			}
			if err := e.add(encoded[i]); err != nil {
				return err
			}
		}
		e.task.Emit(pipeline.Progress{Done: e.count.records, Unit: "records"})
	}
	if e.packer != nil {
		return e.packer.flush()
	}
	return nil
}

// read returns the next records, none at the end.
func read(records *dataset.RecordReader) ([]dataset.Record, error) {
	var batch []dataset.Record
	for len(batch) < chunk {
		r, err := records.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		batch = append(batch, r)
	}
	return batch, nil
}

// add takes in one encoded record, as maxLength and overLength say.
func (e *encoder) add(r chat.Encoded) error {
	e.count.records++
	e.count.length(len(r.IDs))
	if len(r.IDs) > e.limit {
		e.count.long++
		switch e.OverLength {
		case "truncate":
			r.IDs, r.Labels = r.IDs[:e.limit], r.Labels[:e.limit]
			if r.Supervised = supervised(r.Labels); r.Supervised == 0 {
				e.count.empty++
				return nil
			}
		default: // dropped; with "error" the step fails once all are counted
			return nil
		}
	}
	e.count.tokens += int64(len(r.IDs))
	e.count.supervised += int64(r.Supervised)
	if e.packer != nil {
		return e.packer.add(r.IDs, r.Labels)
	}
	mask := make([]int8, len(r.IDs))
	for i := range mask {
		mask[i] = 1
	}
	return e.out.Write(dataset.Row{InputIDs: r.IDs, AttentionMask: mask, Labels: r.Labels})
}

func supervised(labels []int64) (n int) {
	for _, l := range labels {
		if l != chat.Unsupervised {
			n++
		}
	}
	return n
}
