// Command make writes what the pretraining recipe starts from: a corpus in a
// small language about things in a house, a tokenizer trained on it, the
// configuration of a tiny llama, and the data of the quickstart.
//
//	go run ./examples/pretrain/make
//
// Every file is a function of this program alone; a test compares what is
// committed with what it writes.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	out := flag.String("o", "examples", "the folder of examples to write into")
	flag.Parse()
	if err := write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "make:", err)
		os.Exit(1)
	}
}

// write makes all files below the folder of examples.
func write(examples string) error {
	commands := Commands()
	corpus := Corpus(commands)
	tok, err := Tokenizer(corpus)
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"quickstart/data/commands.jsonl":         commandRows(commands),
		"pretrain/data/corpus.jsonl":             textRows(corpus),
		"pretrain/blank/tokenizer.json":          tok,
		"pretrain/blank/tokenizer_config.json":   []byte(tokenizerConfig),
		"pretrain/blank/config.json":             []byte(modelConfig),
		"pretrain/blank/generation_config.json":  []byte(generationConfig),
		"pretrain/blank/special_tokens_map.json": []byte(specialTokensMap),
	}
	for name, b := range files {
		path := filepath.Join(examples, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(path, b, 0o666); err != nil {
			return err
		}
	}
	return nil
}
