// Command make writes the data of the smollm2 example: messages of customers
// and the ticket that each should become.
//
//	go run ./examples/smollm2/make
//
// The file is a function of this program alone; a test compares what is
// committed with what it writes.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
)

func main() {
	out := flag.String("o", "examples/smollm2/data/tickets.jsonl", "the file to write")
	flag.Parse()
	if err := os.WriteFile(*out, encode(rows()), 0o666); err != nil {
		fmt.Fprintln(os.Stderr, "make:", err)
		os.Exit(1)
	}
}

// A row is one example, with the columns that convert's format "alpaca" reads.
type row struct {
	System      string `json:"system"`
	Instruction string `json:"instruction"`
	Output      string `json:"output"`
}

// encode writes one row a line.
func encode(rows []row) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for _, r := range rows {
		if err := e.Encode(r); err != nil {
			panic(err) // a buffer and three strings cannot fail
		}
	}
	return b.Bytes()
}
