package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/inspect"
)

// foretaste shows what a tokenize step that is not cached would make of the
// records that c chooses: it runs the step on them alone, unpacked, and keeps
// nothing. missing is why the step has no result; it stands where an input of the
// step has none either.
func (s *session) foretaste(ctx context.Context, n *pipeline.Node, c inspect.Choice, missing error) (*inspect.Preview, error) {
	records, done, err := s.inputFolder(ctx, n.Name, "records")
	if err != nil {
		return nil, missing
	}
	defer done()
	model, done, err := s.inputFolder(ctx, n.Name, "model")
	if err != nil {
		return nil, missing
	}
	defer done()
	dir, err := os.MkdirTemp("", "pipe-preview-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	sub := map[string]string{}
	for _, name := range []string{"records", "tokens", "tmp", "state"} {
		sub[name] = filepath.Join(dir, name)
		if err := os.Mkdir(sub[name], 0o777); err != nil {
			return nil, err
		}
	}
	if c.Count == 0 {
		return nil, missing
	}
	if err := inspect.Head(records, sub["records"], c); err != nil {
		return nil, err
	}
	params, err := unpacked(n.Full)
	if err != nil {
		return nil, err
	}
	step, err := s.kinds[n.Kind].New(params)
	if err != nil {
		return nil, err
	}
	var log bytes.Buffer
	err = step.Run(ctx, &pipeline.Task{
		In: map[string]string{"records": sub["records"], "model": model}, Out: map[string]string{"tokens": sub["tokens"]},
		Tmp: sub["tmp"], State: sub["state"], Threads: runtime.GOMAXPROCS(0),
		Secret: func(string) (string, bool) { return "", false },
		Log:    slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Emit:   func(pipeline.Fact) {},
	})
	if err != nil {
		return nil, fmt.Errorf("step %s would fail: %w", n.Name, err)
	}
	p, err := inspect.Rows(sub["tokens"], model, inspect.Choice{First: 1, Count: c.Count})
	if err != nil {
		return nil, err
	}
	for i := range p.Rows {
		p.Rows[i].Number += c.First - 1
	}
	p.Partial, p.Notes = true, notes(log.String())
	return p, nil
}

// unpacked are the parameters of a tokenize step without packing.
func unpacked(params json.RawMessage) (json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(params, &all); err != nil {
		return nil, err
	}
	all["packing"] = json.RawMessage("false")
	return json.Marshal(all)
}

// notes are the messages of a log of JSON lines.
func notes(log string) (all []string) {
	for line := range strings.Lines(log) {
		var entry struct {
			Msg     string
			Records int64
		}
		if json.Unmarshal([]byte(line), &entry) != nil {
			continue
		}
		if entry.Records > 0 {
			entry.Msg += fmt.Sprintf(" (%s)", count(int(entry.Records), "record"))
		}
		all = append(all, entry.Msg)
	}
	return all
}
