package compile

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/pipe-run/pipe/pipeline"
)

var update = flag.Bool("update", false, "rewrite the expected texts of testdata/mistakes")

// TestMistakes compiles every file of testdata/mistakes: an archive whose
// comment holds the values of -t, whose first file is the pipeline, and whose
// file "want" is all that pipe says about it.
func TestMistakes(t *testing.T) {
	archives, err := filepath.Glob("testdata/mistakes/*.txtar")
	if err != nil || len(archives) < 40 {
		t.Fatalf("%d archives, want at least 40 (%v)", len(archives), err)
	}
	for _, path := range archives {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(name, func(t *testing.T) { testMistake(t, path) })
	}
}

func testMistake(t *testing.T, path string) {
	ar, err := txtar.ParseFile(filepath.Join(goldenDir, filepath.Base(path)))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	var want *txtar.File
	for i := range ar.Files {
		f := &ar.Files[i]
		if f.Name == "want" {
			want = f
			continue
		}
		if err := os.MkdirAll(filepath.Dir(f.Name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.Name, f.Data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	_, err = File(context.Background(), ar.Files[0].Name, Options{Tags: strings.Fields(string(ar.Comment))})
	if err == nil {
		t.Fatal("compiles")
	}
	var ps pipeline.Problems
	if !errors.As(err, &ps) {
		t.Fatalf("not Problems: %v", err)
	}
	got := err.Error() + "\n"
	if want == nil {
		ar.Files = append(ar.Files, txtar.File{Name: "want"})
		want = &ar.Files[len(ar.Files)-1]
	}
	if got == string(want.Data) {
		return
	}
	if !*update {
		t.Fatalf("got:\n%s\nwant:\n%s", got, want.Data)
	}
	want.Data = []byte(got)
	if err := os.WriteFile(filepath.Join(goldenDir, filepath.Base(path)), txtar.Format(ar), 0o666); err != nil {
		t.Fatal(err)
	}
}

// goldenDir is testdata/mistakes wherever the test changes to.
var goldenDir, _ = filepath.Abs("testdata/mistakes")
