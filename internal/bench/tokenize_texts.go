package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const english = "english"

// corpusNames are the kinds of text that are encoded.
var corpusNames = []string{english, "chinese", "code"}

const (
	corpusSize = 1 << 20 // bytes, at most
	textSize   = 1 << 12 // bytes of one text, about
)

// readCorpus returns texts of one kind: plays and encyclopedia, instructions
// with answers and poems, or the Go of this repository.
func readCorpus(name, data string) ([]string, error) {
	var parts []string
	var err error
	switch name {
	case english:
		parts, err = readFiles(data, "datasets/text/tinyshakespeare.txt", "datasets/llama-factory/wiki_demo.txt")
	case "chinese":
		if parts, err = readFiles(data, "datasets/text/tang300.txt", "datasets/llama-factory/alpaca_zh_demo.json"); err == nil {
			parts[1], err = answers(parts[1])
		}
	default:
		parts, err = readGo("steps")
	}
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, part := range parts {
		texts = append(texts, cutTexts(part, corpusSize/len(parts))...)
	}
	return texts, nil
}

func readFiles(data string, names ...string) ([]string, error) {
	var parts []string
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(data, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		parts = append(parts, string(b))
	}
	return parts, nil
}

// answers joins the fields of instructions.
func answers(file string) (string, error) {
	var rows []struct{ Instruction, Input, Output string }
	if err := json.Unmarshal([]byte(file), &rows); err != nil {
		return "", err
	}
	var out strings.Builder
	for _, r := range rows {
		out.WriteString(r.Instruction + r.Input + "\n" + r.Output + "\n")
	}
	return out.String(), nil
}

// readGo joins the Go files of a folder.
func readGo(dir string) ([]string, error) {
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || out.Len() > corpusSize {
			return err
		}
		b, err := os.ReadFile(path)
		out.Write(b)
		return err
	})
	return []string{out.String()}, err
}

// cutTexts cuts the first size bytes of a text after lines.
func cutTexts(text string, size int) []string {
	var texts []string
	for from := 0; from < min(size, len(text)); {
		end := min(from+textSize, len(text))
		if line := strings.IndexByte(text[end:], '\n'); line >= 0 {
			end += line + 1
		} else {
			end = len(text)
		}
		texts = append(texts, strings.ToValidUTF8(text[from:end], "\uFFFD"))
		from = end
	}
	return texts
}

// writeTexts writes texts as a JSON list and returns how many bytes they have.
func writeTexts(path string, texts []string) (int, error) {
	size := 0
	for _, text := range texts {
		size += len(text)
	}
	b, err := json.Marshal(texts)
	if err != nil {
		return 0, err
	}
	return size, os.WriteFile(path, b, 0o666)
}
