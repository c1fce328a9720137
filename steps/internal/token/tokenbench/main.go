// Command tokenbench encodes texts when told to, so that a bench can take turns
// with another program. Its arguments are names and folders of tokenizers and
// files with a JSON list of texts, as name=path. For each line
// "what tokenizer texts threads" on standard input it prints a number. What is
//
//	cpu   the seconds of processor time that encoding all texts takes, the mean of a few times
//	wall  the seconds by the clock
//	cold  as cpu, by a tokenizer that has encoded nothing before
//	load  the seconds of processor time that reading the tokenizer takes, whatever the texts
//	ids   the CRC-32 of all ids, each as four bytes, the lowest first
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pipe-run/pipe/steps/internal/token"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "tokenbench:", err)
		os.Exit(1)
	}
}

// A bench has what was named on the command line.
type bench struct {
	dirs  map[string]string
	toks  map[string]*token.Tokenizer
	texts map[string][]string
	ids   []int32
}

func serve() error {
	b := &bench{dirs: map[string]string{}, toks: map[string]*token.Tokenizer{}, texts: map[string][]string{}}
	for _, arg := range os.Args[1:] {
		if err := b.load(arg); err != nil {
			return fmt.Errorf("%s: %w", arg, err)
		}
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var what, tok, texts string
		var threads int
		if _, err := fmt.Sscan(lines.Text(), &what, &tok, &texts, &threads); err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
		v, err := b.answer(what, tok, b.texts[texts], threads)
		if err != nil {
			return err
		}
		fmt.Printf("%.9f\n", v)
	}
	return lines.Err()
}

// load reads name=path.
func (b *bench) load(arg string) error {
	name, path, _ := strings.Cut(arg, "=")
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		b.dirs[name] = path
		b.toks[name], err = token.Load(path)
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var texts []string
	err = json.Unmarshal(data, &texts)
	b.texts[name] = texts
	return err
}

func (b *bench) answer(what, name string, texts []string, threads int) (float64, error) {
	tok := b.toks[name]
	if tok != nil && what == "load" {
		start := used()
		_, err := token.Load(b.dirs[name])
		return used() - start, err
	}
	if tok == nil || len(texts) == 0 {
		return 0, fmt.Errorf("there is no tokenizer %s, or no texts", name)
	}
	switch what {
	case "cpu":
		return b.cpu(tok, texts, passes), nil
	case "cold":
		fresh, err := token.Load(b.dirs[name])
		if err != nil {
			return 0, err
		}
		return b.cpu(fresh, texts, 1), nil
	case "wall":
		start := time.Now()
		for range passes {
			tok.EncodeBatch(texts, false, threads)
		}
		return time.Since(start).Seconds() / passes, nil
	case "ids":
		sum := crc32.NewIEEE()
		for _, text := range texts {
			binary.Write(sum, binary.LittleEndian, tok.Encode(text, false))
		}
		return float64(sum.Sum32()), nil
	}
	return 0, fmt.Errorf("there is no %q", what)
}

// passes over the texts take about as long as one of a slower peer.
const passes = 8

// cpu encodes on one thread into one slice.
func (b *bench) cpu(tok *token.Tokenizer, texts []string, passes int) float64 {
	start := used()
	for range passes {
		b.ids = b.ids[:0]
		for _, text := range texts {
			b.ids = tok.AppendEncode(b.ids, text, false)
		}
	}
	return (used() - start) / float64(passes)
}

// used is the seconds of processor time this process took.
func used() float64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err) // Linux has the clock
	}
	return float64(t.Nano()) / 1e9
}
