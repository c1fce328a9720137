package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pipe-run/pipe/internal/shareddata"
)

//go:embed peer/tokenize.py
var tokenizeSource string

// A tokenizeCase is a tokenizer, its folder in the shared data, and the
// libraries that can encode with it, or beside it.
type tokenizeCase struct {
	name, dir string
	others    []string
}

var tokenizeCases = []tokenizeCase{
	{"gpt2", "tokenizers/gpt2", []string{"tiktoken"}},
	{"llama3", "tokenizers/llama3", []string{"tiktoken", "rs-bpe"}},
	{"qwen3", "tokenizers/qwen3", []string{"tiktoken", "bpe-qwen"}},
}

const (
	tokenizeRounds = 5
	huggingFace    = "tokenizers"

	overHuggingFace = 10 // times as fast
	overOthers      = 2
	englishRate     = 50   // MiB/s
	scalingShare    = 0.95 // of each further core
	loadSeconds     = 0.35 // of processor time, for the largest
)

// A tokenizeLab has both programs and the texts.
type tokenizeLab struct {
	*lab
	ours, theirs *server
	theirsErr    error
	bytes        map[string]int // of the corpora
}

// tokenizes measures encoding beside the fastest libraries, a core each, by
// processor time.
func tokenizes(l *lab) []Result {
	t, err := l.tokenizeLab()
	if err != nil {
		return []Result{missing("tokenize", "MiB/s", "higher", huggingFace, err)}
	}
	defer t.close()
	var results []Result
	for _, c := range tokenizeCases {
		for _, corpus := range corpusNames {
			results = append(results, t.beside(c, corpus)...)
		}
		results = append(results, t.scaling(c), t.loading(c))
	}
	return results
}

func (l *lab) tokenizeLab() (*tokenizeLab, error) {
	data, ok := shareddata.Dir()
	if !ok {
		return nil, fmt.Errorf("the tokenizers are not there: set %s to the folder of shared data", shareddata.Env)
	}
	bin := l.path("tokenbench")
	if err := build(bin, "./steps/internal/token/tokenbench"); err != nil {
		return nil, err
	}
	var args []string
	for _, c := range tokenizeCases {
		args = append(args, c.name+"="+filepath.Join(data, filepath.FromSlash(c.dir)))
	}
	t := &tokenizeLab{lab: l, bytes: map[string]int{}}
	for _, name := range corpusNames {
		texts, err := readCorpus(name, data)
		if err != nil {
			return nil, fmt.Errorf("the texts in %s: %w", name, err)
		}
		path := l.path("texts-" + name + ".json")
		if t.bytes[name], err = writeTexts(path, texts); err != nil {
			return nil, err
		}
		args = append(args, name+"="+path)
	}
	var err error
	if t.ours, err = serve(bin, args...); err != nil {
		return nil, err
	}
	t.theirs, t.theirsErr = l.tokenizePeers(args)
	return t, nil
}

// tokenizePeers starts the other libraries.
func (l *lab) tokenizePeers(args []string) (*server, error) {
	interpreter, err := filepath.Abs(python)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(interpreter); err != nil {
		return nil, errors.New("the other libraries are not installed (make interop installs them)")
	}
	if err := l.write("tokenize_peers.py", tokenizeSource); err != nil {
		return nil, err
	}
	return serve(interpreter, append([]string{l.path("tokenize_peers.py")}, args...)...)
}

func (t *tokenizeLab) close() {
	t.ours.close()
	if t.theirs != nil {
		t.theirs.close()
	}
}

