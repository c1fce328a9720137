// Command interop answers for this library in `make interop`, so that Python
// peers can be compared with it number by number. Nothing else uses it.
//
//	interop logits MODEL [ADAPTER]   [[id, …], …]  →  [[[logit, …] per token] per row]
//	interop last MODEL [ADAPTER]     the same, of the last token of every row alone
//	interop encode MODEL             [text, …]     →  {plain, special: [[id, …], …], decoded: [text, …]}
//	interop render all               [{template, context}, …]  →  [{text, error}, …]
//	interop weights MODEL            [name, …]     →  {name: [number, …]}, dequantized, row-major
//
// It reads one JSON value from standard input and writes one to standard output.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/lora"
	"github.com/pipe-run/pipe/steps/internal/token"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) < 2 || len(args) > 3 {
		return errors.New("usage: interop logits MODEL [ADAPTER] | last MODEL [ADAPTER] | encode MODEL | render all | weights MODEL")
	}
	var answer any
	var err error
	switch args[0] {
	case "logits", "last":
		last := args[0] == "last"
		answer, err = ask(in, func(rows [][]int32) (any, error) { return logits(ctx, args[1], args[2:], rows, last) })
	case "encode":
		answer, err = ask(in, func(texts []string) (any, error) { return encode(args[1], texts) })
	case "render":
		answer, err = ask(in, func(all []conversation) (any, error) { return renderings(ctx, all), nil })
	case "weights":
		answer, err = ask(in, func(names []string) (any, error) { return values(args[1], names) })
	default:
		return fmt.Errorf("unknown question %q", args[0])
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(answer)
}

// ask reads what a question is about and answers it.
func ask[T any](in io.Reader, answer func(T) (any, error)) (any, error) {
	var about T
	if err := json.NewDecoder(in).Decode(&about); err != nil {
		return nil, fmt.Errorf("reading standard input: %w", err)
	}
	return answer(about)
}

// logits returns those of every token of every row, or of the last alone,
// [row][token][VocabSize].
func logits(ctx context.Context, model string, adapter []string, rows [][]int32, last bool) ([][][]float32, error) {
	threads := runtime.GOMAXPROCS(0)
	m, err := decoder.Load(model, threads, decoder.Infer)
	if err != nil {
		return nil, err
	}
	for _, dir := range adapter {
		a, err := lora.Read(dir)
		if err != nil {
			return nil, err
		}
		if err := a.Attach(m, model, threads); err != nil {
			return nil, err
		}
	}
	scorer := m.NewScorer(threads)
	all := make([][][]float32, 0, len(rows))
	for _, ids := range rows {
		b, err := decoder.NewBatch(m.Config, ids, nil, nil)
		if err != nil {
			return nil, err
		}
		var wanted []int32
		for i := range ids {
			if !last || i == len(ids)-1 {
				wanted = append(wanted, int32(i))
			}
		}
		flat, err := scorer.Logits(ctx, b, wanted)
		if err != nil {
			return nil, err
		}
		row := make([][]float32, len(wanted))
		for i := range row {
			row[i] = flat[i*m.VocabSize : (i+1)*m.VocabSize]
		}
		all = append(all, row)
	}
	return all, nil
}

// encoded are the ids of texts, without and with the post-processor's tokens,
// and what the plain ones decode to.
type encoded struct {
	Plain   [][]int32 `json:"plain"`
	Special [][]int32 `json:"special"`
	Decoded []string  `json:"decoded"`
}

func encode(model string, texts []string) (encoded, error) {
	tok, err := token.Load(model)
	if err != nil {
		return encoded{}, err
	}
	e := encoded{Plain: [][]int32{}, Special: [][]int32{}, Decoded: []string{}}
	for _, text := range texts {
		plain := tok.AppendEncode([]int32{}, text, false)
		e.Plain = append(e.Plain, plain)
		e.Special = append(e.Special, tok.AppendEncode([]int32{}, text, true))
		e.Decoded = append(e.Decoded, tok.Decode(plain, false))
	}
	return e, nil
}

// values returns weights as pipe computes with them.
func values(model string, names []string) (map[string][]float32, error) {
	w, err := weights.Open(model)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	all := map[string][]float32{}
	for _, name := range names {
		if all[name], err = w.F32(name); err != nil {
			return nil, err
		}
	}
	return all, nil
}
