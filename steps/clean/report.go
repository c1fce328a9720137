package clean

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/clean"
)

// RemovedFile lies beside metrics.json and names samples, a JSON object a line.
const RemovedFile = "removed.jsonl"

// A sample is one record that was left out, or found and kept.
type sample struct {
	Reason     string  `json:"reason"`
	Action     string  `json:"action"` // "removed", "masked" or "reported"
	File       string  `json:"file"`
	Record     int64   `json:"record"`
	Detail     string  `json:"detail,omitempty"`
	Of         *origin `json:"of,omitempty"` // what a duplicate is one of
	Similarity float64 `json:"similarity,omitempty"`
	Text       string  `json:"text"` // its beginning
}

type origin struct {
	File   string `json:"file"`
	Record int64  `json:"record"`
}

// report counts what became of records.
type report struct {
	max     int // samples for each reason and action
	order   []string
	names   []string // of parts
	read    int64
	kept    int64
	changed int64
	capped  int64 // records with more candidates than are compared
	shared  int64 // contaminated records that were only reported
	parts   []int64
	removed map[string]int64
	pii     map[string]int64 // records with personal data, by kind
	samples []sample
	named   map[string]int // samples by reason and action
}

func newReport(p Params, parts []string) *report {
	return &report{
		max: p.Samples, order: asked(p), names: parts, parts: make([]int64, len(parts)),
		removed: map[string]int64{}, pii: map[string]int64{}, named: map[string]int{},
	}
}

// asked lists the reasons that parameters can give, in the order of looking.
func asked(p Params) (all []string) {
	add := func(reason string, ok bool) {
		if ok {
			all = append(all, reason)
		}
	}
	add(personal, p.PII != nil && slices.ContainsFunc(clean.PersonalKinds(), func(k string) bool { return p.PII.of(k) == "drop" }))
	add(length, p.Length != nil)
	add(nonLetters, p.Filters != nil && p.Filters.NonLetters > 0)
	add(repeatedLines, p.Filters != nil && p.Filters.RepeatedLines > 0)
	add(repeatedWords, p.Filters != nil && p.Filters.RepeatedWords > 0)
	add(language, p.Language != nil)
	add(contamination, p.Contamination != nil && p.Contamination.Action != "report")
	add(exact, p.Duplicates != nil && p.Duplicates.Exact)
	add(near, p.Duplicates != nil && p.Duplicates.Near != nil)
	return all
}

// metrics names the numbers of the report.
func metrics(raw json.RawMessage) []string {
	p, err := pipeline.DecodeParams[Params](raw)
	if err != nil {
		return nil // which Vet says
	}
	return slices.Sorted(maps.Keys(newReport(p, partNames(p.Split)).numbers(newJudge(p, nil).kinds)))
}

// look counts what was found in a record, whatever becomes of it.
func (r *report) look(j *judge, v *verdict) {
	r.read++
	if v.changed {
		r.changed++
	}
	for _, kind := range j.kinds {
		if v.found[kind] == 0 {
			continue
		}
		r.pii[kind]++
		if v.reason == personal {
			continue
		}
		action := "reported"
		if slices.Contains(j.masked, kind) {
			action = "masked"
		}
		r.sample(j, v, sample{Reason: personal, Action: action, Detail: fmt.Sprintf("%d × %s", v.found[kind], kind)})
	}
	r.overlap(j, v)
}

// overlap counts a contaminated record that stays.
func (r *report) overlap(j *judge, v *verdict) {
	if v.overlap != nil {
		r.shared++
		r.sample(j, v, sample{Reason: contamination, Action: "reported", Detail: v.detail})
	}
}

func (r *report) remove(j *judge, v *verdict, t *twin) {
	r.removed[v.reason]++
	s := sample{Reason: v.reason, Action: "removed", Detail: v.detail}
	if t != nil {
		s.Of, s.Similarity = &origin{t.of.File, t.of.Record}, t.similarity
	}
	r.sample(j, v, s)
}