// beside measures one tokenizer on one corpus: a line beside each library, the
// rate on English, and the rate of the first texts a tokenizer sees.
func (t *tokenizeLab) beside(c tokenizeCase, corpus string) []Result {
	name := "tokenize/" + c.name + "/" + corpus
	peers := append([]string{huggingFace}, c.others...)
	seconds := map[string][]float64{}
	ask := func(s *server, who, line string, counts bool) error {
		v, err := s.ask(line)
		if err == nil && v >= 0 && counts {
			seconds[who] = append(seconds[who], v)
		}
		return err
	}
	for i := range min(t.rounds, tokenizeRounds) + 1 {
		err := ask(t.ours, "pipe", fmt.Sprintf("cpu %s %s 1", c.name, corpus), i > 0)
		if err == nil && i > 0 {
			err = ask(t.ours, "cold", fmt.Sprintf("cold %s %s 1", c.name, corpus), true)
		}
		for _, peer := range peers {
			if err == nil && t.theirs != nil {
				err = ask(t.theirs, peer, fmt.Sprintf("%s %s %s", peer, c.name, corpus), i > 0)
			}
		}
		if err != nil {
			return []Result{missing(name, "MiB/s", "higher", huggingFace, err)}
		}
	}
	rate := func(who string) float64 { return float64(t.bytes[corpus]) / (1 << 20) / median(seconds[who]) }
	alone := Result{Name: name + "/a-core", Value: rate("pipe"), Unit: "MiB/s", Better: "higher"}
	if corpus == english {
		alone.Budget, alone.BudgetOn = englishRate, "value"
	}
	results := []Result{alone, {Name: name + "/cold", Value: rate("cold"), Unit: "MiB/s", Better: "higher"}}
	for _, peer := range peers {
		r := Result{
			Name: name + "/" + peer, Value: rate("pipe"), Unit: "MiB/s", Better: "higher",
			Reference: peer, Budget: overOthers, BudgetOn: "ratio",
		}
		if peer == huggingFace {
			r.Budget = overHuggingFace
		}
		switch {
		case t.theirs == nil:
			r.Note = t.theirsErr.Error()
		case len(seconds[peer]) == 0:
			r.Note = peer + " is not installed"
		default:
			r.ReferenceValue, r.Ratio = rate(peer), median(ratios(seconds[peer], seconds["pipe"]))
			if err := t.sameIDs(c.name, corpus, peer); err != nil {
				r.Note = err.Error()
			}
		}
		results = append(results, r)
	}
	return results
}

// sameIDs compares the ids with Hugging Face's; a difference makes a figure
// worthless. Other libraries differ from it, or have another vocabulary.
func (t *tokenizeLab) sameIDs(name, corpus, peer string) error {
	if peer != huggingFace {
		return nil
	}
	ours, err := t.ours.ask(fmt.Sprintf("ids %s %s 1", name, corpus))
	if err != nil {
		return err
	}
	theirs, err := t.theirs.ask(fmt.Sprintf("%s %s %s ids", peer, name, corpus))
	if err == nil && ours != theirs {
		err = errors.New("the ids differ")
	}
	return err
}

// scaling is how many times faster all threads are than one.
func (t *tokenizeLab) scaling(c tokenizeCase) Result {
	n := runtime.NumCPU()
	r := Result{
		Name: "tokenize/" + c.name + "/" + english + "/scaling", Unit: fmt.Sprintf("× on %d threads", n), Better: "higher",
		Budget: scalingShare * float64(n), BudgetOn: "value",
	}
	ask := func(threads int) func() (float64, error) {
		return func() (float64, error) {
			return t.ours.ask(fmt.Sprintf("wall %s %s %d", c.name, english, threads))
		}
	}
	_, _, ratio, err := t.pair(ask(1), ask(n))
	if err != nil {
		r.Note = err.Error()
		return r
	}
	r.Value = ratio
	return r
}

// loading is the processor time of reading a tokenizer, beside Hugging Face's.
func (t *tokenizeLab) loading(c tokenizeCase) Result {
	r := Result{
		Name: "tokenize/" + c.name + "/load", Unit: "s", Better: "lower",
		Reference: huggingFace, Budget: loadSeconds, BudgetOn: "value",
	}
	ours := func() (float64, error) { return t.ours.ask("load " + c.name + " - 1") }
	if t.theirs == nil {
		var seconds []float64
		for range t.rounds {
			v, err := ours()
			if err != nil {
				r.Note = err.Error()
				return r
			}
			seconds = append(seconds, v)
		}
		r.Value, r.Note = median(seconds), t.theirsErr.Error()
		return r
	}
	value, reference, ratio, err := t.pair(ours, func() (float64, error) {
		return t.theirs.ask(huggingFace + " " + c.name + " load")
	})
	if err != nil {
		r.Note = err.Error()
		return r
	}
	r.Value, r.ReferenceValue, r.Ratio = value, reference, ratio
	return r
}
