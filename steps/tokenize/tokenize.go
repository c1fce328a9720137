// Package tokenize implements the tokenize step: records become rows of token
// ids with labels, in the layout of Hugging Face datasets.
//
// Only what the model would itself write is supervised, and every supervised
// row ends in a stop token (see package chat). A row longer than maxLength is
// an error unless the user said what to do with it.
package tokenize

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

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
var Kind = kind()

func kind() pipeline.Kind {
	k := pipeline.Define("tokenize", 2, run)
	k.Vet = vet
	return k
}

// vet refuses a template that is no Jinja.
func vet(raw json.RawMessage, _ []string) error {
	p, err := pipeline.DecodeParams[Params](raw)
	if err != nil {
		return err
	}
	if err := chat.Spec(p.Template).Check(); err != nil {
		return &pipeline.FieldError{Field: "template.jinja", Err: err}
	}
	return nil
}

// Params mirrors schemas/tokenize.cue.
type Params struct {
	Template   answer.Template `json:"template"`
	MaxLength  int             `json:"maxLength"`
	OverLength string          `json:"overLength"`
	Packing    bool            `json:"packing"`
	Train      *Train          `json:"train"`
}

// Train chooses the messages that are trained on.
type Train struct {
	Roles []string `json:"roles"`
	Turns string   `json:"turns"`
}

// choice is what chat makes of it; a nil one is the default.
func (t *Train) choice() chat.Train {
	if t == nil {
		return chat.Train{}
	}
	return chat.Train{Roles: slices.Sorted(slices.Values(t.Roles)), Last: t.Turns == "last"}
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
	pairs := records.Shape() == dataset.Preference
	if pairs && p.Packing {
		return &pipeline.FieldError{
			Field: "packing", Err: errors.New("the records are pairs, each of which makes a row of its own"), Hint: "leave packing out",
		}
	}
	if p.Train != nil && records.Shape() != dataset.Messages {
		return &pipeline.FieldError{
			Field: "train", Err: fmt.Errorf("it chooses among the messages of conversations, and these records are of shape %q", records.Shape()), Hint: "leave train out",
		}
	}
	tpl = tpl.With(p.Train.choice())
	weighted, err := weighs(t.In["records"], p.Train.choice())
	if err != nil {
		return err
	}
	w, err := dataset.CreateTokens(out, dataset.TokenOptions{Packed: p.Packing || pairs, Weighted: weighted})
	if err != nil {
		return err
	}
	e := &encoder{
		Params: p, task: t, template: tpl, out: w, weighted: weighted,
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
		Type: pipeline.TypeTokens, Tokenizer: tok.Digest(), ChatTemplate: identity(tpl), Pairs: pairs,
	})
}

// template loads the template for records of a shape. Only conversations have
// one; the schema's default is no choice for the others.
func template(dir string, tok *token.Tokenizer, given answer.Template, shape string) (*chat.Template, error) {
	switch shape {
	case chat.Messages, chat.Preference:
		return chat.Load(dir, tok, chat.Spec(given))
	case string(dataset.Judged):
		return nil, errors.New("the records are judged answers, good and bad, of which the bad must not be learnt: keep the good ones as conversations")
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
	weighted bool    // rows have weights
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
		encoded := make([][]chat.Encoded, len(batch))
		errs := make([]error, len(batch))
		tensor.Parallel(e.task.Threads, len(batch), func(i int) {
			encoded[i], errs[i] = e.encode(ctx, answer.Record(batch[i]))
		})
		if err := ctx.Err(); err != nil {
			return err
		}
		for i, r := range batch {
			if errs[i] != nil {
				e.reject(r.Origin, errs[i])
				continue
			}
			if err := e.add(encoded[i]...); err != nil {
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

// encode returns the documents of a record: one, or the two of a pair.
func (e *encoder) encode(ctx context.Context, r chat.Record) ([]chat.Encoded, error) {
	if r.Shape == chat.Preference {
		chosen, rejected, err := e.template.EncodePair(ctx, r)
		return []chat.Encoded{chosen, rejected}, err
	}
	one, err := e.template.Encode(ctx, r)
	return []chat.Encoded{one}, err
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

// add takes in the documents of one record, as maxLength and overLength say.
func (e *encoder) add(documents ...chat.Encoded) error {
	e.count.records++
	longest := 0
	for _, d := range documents {
		longest = max(longest, len(d.IDs))
	}
	e.count.length(longest)
	if longest > e.limit {
		e.count.long++
		if e.OverLength != "truncate" {
			return nil // dropped; with "error" the step fails once all are counted
		}
		for i := range documents {
			if !cut(&documents[i], e.limit) {
				e.count.empty++
				return nil
			}
		}
	}
	for i := range documents {
		e.weigh(&documents[i])
		e.tally(documents[i])
	}
	if e.packer != nil {
		return e.packer.add(documents[0].IDs, documents[0].Labels, documents[0].Weights)
	}
	return e.out.Write(join(documents))
}

// weigh gives a document weights where rows have them.
func (e *encoder) weigh(d *chat.Encoded) {
	if !e.weighted {
		d.Weights = nil
		return
	}
	if d.Weights != nil {
		return
	}
	d.Weights = make([]float32, len(d.IDs))
	for i, label := range d.Labels {
		if label != chat.Unsupervised {
			d.Weights[i] = 1
		}
	}
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

// join makes a row: of one document, or of the two of a pair, which positions
// tell apart.
func join(documents []chat.Encoded) dataset.Row {
	var row dataset.Row
	for _, d := range documents {
		row.InputIDs, row.Labels = append(row.InputIDs, d.IDs...), append(row.Labels, d.Labels...)
		row.LossWeights = append(row.LossWeights, d.Weights...)
		for i := range d.IDs {
			row.AttentionMask = append(row.AttentionMask, 1)
			if len(documents) > 1 {
				row.PositionIDs = append(row.PositionIDs, int32(i))
			}
		}
	}
	return row
}

func supervised(labels []int64) (n int) {
	for _, l := range labels {
		if l != chat.Unsupervised {
			n++
		}
	}
	return n
}
