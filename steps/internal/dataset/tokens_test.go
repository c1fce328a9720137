package dataset

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

func someRows(n int, packed bool) []Row {
	rows := make([]Row, n)
	for i := range rows {
		length := i % 11
		r := Row{InputIDs: make([]int32, length), AttentionMask: make([]int8, length), Labels: make([]int64, length)}
		if packed {
			r.PositionIDs = make([]int32, length)
		}
		for j := range length {
			r.InputIDs[j] = int32(i*31 + j)
			r.AttentionMask[j] = 1
			r.Labels[j] = Unsupervised
			if j%2 == 1 {
				r.Labels[j] = int64(r.InputIDs[j])
			}
			if packed {
				r.PositionIDs[j] = int32(j % 4)
			}
		}
		rows[i] = r
	}
	return rows
}

// writeTokens writes rows into shards of about limit bytes.
func writeTokens(t *testing.T, rows []Row, packed bool, limit int64) string {
	t.Helper()
	dir := t.TempDir()
	w, err := CreateTokens(dir, TokenOptions{Packed: packed})
	if err != nil {
		t.Fatal(err)
	}
	w.limit = limit
	for _, r := range rows {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTokensComeBack(t *testing.T) {
	for _, packed := range []bool{false, true} {
		for _, n := range []int{0, 1, batchRows, 3*batchRows + 5} {
			want := someRows(n, packed)
			for _, limit := range []int64{1, shardBytes} {
				dir := writeTokens(t, want, packed, limit)
				tokens, err := OpenTokens(dir)
				if err != nil {
					t.Fatal(err)
				}
				if tokens.Len() != n || tokens.Packed() != packed {
					t.Fatalf("%d rows, packed %v; want %d, %v", tokens.Len(), tokens.Packed(), n, packed)
				}
				for i := n - 1; i >= 0; i-- {
					got, err := tokens.Row(i)
					if err != nil {
						t.Fatal(err)
					}
					if !reflect.DeepEqual(got, want[i]) {
						t.Fatalf("row %d = %+v, want %+v", i, got, want[i])
					}
				}
				tokens.Close()
				if shards, _ := filepath.Glob(filepath.Join(dir, "data-*")); limit == 1 && len(shards) != max(1, (n+batchRows-1)/batchRows) {
					t.Errorf("%d rows in shards %v", n, shards)
				}
			}
		}
	}
}

// TestMappedTokens: mapped rows are those that are read, also once the pages were
// let go, and from several goroutines.
func TestMappedTokens(t *testing.T) {
	want := someRows(3*batchRows+5, true)
	dir := writeTokens(t, want, true, 1)
	tokens, err := MapTokens(dir)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			for i := range want {
				if i%100 == g {
					tokens.touch(mapWindow + 1)
				}
				got, err := tokens.Row(i)
				if err != nil || !slices.Equal(got.InputIDs, want[i].InputIDs) || !slices.Equal(got.AttentionMask, want[i].AttentionMask) ||
					!slices.Equal(got.Labels, want[i].Labels) || !slices.Equal(got.PositionIDs, want[i].PositionIDs) {
					t.Errorf("row %d = %+v, %v, want %+v", i, got, err, want[i])
					return
				}
			}
		})
	}
	wg.Wait()
	if err := tokens.Close(); err != nil {
		t.Error(err)
	}
}

// TestMappedTokensOfACutFile: what a file does not have is an error, not a crash.
func TestMappedTokensOfACutFile(t *testing.T) {
	dir := writeTokens(t, someRows(9, false), false, shardBytes)
	tokens, err := MapTokens(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tokens.Close()
	for i := range tokens.batches {
		for c := range tokens.batches[i].columns {
			tokens.batches[i].columns[c].offsets.offset += 1 << 40
		}
	}
	if _, err := tokens.Row(0); err == nil {
		t.Error("no error")
	}
}

func TestTokensAreADatasetDirectory(t *testing.T) {
	dir := writeTokens(t, someRows(3, true), true, shardBytes)
	for name, want := range map[string]string{
		"state.json": `{
  "_data_files": [
    {
      "filename": "data-00000-of-00001.arrow"
    }
  ],
  "_fingerprint": "FINGERPRINT",
  "_format_columns": null,
  "_format_kwargs": {},
  "_format_type": null,
  "_output_all_columns": false,
  "_split": null
}
`,
		"dataset_info.json": `{
  "citation": "",
  "description": "",
  "features": {
    "input_ids": {
      "feature": {
        "dtype": "int32",
        "_type": "Value"
      },
      "length": -1,
      "_type": "Sequence"
    },
    "attention_mask": {
      "feature": {
        "dtype": "int8",
        "_type": "Value"
      },
      "length": -1,
      "_type": "Sequence"
    },
    "labels": {
      "feature": {
        "dtype": "int64",
        "_type": "Value"
      },
      "length": -1,
      "_type": "Sequence"
    },
    "position_ids": {
      "feature": {
        "dtype": "int32",
        "_type": "Value"
      },
      "length": -1,
      "_type": "Sequence"
    }
  },
  "homepage": "",
  "license": ""
}
`,
	} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		want = strings.Replace(want, "FINGERPRINT", "a3dfc104b5e1f192", 1)
		if string(got) != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "data-00000-of-00001.arrow"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(data, []byte{0xff, 0xff, 0xff, 0xff}) {
		t.Error("not an Arrow stream")
	}
	if !bytes.Contains(data, []byte(`{"info":{"features":{"input_ids":{"feature":{"dtype":"int32","_type":"Value"}`)) {
		t.Error("the schema metadata does not name the features")
	}
}

func TestTokenWriterRefuses(t *testing.T) {
	for want, r := range map[string]Row{
		"values of attention_mask": {InputIDs: []int32{1}, Labels: []int64{1}},
		"0 labels":                 {InputIDs: []int32{1}, AttentionMask: []int8{1}},
		"input_ids[0] is -1":       {InputIDs: []int32{-1}, AttentionMask: []int8{1}, Labels: []int64{1}},
		"labels[0] is -1":          {InputIDs: []int32{1}, AttentionMask: []int8{1}, Labels: []int64{-1}},
		"attention_mask[0] is 2":   {InputIDs: []int32{1}, AttentionMask: []int8{2}, Labels: []int64{1}},
		"not packed":               {InputIDs: []int32{1}, AttentionMask: []int8{1}, Labels: []int64{1}, PositionIDs: []int32{0}},
	} {
		w, err := CreateTokens(t.TempDir(), TokenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Write(%+v) = %v, want %q", r, err, want)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestDamagedTokens(t *testing.T) {
	dir := writeTokens(t, someRows(4, true), true, shardBytes)
	whole, err := os.ReadFile(filepath.Join(dir, "data-00000-of-00001.arrow"))
	if err != nil {
		t.Fatal(err)
	}
	read := func(data []byte) error {
		var tokens Tokens
		if err := tokens.add(fileOf(data), int64(len(data))); err != nil {
			return err
		}
		for _, err := range tokens.All() {
			if err != nil {
				return err
			}
		}
		return nil
	}
	for n := range whole {
		if err := read(whole[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes were read without an error", n, len(whole))
		}
	}
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0xff
		_ = read(damaged) // any verdict, but no panic
	}
}

func TestTokensStateStaysInItsDirectory(t *testing.T) {
	dir := writeTokens(t, someRows(1, false), false, shardBytes)
	state := `{"_data_files":[{"filename":"../data-00000-of-00001.arrow"}]}`
	if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(state), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenTokens(dir); err == nil || !strings.Contains(err.Error(), "not in the directory itself") {
		t.Errorf("OpenTokens = %v", err)
	}
}
