package lock

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
)

func pin(n int) Pin {
	return Pin{Kind: "fetch", Source: json.RawMessage(fmt.Sprintf(`{"b": 1.0, "a": %d}`, n)), From: fmt.Sprint("<source> ", n), ID: fmt.Sprint("id", n)}
}

const golden = `{
	"version": 1,
	"pins": [
		{
			"kind": "fetch",
			"source": {"a":1,"b":1},
			"from": "<source> 1",
			"id": "id1"
		},
		{
			"kind": "fetch",
			"source": {"a":2,"b":1},
			"from": "<source> 2",
			"id": "id2"
		}
	]
}
`

func TestGolden(t *testing.T) {
	var l Lock
	if err := errors.Join(l.Add(pin(2)), l.Add(pin(1))); err != nil {
		t.Fatal(err)
	}
	if got := string(l.Encode()); got != golden {
		t.Errorf("encoded as\n%s", got)
	}
	back, err := parse("pipe.lock", []byte(golden))
	if err != nil {
		t.Fatal(err)
	}
	if string(back.Encode()) != golden {
		t.Errorf("read and encoded as\n%s", back.Encode())
	}
	if id, ok := back.ID("fetch", json.RawMessage(`{"a":1,"b":1}`)); !ok || id != "id1" {
		t.Errorf("pin: %q, %v", id, ok)
	}
	if _, ok := back.ID("exec", json.RawMessage(`{"a":1,"b":1}`)); ok {
		t.Error("found under another kind")
	}
	if empty := (&Lock{}).Encode(); string(empty) != "{\n\t\"version\": 1,\n\t\"pins\": []\n}\n" {
		t.Errorf("empty lock is\n%s", empty)
	}
}

func TestUpdate(t *testing.T) {
	path := Path(filepath.Join(t.TempDir(), "finetune.cue"))
	if l, err := Read(path); err != nil || l.Len() != 0 {
		t.Fatal(l, err)
	}
	if err := Update(path, func(*Lock) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("wrote a lock without need")
	}
	if err := Update(path, func(l *Lock) error { return l.Add(pin(1)) }); err != nil {
		t.Fatal(err)
	}
	other := pin(1)
	other.ID = "other"
	for _, c := range []struct {
		change func(l *Lock) error
		id     string
	}{
		{func(l *Lock) error { return l.Add(other) }, "id1"},
		{func(l *Lock) error { return errors.Join(l.Set(other), errors.New("no")) }, "id1"},
		{func(l *Lock) error { return l.Set(other) }, "other"},
		{func(l *Lock) error { l.Remove(other.Kind, other.Source); return nil }, ""},
	} {
		Update(path, c.change)
		l, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if id, _ := l.ID("fetch", pin(1).Source); id != c.id {
			t.Errorf("pinned to %q, want %q", id, c.id)
		}
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("%d files in the folder", len(entries))
	}
}

func TestUpdateConcurrently(t *testing.T) {
	path := filepath.Join(t.TempDir(), Name)
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() {
			if err := Update(path, func(l *Lock) error { return l.Add(pin(n)) }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if l, err := Read(path); err != nil || l.Len() != 16 {
		t.Errorf("%d pins, %v", l.Len(), err)
	}
}

func TestReadOnlyFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	if f, err := os.CreateTemp(dir, ""); err == nil { // root may write anywhere
		f.Close()
		t.Skip("this user may write to read-only folders")
	}
	err := Update(filepath.Join(dir, Name), func(l *Lock) error { return l.Add(pin(1)) })
	if !errors.Is(err, ErrReadOnly) {
		t.Errorf("error is %v", err)
	}
}

func TestMalformed(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "1:1: not JSON: unexpected end of JSON input"},
		{"[]", "1:1: want {"},
		{"{}", "1:1: the lock has no version"},
		{"{\n\t\"version\": 2\n}", "2:13: the lock has format 2, this pipe knows format 1"},
		{"{\"version\": \"1\"}", "1:13: a string is no int"},
		{"{\"version\": 1,\n \"pin\": []}", "2:9: \"pin\" is no field of a lock"},
		{"{\"version\": 1,\n \"pins\": {}}", "2:10: want ["},
		{"{\"version\": 1,\n\"version\": 1}", "2:1: \"version\" occurs twice"},
		{"{\"version\": 1} x", "1:16: not JSON: invalid character 'x' after top-level value"},
		{"{\"version\": 1,\n\"pins\": [\n{\"kind\":\"fetch\",\"source\":{},\"id\":\"\"}]}", "3:1: pin has no id"},
		{"{\"version\": 1,\n\"pins\": [\n{\"kind\":\"fetch\",\"id\":\"x\"}]}", "3:1: pin has no source"},
		{"{\"version\": 1,\n\"pins\": [\n{\"kind\":\"a\\u0000b\",\"source\":1,\"id\":\"x\"}]}", "3:1: \"a\\x00b\" holds a control character or invalid UTF-8"},
		{"{\"version\": 1,\n\"pins\": [\n{\"kind\":\"f\",\"source\":1,\"id\":\"x\",\n\"url\":1}]}", "4:7: \"url\" is no field of a pin"},
		{"{\"version\": 1,\n\"pins\": [\n{\"kind\":\"f\",\"source\":1,\"id\":\"x\"},\n{\"kind\":\"f\",\"source\":1.0,\"id\":\"y\"}]}", "4:1: its source is pinned before"},
		{"{\"version\": 1,\n\"pins\": [\n{\"kind\":\"f\",\"source\":{\"a\":1,\"a\":2},\"id\":\"x\"}]}", "3:1: source of f: canonical JSON: duplicate member \"a\""},
		{"{\"version\": 1,\n<<<<<<< HEAD\n", "2:1: merge conflict"},
		{"{\"version\": 1,\n\"pins\": [}", "2:10: not JSON: invalid character '}' looking for beginning of value"},
		{"{\"version\":\n1,\"\xff\":1}", "1:1: invalid UTF-8"},
	} {
		_, err := parse("pipe.lock", []byte(c.text))
		var p *pipeline.Problem
		if !errors.As(err, &p) {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		got, _, _ := strings.Cut(err.Error(), "\n\t")
		if got != "pipe.lock:"+c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.text, got, "pipe.lock:"+c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(golden))
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := parse("pipe.lock", raw)
		if err != nil {
			return
		}
		b := l.Encode()
		again, err := parse("pipe.lock", b)
		if err != nil || string(again.Encode()) != string(b) {
			t.Errorf("read again: %v\n%s", err, b)
		}
	})
}
