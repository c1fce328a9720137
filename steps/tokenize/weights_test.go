package tokenize

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/steptest"
)

// TestWeights: a weight between 0 and 1 gives every row a column of weights, packed
// or not; weights of 0 and 1 do not.
func TestWeights(t *testing.T) {
	weighted := func(w float64) dataset.Record {
		r := chatRecord("q", "yes")
		r.Messages[1].Weight = &w
		return r
	}
	packed := strings.Replace(plainParams, `"packing":false`, `"packing":true`, 1)
	for _, params := range []string{plainParams, packed} {
		task := steptest.Do(t, newCase(t, params, dataset.Messages, weighted(0.5), chatRecord("q", "no")), 1)
		var got []float32
		for _, row := range rows(t, task.Out["tokens"]) {
			for i, w := range row.LossWeights {
				if row.Labels[i] != dataset.Unsupervised {
					got = append(got, w)
				} else if w != 0 {
					t.Errorf("an unsupervised token has weight %v", w)
				}
			}
		}
		if want := []float32{0.5, 0.5, 0.5, 0.5, 1, 1, 1}; !slices.Equal(got, want) {
			t.Errorf("%s: weights %v, want %v", params, got, want)
		}
	}
	for _, row := range rows(t, steptest.Do(t, newCase(t, plainParams, dataset.Messages, weighted(1)), 1).Out["tokens"]) {
		if row.LossWeights != nil {
			t.Error("weights of 1 made a column")
		}
	}
}

// TestTrain: turns and roles choose, and records without conversations refuse them.
func TestTrain(t *testing.T) {
	params := func(train string) string { return strings.TrimSuffix(plainParams, "}") + `,"train":` + train + "}" }
	talk := chatRecord("a", "b")
	talk.Messages = append(talk.Messages, chatRecord("c", "d").Messages...)
	for train, want := range map[string]int{
		`{"roles":["assistant"],"turns":"all"}`:         4,
		`{"roles":["assistant"],"turns":"last"}`:        2,
		`{"roles":["user","assistant"],"turns":"last"}`: 2,
	} {
		got := 0
		for _, row := range rows(t, steptest.Do(t, newCase(t, params(train), dataset.Messages, talk), 1).Out["tokens"]) {
			got += supervised(row.Labels)
		}
		if got != want {
			t.Errorf("%s: %d supervised, want %d", train, got, want)
		}
	}
	_, err := steptest.Try(t.Context(), t, newCase(t, params(`{"roles":["assistant"],"turns":"last"}`), dataset.Text, dataset.Record{Text: "x"}), 1)
	var field *pipeline.FieldError
	if !errors.As(err, &field) || field.Field != "train" {
		t.Errorf("text: %v", err)
	}
	judged := chatRecord("a", "b")
	_, err = steptest.Try(t.Context(), t, newCase(t, plainParams, dataset.Judged, judged), 1)
	if err == nil || !strings.Contains(err.Error(), "judged") {
		t.Errorf("judged: %v", err)
	}
}

// TestSegments: records of segments become rows.
func TestSegments(t *testing.T) {
	r := dataset.Record{Segments: []dataset.Segment{{Text: "ab"}, {Text: "cd", Train: true}}}
	got := rows(t, steptest.Do(t, newCase(t, plainParams, dataset.Segments, r), 1).Out["tokens"])
	if len(got) != 1 || supervised(got[0].Labels) != 3 || got[0].Labels[2] == chat.Unsupervised {
		t.Errorf("rows %+v", got)
	}
}
