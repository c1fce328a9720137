package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"os"
	"strings"
)

// row is one question with its answer.
type row struct {
	ID          string `json:"id"`
	Instruction string `json:"instruction"`
	Input       string `json:"input"`
	Output      string `json:"output"`
}

// makeRows writes rows until size bytes are reached: prose with commas, quotes,
// line ends and a few characters beyond ASCII, equal for equal sizes.
func makeRows(path string, size int64) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	count := &counter{w: bufio.NewWriterSize(file, 1<<20)}
	write := jsonRow(count)
	if strings.HasSuffix(path, ".csv") {
		if write, err = csvRow(count); err != nil {
			return err
		}
	}
	random := rand.New(rand.NewSource(1))
	words := vocabulary(random)
	for i := 0; count.n < size; i++ {
		r := row{ID: fmt.Sprint(i), Instruction: prose(random, words, 15), Output: prose(random, words, 70)}
		if i%3 == 0 {
			r.Input = prose(random, words, 10)
		}
		if err := write(r); err != nil {
			return err
		}
	}
	if err := count.w.Flush(); err != nil {
		return err
	}
	return file.Close()
}

type counter struct {
	w *bufio.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.w.Write(p)
}

func jsonRow(w io.Writer) func(row) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return func(r row) error { return e.Encode(r) }
}

func csvRow(w io.Writer) (func(row) error, error) {
	c := csv.NewWriter(w)
	err := c.Write([]string{"id", "instruction", "input", "output"})
	return func(r row) error {
		err := c.Write([]string{r.ID, r.Instruction, r.Input, r.Output})
		c.Flush()
		return err
	}, err
}

func vocabulary(random *rand.Rand) []string {
	words := []string{"café", "naïve", "größer", "“so”"}
	for range 5000 {
		b := make([]byte, 2+random.Intn(9))
		for i := range b {
			b[i] = byte('a' + random.Intn(26))
		}
		words = append(words, string(b))
	}
	return words
}

// prose is n words in sentences, now and then with a quotation or a new line.
func prose(random *rand.Rand, words []string, n int) string {
	var b strings.Builder
	for i := range n {
		switch {
		case i == 0:
		case i%25 == 0:
			b.WriteString(".\n")
		case random.Intn(12) == 0:
			b.WriteString(", ")
		default:
			b.WriteByte(' ')
		}
		word := words[random.Intn(len(words))]
		if random.Intn(60) == 0 {
			word = `"` + word + `"`
		}
		b.WriteString(word)
	}
	return b.String() + "."
}
