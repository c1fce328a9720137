package fetch

import (
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
)

// A machine is a cache folder, a lock and an environment, in which fetch
// steps are pinned and run as the engine does it.
type machine struct {
	t         *testing.T
	downloads string
	work      string // the step's folder, kept between attempts
	lock      map[string]string
	secrets   map[string]string

	mu     sync.Mutex
	events []pipeline.Fact
}

func newMachine(t *testing.T) *machine {
	return &machine{
		t: t, downloads: t.TempDir(), work: t.TempDir(), lock: map[string]string{}, secrets: map[string]string{},
	}
}

func (m *machine) emit(f pipeline.Fact) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, f)
}

func (m *machine) secret(name string) (string, bool) { v, ok := m.secrets[name]; return v, ok }

// params fills in the defaults of the schema.
func params(t *testing.T, text string) json.RawMessage {
	t.Helper()
	all := map[string]any{"as": "files", "retries": 4, "maxSize": "1GB"}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// pin pins, with the network or without, and notes the pin in the lock.
func (m *machine) pin(text string, network bool) (pipeline.Pin, error) {
	q := &pipeline.PinRequest{
		Params: params(m.t, text), Network: network, Secret: m.secret, Emit: m.emit,
		Locked: func(from string) (string, bool) { id, ok := m.lock[from]; return id, ok },
		Sum: func(path string) (pipeline.FileSum, error) {
			f, err := os.Open(path)
			if err != nil {
				return pipeline.FileSum{}, err
			}
			defer f.Close()
			d, size, err := pipeline.Sum(f)
			return pipeline.FileSum{Digest: d, Size: size, Executable: executable(path)}, err
		},
	}
	if network {
		q.Downloads = m.downloads
	}
	pin, err := Kind.Pin(m.t.Context(), q)
	if err == nil && pin.Lock && network {
		m.lock[pin.From] = pin.ID
	}
	return pin, err
}

// run runs the step and returns its output as file name → content.
func (m *machine) run(ctx context.Context, text, pin string) (map[string]string, error) {
	raw := params(m.t, text)
	var p Params
	if err := json.Unmarshal(raw, &p); err != nil {
		m.t.Fatal(err)
	}
	out, tmp, state := filepath.Join(m.work, "out"), filepath.Join(m.work, "tmp"), filepath.Join(m.work, "state")
	for _, dir := range []string{out, tmp} {
		if err := os.RemoveAll(dir); err != nil {
			m.t.Fatal(err)
		}
	}
	for _, dir := range []string{out, tmp, state} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			m.t.Fatal(err)
		}
	}
	step, err := Kind.New(raw)
	if err != nil {
		m.t.Fatal(err)
	}
	err = step.Run(ctx, &pipeline.Task{
		Out: map[string]string{p.As: out}, Tmp: tmp, State: state, Pin: pin, Downloads: m.downloads, Threads: 2,
		Secret: m.secret, Log: slog.New(slog.DiscardHandler), Emit: m.emit,
	})
	return readTree(m.t, out), err
}

// fetch pins with the network and runs.
func (m *machine) fetch(text string) (map[string]string, error) {
	pin, err := m.pin(text, true)
	if err != nil {
		return nil, err
	}
	return m.run(m.t.Context(), text, pin.ID)
}

func readTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// retries counts the retries that were emitted.
func (m *machine) retries() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, f := range m.events {
		if _, ok := f.(pipeline.Retry); ok {
			n++
		}
	}
	return n
}

func writeTestFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}
