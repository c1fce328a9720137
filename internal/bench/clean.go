package main

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed peer/near_duplicates.py
var nearSource string

const (
	nearName = "clean/near"
	// nearRows is how many records are looked through; every fifth is one before
	// it with a word changed.
	nearRows = 20_000
	// nearSmall and nearLarge are records between which memory may grow by what
	// docs/data.md says a record takes.
	nearSmall, nearLarge = 50_000, 150_000
)

// Bytes that a record takes in memory, as docs/data.md says.
const (
	nearBytes  = 1800
	exactBytes = 300
	mixBytes   = 200
)

const cleanPipeline = `name: "clean"
steps: {
	rows: {kind: "fetch", source: file: path: "rows.jsonl"}
	text: {kind: "convert", in: files: steps.rows.out.files, format: "text"}
	step: %s
}
`

// The steps that are measured.
const (
	nearStep  = `{kind: "clean", in: records: steps.text.out.records, duplicates: {near: {similarity: 0.8, ngram: 5, permutations: 128}}, samples: 0}`
	exactStep = `{kind: "clean", in: records: steps.text.out.records, duplicates: {}, samples: 0}`
	mixStep   = `{kind: "mix", in: {a: steps.text.out.records, b: steps.text.out.records}}`
)

// cleans measures near-duplicates left out of a dataset, reading and storing
// included, beside datasketch looking for them; and by how much the memory of
// clean and mix grows with a record, beside what is documented.
func cleans(l *lab) []Result {
	r := Result{Name: nearName, Unit: "records/s", Better: "higher", Reference: "datasketch", Budget: 5, BudgetOn: "ratio"}
	return []Result{
		l.nearSpeed(r),
		l.growth(nearName+"/memory", nearStep, nearBytes, 1),
		l.growth("clean/exact/memory", exactStep, exactBytes, 1),
		l.growth("mix/memory", mixStep, mixBytes, 2),
	}
}

// texts writes records of 80 words on average. Every fifth is one of the hundred
// before it with one word changed.
func (l *lab) texts(rows int) error {
	random := rand.New(rand.NewPCG(11, 12))
	word := func() string {
		const letters = "etaoinshrdlucmfw"
		w := make([]byte, 3+random.IntN(7))
		for i := range w {
			w[i] = letters[random.IntN(len(letters))]
		}
		return string(w)
	}
	vocab := make([]string, 5000)
	for i := range vocab {
		vocab[i] = word()
	}
	if err := l.write("clean/rows.jsonl", ""); err != nil {
		return err
	}
	f, err := os.Create(l.path("clean/rows.jsonl"))
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	var recent [][]string
	for i := range rows {
		var words []string
		if i%5 == 4 {
			words = append(words, recent[random.IntN(len(recent))]...)
			words[random.IntN(len(words))] = word()
		} else {
			for range 60 + random.IntN(41) {
				words = append(words, vocab[random.IntN(len(vocab))])
			}
			if recent = append(recent, words); len(recent) > 100 {
				recent = recent[1:]
			}
		}
		line, err := json.Marshal(map[string]string{"text": strings.Join(words, " ")})
		if err != nil {
			return err
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return errors.Join(out.Flush(), f.Close())
}

// cleanCommand is a run of a step in an empty cache.
func (l *lab) cleanCommand(step string) (command, error) {
	cache := l.path("clean/cache")
	if err := l.write("clean/clean.cue", fmt.Sprintf(cleanPipeline, step)); err != nil {
		return command{}, err
	}
	if err := l.run("chmod", "-R", "u+w", l.path("clean")); err != nil {
		return command{}, err
	}
	c := l.cmd(l.path("clean"), l.pipe, "run", "clean.cue")
	c.env = []string{"PIPE_CACHE=" + cache}
	return c, os.RemoveAll(cache)
}

// nearSpeed times both on the same records. datasketch, which compares no texts,
// misses some duplicates; pipe must find at least as many.
func (l *lab) nearSpeed(r Result) Result {
	peer, err := l.nearPeer()
	if err == nil {
		defer peer.close()
		err = l.texts(nearRows)
	}
	if err != nil {
		r.Note = err.Error()
		return r
	}
	path := l.path("clean/rows.jsonl")
	a, b, ratio, err := l.pair(func() (float64, error) {
		c, err := l.cleanCommand(nearStep)
		if err != nil {
			return 0, err
		}
		return c.time()
	}, func() (float64, error) { return peer.ask(path) })
	if err == nil {
		err = l.nearFound(peer, path)
	}
	if err != nil {
		r.Note = err.Error()
		return r
	}
	r.Value, r.ReferenceValue, r.Ratio = nearRows/a, nearRows/b, 1/ratio
	return r
}

func (l *lab) nearPeer() (*server, error) {
	interpreter, err := filepath.Abs(python)
	if err != nil {
		return nil, err
	}
	if exec.Command(interpreter, "-c", "import datasketch").Run() != nil {
		return nil, errors.New("datasketch is not installed (make interop installs it)")
	}
	if err := l.write("near_duplicates.py", nearSource); err != nil {
		return nil, err
	}
	return serve(interpreter, l.path("near_duplicates.py"), "0.8", "128", "5")
}

// nearFound compares how many the last run left out with what the peer finds.
func (l *lab) nearFound(peer *server, path string) error {
	theirs, err := peer.ask("count " + path)
	if err != nil {
		return err
	}
	report := l.path("clean/report")
	if err := os.RemoveAll(report); err != nil {
		return err
	}
	get := l.cmd(l.path("clean"), l.pipe, "get", "clean.cue", "step.report", report)
	get.env = []string{"PIPE_CACHE=" + l.path("clean/cache")}
	if _, err := get.time(); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(report, "metrics.json"))
	if err != nil {
		return err
	}
	metrics := map[string]any{}
	if err := json.Unmarshal(text, &metrics); err != nil {
		return err
	}
	ours, _ := metrics["removed/nearDuplicate"].(float64)
	if ours < theirs || ours < nearRows/5*0.98 {
		return fmt.Errorf("pipe leaves out %.0f of %d near-duplicates, datasketch finds %.0f", ours, nearRows/5, theirs)
	}
	return nil
}

// growth measures by how many bytes a record the largest process of a run grows,
// and compares them with what is documented: up to a fifth more is the machine's.
// A step may read each row several times.
func (l *lab) growth(name, step string, documented float64, times int) Result {
	r := Result{
		Name: name, Unit: "bytes/record", Better: "lower", Reference: "documented", ReferenceValue: documented, Budget: 1.2, BudgetOn: "ratio",
	}
	var small, large float64
	err := l.texts(nearSmall)
	if err == nil {
		small, err = l.peak(step)
	}
	if err == nil {
		err = l.texts(nearLarge)
	}
	if err == nil {
		large, err = l.peak(step)
	}
	if err != nil {
		r.Note = err.Error()
		return r
	}
	r.Value = (large - small) / float64((nearLarge-nearSmall)*times)
	r.Ratio = r.Value / documented
	return r
}

// peak is the most resident bytes of a process of a run in an empty cache.
func (l *lab) peak(step string) (float64, error) {
	c, err := l.cleanCommand(step)
	if err != nil {
		return 0, err
	}
	return c.peak()
}