// sample names a record, unless enough are named for the same reason.
func (r *report) sample(j *judge, v *verdict, s sample) {
	if r.named[s.Reason+s.Action] == r.max {
		return
	}
	r.named[s.Reason+s.Action]++
	s.File, s.Record, s.Text = v.record.Origin.File, v.record.Origin.Record, j.snippet(v.text)
	r.samples = append(r.samples, s)
}

func (r *report) keep(part int) {
	r.kept++
	r.parts[part]++
}

// numbers are the metrics of the report.
func (r *report) numbers(kinds []string) map[string]float64 {
	m := map[string]float64{"read": float64(r.read), "kept": float64(r.kept), "removed": float64(r.read - r.kept), "removedShare": 0}
	if r.read > 0 {
		m["removedShare"] = float64(r.read-r.kept) / float64(r.read)
	}
	for _, reason := range r.order {
		m["removed/"+reason] = float64(r.removed[reason])
	}
	for _, kind := range kinds {
		m["pii/"+kind] = float64(r.pii[kind])
	}
	m["changed"], m["contaminated"] = float64(r.changed), float64(r.shared+r.removed[contamination])
	for i, name := range r.names {
		m["records/"+name] = float64(r.parts[i])
	}
	return m
}

// reasons says what was left out, for people.
func (r *report) reasons() string {
	var all []string
	for _, reason := range r.order {
		if n := r.removed[reason]; n > 0 {
			all = append(all, fmt.Sprintf("%d %s", n, reason))
		}
	}
	if len(all) == 0 {
		return "nothing was left out"
	}
	return "left out " + strings.Join(all, ", ")
}

// field is the parameter that left out most.
func (r *report) field() string {
	most := r.order[0]
	for _, reason := range r.order {
		if r.removed[reason] > r.removed[most] {
			most = reason
		}
	}
	switch most {
	case exact:
		return "duplicates.exact"
	case near:
		return "duplicates.near"
	case nonLetters, repeatedLines, repeatedWords:
		return "filters." + most
	}
	return most
}

// lines are the first samples of what was left out for a reason, or for any.
func (r *report) lines(reason string) string {
	var all []string
	for _, s := range r.samples {
		if s.Action == "removed" && (reason == "" || s.Reason == reason) && len(all) < maxLines {
			all = append(all, s.String())
		}
	}
	return strings.Join(all, "\n")
}

// maxLines is how many records an error names.
const maxLines = 10

// logged is how many samples of each reason the log shows.
const logged = 3

// finish writes the report and tells the run of it.
func (r *report) finish(c *cleaner) error {
	c.t.Log.Info(fmt.Sprintf("%d of %d records stay; %s", r.kept, r.read, r.reasons()))
	if r.changed > 0 {
		c.t.Log.Info(fmt.Sprintf("%d records were normalized", r.changed))
	}
	shown := map[string]int{}
	for _, s := range r.samples {
		if shown[s.Reason+s.Action]++; shown[s.Reason+s.Action] <= logged {
			c.t.Log.Info(s.String())
		}
	}
	if r.capped > 0 {
		c.t.Log.Warn(fmt.Sprintf("%d records share n-grams with so many others that only some were compared", r.capped))
	}
	numbers := r.numbers(c.judge.kinds)
	for _, name := range slices.Sorted(maps.Keys(numbers)) {
		c.t.Emit(pipeline.Metric{Name: "clean/" + name, Value: numbers[name]})
	}
	return r.write(c.t.Out["report"], numbers)
}

func (s sample) String() string {
	line := fmt.Sprintf("%s: %s, record %d", s.Reason, s.File, s.Record)
	if s.Action != "removed" {
		line = s.Action + " " + line
	}
	if s.Detail != "" {
		line += ": " + s.Detail
	}
	if s.Of != nil {
		line += fmt.Sprintf(" is like %s, record %d (similarity %.3f)", s.Of.File, s.Of.Record, s.Similarity)
	}
	return line
}

func (r *report) write(dir string, numbers map[string]float64) error {
	metrics, err := json.MarshalIndent(numbers, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the report: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, pipeline.MetricsFile), append(metrics, '\n'), 0o666); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, s := range r.samples {
		if err := enc.Encode(s); err != nil {
			return fmt.Errorf("encoding the report: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, RemovedFile), b.Bytes(), 0o666); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
