// Command stepdocs writes docs/steps.md from the schemas, whose comments
// document every field.
package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/pipe-run/pipe/schemas"
)

const intro = `# Steps

What a pipeline file may say, as the schema that pipe checks it with. A value behind * is the default, a
field with ? may be left out. Fields marked @nokey() do not enter a step's key: changing them reruns
nothing. This page is made from [schemas/](../schemas) by go generate.
`

// sections are the schema's files in the order of a pipeline.
var sections = []struct{ file, title string }{
	{"pipeline", "Every pipeline and every step"},
	{"fetch", "fetch"}, {"convert", "convert"}, {"clean", "clean"}, {"mix", "mix"}, {"tokenizer", "tokenizer"},
	{"tokenize", "tokenize"}, {"quantize", "quantize"},
	{"train", "train"}, {"evaluate", "evaluate"}, {"select", "select"}, {"merge", "merge"}, {"exec", "exec"},
	{"template", "What templates are made with"},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: stepdocs FILE")
		os.Exit(2)
	}
	page, err := render()
	if err == nil {
		err = os.WriteFile(os.Args[1], page, 0o666)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "stepdocs:", err)
		os.Exit(1)
	}
}

func render() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(intro)
	for _, s := range sections {
		src, err := schemas.FS.ReadFile(s.file + ".cue")
		if err != nil {
			return nil, err
		}
		src = bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(src), []byte("package schemas")))
		fmt.Fprintf(&b, "\n## %s\n\n```cue\n%s\n```\n", s.title, src)
	}
	return b.Bytes(), nil
}
