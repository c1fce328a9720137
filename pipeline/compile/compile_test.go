package compile

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestDump(t *testing.T) {
	p := os.Getenv("DUMP")
	if p == "" {
		t.Skip()
	}
	g, err := File(context.Background(), p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.MarshalIndent(g, "", "  ")
	t.Log(string(b))
	_ = filepath.Join
}
