package tokenize

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/steptest"
)

// kept is a pipeline.Pieces that counts.
type kept struct {
	dir string

	mu     sync.Mutex
	pieces map[string]string // key → directory
	saved  int               // records in pieces that were saved
}

func newKept(t *testing.T) *kept { return &kept{dir: t.TempDir(), pieces: map[string]string{}} }

func (k *kept) Find(_ context.Context, key json.RawMessage) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if dir, ok := k.pieces[string(key)]; ok {
		return dir, nil
	}
	return "", pipeline.ErrNotFound
}

func (k *kept) Save(_ context.Context, key json.RawMessage, dir string) (string, error) {
	p, err := readPiece(dir)
	if err != nil {
		return "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.saved += p.left
	moved := filepath.Join(k.dir, fmt.Sprint(len(k.pieces), "-", k.saved))
	k.pieces[string(key)] = moved
	return moved, os.Rename(dir, moved)
}

// run tokenizes records with these pieces, and without any, and returns how many
// records were encoded with them. The bytes must be the same.
func (k *kept) run(t *testing.T, params string, texts []dataset.Record) int {
	t.Helper()
	c := newCase(t, params, dataset.Text, texts...)
	fresh := steptest.Files(t, steptest.Do(t, c, 1).Out["tokens"])
	k.saved = 0
	c.Prepare = func(task *pipeline.Task) { task.Pieces = k }
	with := steptest.Files(t, steptest.Do(t, c, 2).Out["tokens"])
	if !maps.Equal(fresh, with) {
		t.Error("with pieces, the tokens are others than those of a fresh run")
	}
	return k.saved
}

func someTexts(n int) []dataset.Record {
	all := make([]dataset.Record, n)
	for i := range all {
		all[i].Text = fmt.Sprintf("text %d %s", i, strings.Repeat("ab", i%13))
	}
	return all
}

// TestIncrements: rows that are appended, changed or taken away cost the chunks
// they lie in; another length or packing costs nothing.
func TestIncrements(t *testing.T) {
	n := 40_000
	if testing.Short() {
		n = 12_000
	}
	texts := someTexts(n)
	k := newKept(t)
	chunk := maxUnits // at most
	check := func(what string, most int, params string, texts []dataset.Record) {
		t.Helper()
		if got := k.run(t, params, texts); got > most {
			t.Errorf("%s: %d of %d records were encoded anew, want at most %d", what, got, len(texts), most)
		} else {
			t.Logf("%s: %d of %d records were encoded anew", what, got, len(texts))
		}
	}
	if got := k.run(t, plainParams, texts); got != n {
		t.Errorf("%d of %d records were encoded", got, n)
	}
	check("again", 0, plainParams, texts)
	check("another length", 0, strings.NewReplacer("64", "32", `"error"`, `"truncate"`).Replace(plainParams), texts)
	check("packed", 0, strings.Replace(plainParams, `"packing":false`, `"packing":true`, 1), texts)
	check("split", 0, strings.Replace(plainParams, `"packing":false`, `"packing":{"split":true}`, 1), texts)
	check("one in a hundred appended", max(n*3/100, chunk/2), plainParams, append(slices.Clone(texts), someTexts(n + n/100)[n:]...))
	edited := slices.Clone(texts)
	edited[n/2].Text = "another"
	check("one changed", chunk, plainParams, edited)
	check("one taken away", chunk, plainParams, slices.Delete(slices.Clone(texts), n/3, n/3+1))
	check("one inserted", chunk, plainParams, slices.Insert(slices.Clone(texts), n/4, dataset.Record{Text: "new"}))
}

// TestDamagedPieceIsMadeAgain: what a run finds and cannot believe costs time only.
func TestDamagedPieceIsMadeAgain(t *testing.T) {
	texts := someTexts(3000)
	k := newKept(t)
	k.run(t, plainParams, texts)
	for _, dir := range k.pieces {
		path := filepath.Join(dir, pieceFile)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if got := k.run(t, plainParams, texts); got != len(texts) {
		t.Errorf("%d of %d records were encoded", got, len(texts))
	}
}

// TestBadRecordsAreNotKept: a chunk with a record that cannot be trained on is
// encoded again in the next run, whose error is the same.
func TestBadRecordsAreNotKept(t *testing.T) {
	texts := someTexts(5000)
	texts[7].Text = ""
	k := newKept(t)
	c := newCase(t, plainParams, dataset.Text, texts...)
	c.Prepare = func(task *pipeline.Task) { task.Pieces = k }
	var errs [2]error
	for i := range errs {
		_, errs[i] = steptest.Try(t.Context(), t, c, 2)
	}
	if errs[0] == nil || !strings.Contains(errs[0].Error(), "data.jsonl, record 8: ") || fmt.Sprint(errs[0]) != fmt.Sprint(errs[1]) {
		t.Errorf("%v, then %v", errs[0], errs[1])
	}
	if k.saved == 0 || k.saved >= len(texts) {
		t.Errorf("%d of %d records are in pieces", k.saved, len(texts))
	}
}

// TestSplit: split rows are full, hold every id in order, and supervise nothing
// that is cut off from what precedes it.
func TestSplit(t *testing.T) {
	texts := someTexts(500)
	texts[9].Text = strings.Repeat("long ", 100)
	c := newCase(t, strings.NewReplacer(`"packing":false`, `"packing":{"split":true}`, "64", "48").Replace(plainParams), dataset.Text, texts...)
	got := rows(t, steptest.Do(t, c, 2).Out["tokens"])
	var ids []int32
	for i, r := range got {
		if len(r.InputIDs) != 48 && i < len(got)-1 {
			t.Errorf("row %d has %d tokens", i, len(r.InputIDs))
		}
		for j, p := range r.PositionIDs {
			if first := p == 0; first != (r.Labels[j] == dataset.Unsupervised) {
				t.Fatalf("row %d, token %d: position %d, label %d", i, j, p, r.Labels[j])
			}
		}
		ids = append(ids, r.InputIDs...)
	}
	var want []int32
	for _, r := range rows(t, steptest.Do(t, newCase(t, strings.Replace(plainParams, "64", "1024", 1), dataset.Text, texts[:9]...), 1).Out["tokens"]) {
		want = append(want, r.InputIDs...)
	}
	if !slices.Equal(ids[:len(want)], want) {
		t.Error("the documents are not one after the other")
	}
	steptest.Run(t, c)
}

func TestPackingIsJSON(t *testing.T) {
	for _, text := range []string{"true", "false", `{"split":true}`} {
		var p Packing
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		if b, err := json.Marshal(p); err != nil || !bytes.Equal(b, []byte(text)) {
			t.Errorf("%s became %s, %v", text, b, err)
		}
	}
	var p Packing
	if json.Unmarshal([]byte(`"tight"`), &p) == nil {
		t.Error("a word was accepted")
	}
}
