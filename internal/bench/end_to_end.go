package main

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/pipe-run/pipe/internal/shareddata"
)

//go:embed peer/end_to_end.py
var endToEndSource string

const (
	// endBytes is the size of the conversations whose tokenization is timed.
	endBytes = 50 << 20
	// endSmall and endLarge are sizes that should take equal memory.
	endSmall, endLarge = 10 << 20, 1 << 30

	endName = "tokenize/end-to-end"
)

// endTokenizers are folders of the shared data with a tokenizer.json, the best first.
var endTokenizers = []string{"tokenizers/qwen3", "tokenizers/smollm2-135m-instruct"}

// endTemplate is ChatML, given to both.
const endTemplate = `{% for m in messages %}<|im_start|>{{ m['role'] }}
{{ m['content'] }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`

const endPipeline = `name: "end"
steps: {
	base: {kind: "fetch", as: "model", source: file: path: "base"}
	rows: {kind: "fetch", source: file: path: %q}
	chat: {kind: "convert", in: files: steps.rows.out.files, format: "messages"}
	tokens: {kind: "tokenize", in: {records: steps.chat.out.records, model: steps.base.out.model}, maxLength: 2048}
}
`

// endToEnd measures JSON Lines of conversations becoming tokens: all of pipe run in
// an empty cache, which also checks, labels and stores them, beside datasets and
// transformers doing the same in as many processes, their start not counted; and the
// memory it takes.
func endToEnd(l *lab) []Result {
	r := Result{Name: endName, Unit: "MB/s", Better: "higher", Reference: "datasets", Budget: 5, BudgetOn: "ratio"}
	memory := Result{Name: endName + "/memory/1GiB", Unit: "MB", Better: "lower", Reference: "10 MiB", Budget: 1.5, BudgetOn: "ratio"}
	words, err := l.endModel()
	if err == nil {
		err = l.conversations("end/rows.jsonl", endBytes, words)
	}
	if err != nil {
		r.Note, memory.Note = err.Error(), err.Error()
		return []Result{r, memory}
	}
	return []Result{l.endSpeed(r), l.endMemory(memory, words)}
}

// endModel writes the folder of a model that is only a tokenizer and a template, and
// returns words of English.
func (l *lab) endModel() ([]string, error) {
	data, ok := shareddata.Dir()
	if !ok {
		return nil, fmt.Errorf("the tokenizers are not there: set %s to the folder of shared data", shareddata.Env)
	}
	var tokenizer []byte
	var err error
	for _, dir := range endTokenizers {
		if tokenizer, err = os.ReadFile(filepath.Join(data, filepath.FromSlash(dir), "tokenizer.json")); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	side, err := json.Marshal(map[string]string{
		"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "chat_template": endTemplate,
	})
	if err != nil {
		return nil, err
	}
	texts, err := readCorpus(english, data)
	return strings.Fields(strings.Join(texts, " ")), errors.Join(err,
		l.write("end/base/tokenizer.json", string(tokenizer)),
		l.write("end/base/tokenizer_config.json", string(side)),
		l.write("end/base/config.json", `{"model_type":"llama"}`),
	)
}

// conversations writes JSON Lines of about a size: passages of the words as
// questions and answers, one to three of each in a row.
func (l *lab) conversations(name string, size int, words []string) error {
	f, err := os.Create(l.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	random := rand.New(rand.NewPCG(5, 6))
	passage := func(most int) string {
		n := 5 + random.IntN(most)
		start := random.IntN(len(words) - n)
		return strings.Join(words[start:start+n], " ")
	}
	out := bufio.NewWriterSize(f, 1<<20)
	for written := 0; written < size; {
		var messages []message
		for range 1 + random.IntN(3) {
			messages = append(messages, message{"user", passage(60)}, message{"assistant", passage(200)})
		}
		line, err := json.Marshal(map[string]any{"messages": messages})
		if err != nil {
			return err
		}
		written += len(line) + 1
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return errors.Join(out.Flush(), f.Close())
}

// endSpeed times both on the same rows. Their tokens must be as many.
func (l *lab) endSpeed(r Result) Result {
	peer, err := l.endPeer()
	if err != nil {
		r.Note = err.Error()
		return r
	}
	defer peer.close()
	path := l.path("end/rows.jsonl")
	a, b, ratio, err := l.pair(func() (float64, error) {
		c, err := l.endCommand("rows.jsonl")
		if err != nil {
			return 0, err
		}
		return c.time()
	}, func() (float64, error) { return peer.ask(path) })
	if err == nil {
		err = l.endSame(peer, path)
	}
	if err != nil {
		r.Note = err.Error()
		return r
	}
	r.Value, r.ReferenceValue, r.Ratio = endBytes/1e6/a, endBytes/1e6/b, 1/ratio
	return r
}

func (l *lab) endPeer() (*server, error) {
	interpreter, err := filepath.Abs(python)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(interpreter); err != nil {
		return nil, errors.New("datasets and transformers are not installed (make interop installs them)")
	}
	if err := l.write("end_to_end.py", endToEndSource); err != nil {
		return nil, err
	}
	return serve(interpreter, l.path("end_to_end.py"), l.path("end/base"), fmt.Sprint(runtime.NumCPU()))
}

// endCommand is a run in an empty cache.
func (l *lab) endCommand(rows string) (command, error) {
	cache := l.path("end/cache")
	if err := l.write("end/end.cue", fmt.Sprintf(endPipeline, rows)); err != nil {
		return command{}, err
	}
	if err := l.run("chmod", "-R", "u+w", l.path("end")); err != nil {
		return command{}, err
	}
	c := l.cmd(l.path("end"), l.pipe, "run", "end.cue")
	c.env = []string{"PIPE_CACHE=" + cache}
	return c, os.RemoveAll(cache)
}

// endSame compares the number of tokens of the last run with the peer's.
func (l *lab) endSame(peer *server, path string) error {
	theirs, err := peer.ask("tokens " + path)
	if err != nil {
		return err
	}
	tokens := l.path("end/tokens")
	if err := os.RemoveAll(tokens); err != nil {
		return err
	}
	get := l.cmd(l.path("end"), l.pipe, "get", "end.cue", "tokens", tokens)
	get.env = []string{"PIPE_CACHE=" + l.path("end/cache")}
	if _, err := get.time(); err != nil {
		return err
	}
	cmd := exec.Command(l.pipe, "inspect", "--json", tokens)
	ours, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("inspecting the tokens: %w", err)
	}
	if !strings.Contains(string(ours), fmt.Sprintf("%.0f", theirs)) {
		return fmt.Errorf("datasets makes %.0f tokens, and pipe not as many", theirs)
	}
	return nil
}

// endMemory compares the largest process of runs on little and on much.
func (l *lab) endMemory(r Result, words []string) Result {
	peak := func(size int) (float64, error) {
		if err := l.conversations("end/memory.jsonl", size, words); err != nil {
			return 0, err
		}
		c, err := l.endCommand("memory.jsonl")
		if err != nil {
			return 0, err
		}
		bytes, err := c.peak()
		return bytes / 1e6, err
	}
	var err error
	if r.ReferenceValue, err = peak(endSmall); err == nil {
		r.Value, err = peak(endLarge)
	}
	if err != nil {
		r.Note = err.Error()
		return r
	}
	r.Ratio = r.Value / r.ReferenceValue
	return r
}
