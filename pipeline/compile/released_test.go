package compile

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReleased compiles the pipelines of earlier versions of the schema, one
// for each kind with every field it had: fields are only ever added, and what
// enters a key stays as it was.
func TestReleased(t *testing.T) {
	versions, err := filepath.Glob("testdata/released/v*")
	if err != nil || len(versions) == 0 {
		t.Fatalf("no versions (%v)", err)
	}
	for _, dir := range versions {
		files, _ := filepath.Glob(filepath.Join(dir, "*.cue"))
		if len(files) < 11 {
			t.Fatalf("%s has %d pipelines, want one for each kind", dir, len(files))
		}
		for _, file := range files {
			t.Run(filepath.Base(dir)+"/"+filepath.Base(file), func(t *testing.T) { testReleased(t, file) })
		}
	}
}

func testReleased(t *testing.T, file string) {
	g, err := File(context.Background(), file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, n := range g.Nodes {
		b.WriteString(n.Name + " " + n.Kind + " " + string(n.Params) + "\n")
	}
	golden := strings.TrimSuffix(file, ".cue") + ".keys"
	want, err := os.ReadFile(golden)
	if *update && os.IsNotExist(err) { // what is released stays
		err = os.WriteFile(golden, []byte(b.String()), 0o666)
		want = []byte(b.String())
	}
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("what enters the keys has changed:\n%s\nwant:\n%s", b.String(), want)
	}
}
