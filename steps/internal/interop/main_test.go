package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/tiny"
)

// question runs the command and decodes its answer.
func question(t *testing.T, in string, answer any, args ...string) error {
	t.Helper()
	var out bytes.Buffer
	if err := run(context.Background(), args, strings.NewReader(in), &out); err != nil {
		return err
	}
	return json.Unmarshal(out.Bytes(), answer)
}

func TestLogits(t *testing.T) {
	model := tiny.Model(t, 1)
	c, err := decoder.ReadConfig(model)
	if err != nil {
		t.Fatal(err)
	}
	var plain, last, same, adapted [][][]float32
	for _, q := range []struct {
		answer any
		args   []string
	}{
		{&plain, []string{"logits", model}},
		{&last, []string{"last", model}},
		{&same, []string{"logits", model, tiny.Adapter(t, model, 0)}},
		{&adapted, []string{"logits", model, tiny.Adapter(t, model, 0.5)}},
	} {
		if err := question(t, "[[3, 4, 5], [6]]", q.answer, q.args...); err != nil {
			t.Fatal(err)
		}
	}
	if len(plain) != 2 || len(plain[0]) != 3 || len(plain[1]) != 1 || len(plain[1][0]) != c.VocabSize {
		t.Fatalf("logits have the wrong shape")
	}
	if len(last) != 2 || len(last[0]) != 1 || last[0][0][7] != plain[0][2][7] {
		t.Errorf("the last logits are not those of the last token")
	}
	if plain[0][2][7] != same[0][2][7] || plain[0][2][7] == adapted[0][2][7] {
		t.Errorf("logit %g, with an adapter of zeros %g, with a random one %g", plain[0][2][7], same[0][2][7], adapted[0][2][7])
	}
}

func TestEncodeAndWeights(t *testing.T) {
	model := tiny.Model(t, 1)
	var e encoded
	if err := question(t, `["abc", ""]`, &e, "encode", model); err != nil {
		t.Fatal(err)
	}
	if len(e.Plain) != 2 || len(e.Plain[0]) != 3 || e.Plain[1] == nil || e.Decoded[0] != "abc" {
		t.Errorf("%+v", e)
	}
	var w map[string][]float32
	if err := question(t, `["model.norm.weight"]`, &w, "weights", model); err != nil {
		t.Fatal(err)
	}
	if len(w["model.norm.weight"]) == 0 {
		t.Error("no weights")
	}
}

func TestRefuses(t *testing.T) {
	model := tiny.Model(t, 1)
	for _, c := range []struct{ in, want, args string }{
		{"[]", "usage", "logits"},
		{"[]", "unknown question", "sing MODEL"},
		{"x", "reading standard input", "encode MODEL"},
		{"[[99999]]", "outside the model's vocabulary", "logits MODEL"},
		{`["nothing"]`, "nothing", "weights MODEL"},
	} {
		args := strings.Fields(strings.ReplaceAll(c.args, "MODEL", model))
		if err := question(t, c.in, new(any), args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
		}
	}
}
