package evaluate

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/metric"
)

// shapes refuses records that cannot be evaluated as the parameters say. What the
// step makes are no records.
func shapes(raw json.RawMessage, inputs map[string]string) (string, error) {
	p, err := pipeline.DecodeParams[Params](raw)
	if err != nil || inputs["records"] == "" {
		return "", err
	}
	return "", p.fits(dataset.Shape(inputs["records"]))
}

// fits says what a shape has not that the parameters ask for.
func (p Params) fits(shape dataset.Shape) error {
	refuse := func(field, hint string, err error) error {
		return &pipeline.FieldError{Field: field, Err: err, Hint: hint}
	}
	switch {
	case shape == dataset.Preference:
		return refuse("in.records", "give it conversations, such as the chosen answers alone", errors.New("the records are pairs of answers, and evaluate measures one answer to each prompt"))
	case shape == dataset.Judged:
		return refuse("in.records", `keep the good ones as conversations: in the step that converts them, leave kto out or say kto: keep: "desirable"`, errors.New("the records are judged answers, good and bad, and a bad one is not what to expect"))
	case p.Template != nil && shape != dataset.Messages:
		return refuse("template", "leave template out", fmt.Errorf("a template is for conversations, and these records are of shape %q", shape))
	case slices.Contains(p.Metrics, metric.ExactMatch) && !asks(shape):
		return refuse("metrics", "leave exactMatch out", fmt.Errorf("exactMatch needs records with an answer, and these are of shape %q", shape))
	}
	return nil
}

// asks says whether records of a shape hold a prompt and the answer to it.
func asks(shape dataset.Shape) bool {
	return shape == dataset.Messages || shape == dataset.PromptCompletion
}
