package clean

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/clean"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// Reasons to leave a record out.
const (
	personal      = "pii"
	length        = "length"
	nonLetters    = "nonLetters"
	repeatedLines = "repeatedLines"
	repeatedWords = "repeatedWords"
	language      = "language"
	contamination = "contamination"
	exact         = "exactDuplicate"
	near          = "nearDuplicate"
)

// A verdict is what is known of a record from itself alone.
type verdict struct {
	record  dataset.Record // as it would stay
	text    string
	content [sha256.Size]byte
	changed bool // by normalizing
	found   map[string]int
	reason  string // to leave it out; "" for none so far
	detail  string // for people
	sketch  clean.Sketch
	overlap *clean.Overlap // more than is allowed, and only reported
}

// A judge makes verdicts. It is safe for concurrent use.
type judge struct {
	p         Params
	normal    clean.Normal
	kinds     []string // of personal data that are looked for
	masked    []string
	dropped   []string
	languages *clean.Languages
	hasher    *clean.Hasher
	tests     *clean.Tests
	testNames []string
}

func newJudge(p Params, tests []string) *judge {
	j := &judge{p: p, testNames: tests}
	if n := p.Normalize; n != nil {
		j.normal = clean.Normal(*n)
	}
	if p.PII != nil {
		for _, kind := range clean.PersonalKinds() {
			switch p.PII.of(kind) {
			case "":
				continue
			case "mask":
				j.masked = append(j.masked, kind)
			case "drop":
				j.dropped = append(j.dropped, kind)
			}
			j.kinds = append(j.kinds, kind)
		}
	}
	if p.Language != nil {
		j.languages = clean.NewLanguages()
	}
	if p.Duplicates != nil && p.Duplicates.Near != nil {
		n := p.Duplicates.Near
		j.hasher = clean.NewHasher(n.Similarity, n.NGram, n.Permutations)
	}
	if p.Contamination != nil {
		j.tests = clean.NewTests(p.Contamination.NGram)
	}
	return j
}

// judge looks at one record.
func (j *judge) judge(r dataset.Record) *verdict {
	v := &verdict{record: j.normalize(r)}
	v.changed = j.p.Normalize != nil && v.record.Hash() != r.Hash()
	j.personal(v)
	v.text = clean.Text(v.record)
	v.content = v.record.Hash()
	for _, look := range []func(*verdict){j.length, j.filters, j.language, j.contaminated} {
		if v.reason == "" {
			look(v)
		}
	}
	if v.reason == "" && j.hasher != nil {
		v.sketch = j.hasher.Sketch(v.text)
	}
	return v
}

// mend makes of a record that stays what stays of it.
func (j *judge) mend(r dataset.Record) *verdict {
	v := &verdict{record: j.normalize(r)}
	j.personal(v)
	v.text, v.content, v.reason, v.detail = clean.Text(v.record), v.record.Hash(), "", ""
	return v
}

func (j *judge) normalize(r dataset.Record) dataset.Record {
	if j.p.Normalize == nil {
		return r
	}
	return clean.Map(r, j.normal.Apply)
}

// personal counts personal data and masks what is to be masked.
func (j *judge) personal(v *verdict) {
	if len(j.kinds) == 0 {
		return
	}
	v.found = map[string]int{}
	v.record = clean.Map(v.record, func(text string) string {
		findings := clean.Personal(text, j.kinds)
		for _, f := range findings {
			v.found[f.Kind]++
		}
		return clean.Mask(text, slices.DeleteFunc(findings, func(f clean.Finding) bool { return !slices.Contains(j.masked, f.Kind) }))
	})
	for _, kind := range j.dropped {
		if n := v.found[kind]; n > 0 {
			v.reason, v.detail = personal, fmt.Sprintf("%d × %s", n, kind)
			return
		}
	}
}

func (j *judge) length(v *verdict) {
	l := j.p.Length
	if l == nil {
		return
	}
	n := clean.Length(v.text, l.Unit)
	if n < l.Min || l.Max > 0 && n > l.Max {
		v.reason, v.detail = length, fmt.Sprintf("%d %s", n, l.Unit)
	}
}

func (j *judge) filters(v *verdict) {
	f := j.p.Filters
	if f == nil {
		return
	}
	for _, filter := range []struct {
		reason string
		limit  float64
		share  func(string) float64
	}{
		{nonLetters, f.NonLetters, clean.NonLetters},
		{repeatedLines, f.RepeatedLines, clean.RepeatedLines},
		{repeatedWords, f.RepeatedWords, clean.RepeatedWords},
	} {
		if filter.limit == 0 {
			continue
		}
		if share := filter.share(v.text); share > filter.limit {
			v.reason, v.detail = filter.reason, fmt.Sprintf("%.3f", share)
			return
		}
	}
}

func (j *judge) language(v *verdict) {
	l := j.p.Language
	if l == nil {
		return
	}
	guess := j.languages.Tell(v.text)
	switch {
	case slices.Contains(l.Keep, guess.Language):
	case guess.Language == "" || guess.Confidence < l.MinConfidence:
		if l.Unknown == "drop" {
			v.reason, v.detail = language, "unknown"
		}
	default:
		v.reason, v.detail = language, fmt.Sprintf("%s, confidence %.2f", guess.Language, guess.Confidence)
	}
}

func (j *judge) contaminated(v *verdict) {
	if j.p.Contamination == nil || j.tests.Len() == 0 {
		return
	}
	j.compare(v, j.tests, j.testNames)
}

// compare notes an overlap with tests that is more than is allowed.
func (j *judge) compare(v *verdict, tests *clean.Tests, names []string) {
	o := tests.Overlap(v.text)
	if o.Shared == 0 || o.Share() <= j.p.Contamination.MaxOverlap {
		return
	}
	v.detail = fmt.Sprintf("%d of %d n-grams are in %s", o.Shared, o.Grams, names[o.Test])
	if j.p.Contamination.Action == "report" {
		v.overlap = &o
		return
	}
	v.reason = contamination
}

// maxSnippet bounds what the report quotes of a record, in characters.
const maxSnippet = 160

// snippet is the beginning of a text, without personal data of the kinds that
// are looked for.
func (j *judge) snippet(text string) string {
	const look = 4 * maxSnippet // a finding that begins in the snippet ends before that
	if len(text) > 4*look {
		text = strings.ToValidUTF8(text[:4*look], "")
	}
	runes := []rune(clean.Mask(text, clean.Personal(text, j.kinds)))
	if len(runes) <= maxSnippet {
		return string(runes)
	}
	return string(runes[:maxSnippet]) + "…"
}
