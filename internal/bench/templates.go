package main

import (
	"fmt"
	"strings"
)

// recipe is a template of ten steps.
const recipe = `package recipe

import "github.com/pipe-run/pipe/schemas"

#Template: T={
	prefix: schemas.#Prefix
	in: {files: schemas.#Files, model: schemas.#Model}
	rank:      (int & >=1 & <=512) | *16
	maxLength: (int & >=2) | *1024
	epochs:    (int & >=1) | *3
	steps: {
		"\(prefix)-chat": {kind: "convert", in: files: T.in.files, format: "alpaca", split: test: 0.1}
		"\(prefix)-tokens": {kind: "tokenize", in: {records: steps["\(prefix)-chat"].out.train, model: T.in.model}, maxLength: T.maxLength}
		"\(prefix)-small": {kind: "quantize", in: model: T.in.model, scheme: "nf4"}
		"\(prefix)-lora": {
			kind: "train", in: {model: steps["\(prefix)-small"].out.model, tokens: steps["\(prefix)-tokens"].out.tokens}
			lora: {rank: T.rank, alpha: 2 * T.rank}, epochs: T.epochs
		}
		"\(prefix)-before": {kind: "evaluate", in: {model: T.in.model, records: steps["\(prefix)-chat"].out.test}}
		"\(prefix)-after": {
			kind: "evaluate", in: {model: steps["\(prefix)-small"].out.model, adapter: steps["\(prefix)-lora"].out.adapter, records: steps["\(prefix)-chat"].out.test}
			gate: perplexity: <20
		}
		"\(prefix)-merged": {kind: "merge", in: {model: T.in.model, adapter: steps["\(prefix)-lora"].out.adapter}}
		"\(prefix)-check": {kind: "evaluate", in: {model: steps["\(prefix)-merged"].out.model, records: steps["\(prefix)-chat"].out.test}}
		"\(prefix)-q8": {kind: "quantize", in: model: steps["\(prefix)-merged"].out.model, scheme: "q8_0"}
		"\(prefix)-last": {kind: "evaluate", in: {model: steps["\(prefix)-q8"].out.model, records: steps["\(prefix)-chat"].out.test}}
	}
	out: {adapter: steps["\(prefix)-lora"].out.adapter, model: steps["\(prefix)-merged"].out.model}
}
`

// templates measures a pipeline of 50 uses of a template, 500 steps: checking
// it anew, and finding its compiled graph again. No registry can be reached
// meanwhile.
func templates(l *lab) []Result {
	const vet, warm = "plan/templates/vet-500", "plan/templates/warm-500"
	var b strings.Builder
	b.WriteString("package p\n\nimport \"bench.example.com/p/recipe\"\n\nname: \"templates\"\nsteps: {\n" +
		"\tbase: {kind: \"fetch\", as: \"model\", source: file: path: \"model\"}\n\tdata: {kind: \"fetch\", source: file: path: \"data\"}\n}\n")
	for i := range 50 {
		fmt.Fprintf(&b, "let t%d = recipe.#Template & {prefix: \"t%d\", in: {files: steps.data.out.files, model: steps.base.out.model}, rank: %d}\nsteps: t%d.steps\n", i, i, i+1, i)
	}
	for name, text := range map[string]string{
		"templates/cue.mod/module.cue": "module: \"bench.example.com/p@v0\"\nlanguage: version: \"v0.12.0\"\n",
		"templates/recipe/recipe.cue":  recipe,
		"templates/p.cue":              b.String(),
		"templates/model/config.json":  "{}\n",
		"templates/data":               "{}\n",
	} {
		if err := l.write(name, text); err != nil {
			return []Result{missing(vet, "s", "lower", "", err), missing(warm, "ms", "lower", "", err)}
		}
	}
	env := []string{"PIPE_CACHE=" + l.path("templates-cache"), "CUE_CACHE_DIR=" + l.path("templates-modules"), "CUE_REGISTRY=127.0.0.1:1+insecure"}
	var results []Result
	for _, c := range []struct {
		name, unit   string
		scale, limit float64
		args         []string
	}{
		{vet, "s", 1, 0.5, []string{l.pipe, "vet", "p.cue"}},
		{warm, "ms", 1000, 50, []string{l.pipe, "plan", "p.cue"}},
	} {
		cmd := command{dir: l.path("templates"), env: env, args: c.args}
		_, err := cmd.time() // what is kept between calls is there from now on
		v := 0.0
		if err == nil {
			v, err = l.alone(cmd.time)
		}
		if err != nil {
			results = append(results, missing(c.name, c.unit, "lower", "", err))
			continue
		}
		results = append(results, Result{Name: c.name, Value: c.scale * v, Unit: c.unit, Better: "lower", Budget: c.limit, BudgetOn: "value"})
	}
	return results
}
