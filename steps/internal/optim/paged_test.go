package optim

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestPagedIsTheSame: where the moments live changes no bit, and no file stays.
func TestPagedIsTheSame(t *testing.T) {
	if !canMap {
		t.Skip("this system maps no files")
	}
	sizes := []int{chunk + 300, 7, 0, small}
	for name, build := range optimizers(Layout{Sizes: sizes}) {
		dir := t.TempDir()
		paged, err := NewPaged(dir)
		if err != nil {
			t.Fatal(err)
		}
		a, b := build(), optimizers(Layout{Sizes: sizes, Memory: paged})[name]()
		p, q := random(1, sizes...), random(1, sizes...)
		for u := range uint64(3) {
			g := random(u+2, sizes...)
			a.Update(2, 0.1, p, g)
			b.Update(2, 0.1, q, g)
		}
		if !equal(p, q) {
			t.Errorf("%s: paged state gives other bits", name)
		}
		var x, y bytes.Buffer
		a.WriteTo(&x)
		b.WriteTo(&y)
		if !bytes.Equal(x.Bytes(), y.Bytes()) {
			t.Errorf("%s: paged state differs", name)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: %v is left", name, left)
		}
		if err := paged.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestPagedSaysWhatFailed(t *testing.T) {
	paged, err := NewPaged(filepath.Join(t.TempDir(), "absent"))
	if err != nil {
		t.Skip(err)
	}
	if _, err := NewAdamW(AdamWConfig{}, Layout{Sizes: []int{4}, Memory: paged}); err == nil {
		t.Error("memory in an absent folder was taken")
	}
}
