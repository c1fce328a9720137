// Command bench measures pipe against its budgets, each beside its peer in
// the same run, prints a table and writes build/bench.json. It ends with 0
// even when a budget is missed: the figure says so.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// A Result is one line of bench.json. Budget bounds Value or Ratio, as
// BudgetOn says: from below when Better is "higher", from above when "lower".
type Result struct {
	Name           string  `json:"name"`
	Value          float64 `json:"value"`
	Unit           string  `json:"unit"`
	Better         string  `json:"better"` // "higher" or "lower"
	Reference      string  `json:"reference,omitempty"`
	ReferenceValue float64 `json:"referenceValue,omitempty"`
	Ratio          float64 `json:"ratio,omitempty"`
	Budget         float64 `json:"budget,omitempty"`
	BudgetOn       string  `json:"budgetOn,omitempty"` // "value" or "ratio"
	OK             bool    `json:"ok"`
	Note           string  `json:"note,omitempty"` // why there is no figure
}

// judge fills in OK.
func (r Result) judge() Result {
	if r.Note != "" || r.Budget == 0 {
		r.OK = r.Note == ""
		return r
	}
	v := r.Value
	if r.BudgetOn == "ratio" {
		v = r.Ratio
	}
	r.OK = v >= r.Budget
	if r.Better == "lower" {
		r.OK = v <= r.Budget
	}
	return r
}

// A group measures several things that belong together.
type group struct {
	name string
	run  func(*lab) []Result
}

var groups = []group{
	{"start", start}, {"run", runs}, {"plan", plans}, {"plan", templates}, {"hash", hashes}, {"gemm", gemms}, {"gemm", bf16s}, {"quantize", quantizes}, {"convert", converts}, {"clean", cleans}, {"train", trains}, {"tokenize", tokenizes}, {"end-to-end", endToEnd},
}

func main() {
	only := flag.String("groups", "", "comma-separated groups to measure; all by default")
	out := flag.String("o", "build/bench.json", "where to write the figures")
	rounds := flag.Int("n", 7, "interleaved rounds of each measurement, at least 5")
	flag.Parse()
	if err := bench(*only, *out, max(5, *rounds)); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(only, out string, rounds int) error {
	l, err := newLab(rounds)
	if err != nil {
		return err
	}
	defer l.close()
	var results []Result
	for _, g := range groups {
		if only != "" && !strings.Contains(","+only+",", ","+g.name+",") {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring", g.name, "…")
		for _, r := range g.run(l) {
			results = append(results, r.judge())
		}
	}
	b, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(out, append(b, '\n'), 0o666); err != nil {
		return err
	}
	fmt.Println(l.machine())
	table(os.Stdout, results)
	return nil
}

func table(out io.Writer, results []Result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "name\tvalue\treference\tratio\tbudget\t")
	for _, r := range results {
		if r.Note != "" {
			fmt.Fprintf(w, "%s\t–\t%s\t\t\t%s\n", r.Name, r.Reference, r.Note)
			continue
		}
		ref, ratio, budget, verdict := "", "", "", ""
		if r.Reference != "" {
			ref = fmt.Sprintf("%s %.4g %s", r.Reference, r.ReferenceValue, r.Unit)
			ratio = fmt.Sprintf("%.2f", r.Ratio)
		}
		if r.Budget != 0 {
			sign := "≥"
			if r.Better == "lower" {
				sign = "≤"
			}
			budget = fmt.Sprintf("%s %s %g", r.BudgetOn, sign, r.Budget)
			if verdict = "ok"; !r.OK {
				verdict = "MISSED"
			}
		}
		fmt.Fprintf(w, "%s\t%.4g %s\t%s\t%s\t%s\t%s\n", r.Name, r.Value, r.Unit, ref, ratio, budget, verdict)
	}
	w.Flush()
}
