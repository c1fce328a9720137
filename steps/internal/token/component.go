package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/pipe-run/pipe/steps/internal/token/regex"
	"golang.org/x/text/unicode/norm"
)

// The readers of this file turn the JSON of each stage into its Go value. What
// is not known is refused by name.

// maxNested bounds Sequences within Sequences.
const maxNested = 16

// component holds the members of all stages' components.
type component struct {
	Type string `json:"type"`

	Normalizers   []json.RawMessage `json:"normalizers"`
	PreTokenizers []json.RawMessage `json:"pretokenizers"`
	Processors    []json.RawMessage `json:"processors"`
	Decoders      []json.RawMessage `json:"decoders"`

	Prepend          string          `json:"prepend"`
	Pattern          json.RawMessage `json:"pattern"`
	Content          string          `json:"content"`
	StripLeft        *bool           `json:"strip_left"`
	StripRight       *bool           `json:"strip_right"`
	AddPrefixSpace   *bool           `json:"add_prefix_space"`
	UseRegex         *bool           `json:"use_regex"`
	IndividualDigits bool            `json:"individual_digits"`
	Behavior         string          `json:"behavior"`
	Invert           bool            `json:"invert"`
	Replacement      string          `json:"replacement"`
	PrependScheme    string          `json:"prepend_scheme"`
	Split            *bool           `json:"split"`
	Start            int             `json:"start"`
	Stop             int             `json:"stop"`
	Delimiter        string          `json:"delimiter"`
	Length           *int            `json:"length"`
	Charsmap         string          `json:"precompiled_charsmap"`
	CleanText        *bool           `json:"clean_text"`
	ChineseChars     *bool           `json:"handle_chinese_chars"`
	StripAccents     *bool           `json:"strip_accents"`
	Lowercase        *bool           `json:"lowercase"`
	Suffix           *string         `json:"suffix"`
	Prefix           *string         `json:"prefix"`
	Cleanup          *bool           `json:"cleanup"`
	PadToken         *string         `json:"pad_token"`
	WordDelimiter    *string         `json:"word_delimiter_token"`

	Single        []templatePiece           `json:"single"`
	SpecialTokens map[string]templateTokens `json:"special_tokens"`
	Sep           json.RawMessage           `json:"sep"`
	Cls           json.RawMessage           `json:"cls"`
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// isTrue is the value of an optional bool that is true by default.
func isTrue(b *bool) bool { return b == nil || *b }

// components flattens raw, and Sequences in it, into single components.
func components(stage string, raw json.RawMessage, depth int) ([]component, error) {
	if isNull(raw) {
		return nil, nil
	}
	if depth > maxNested {
		return nil, fmt.Errorf("%s: sequences are nested more than %d deep", stage, maxNested)
	}
	var c component
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", stage, err)
	}
	if c.Type != "Sequence" {
		return []component{c}, nil
	}
	var all []component
	for _, list := range [][]json.RawMessage{c.Normalizers, c.PreTokenizers, c.Processors, c.Decoders} {
		for _, member := range list {
			inner, err := components(stage, member, depth+1)
			if err != nil {
				return nil, err
			}
			all = append(all, inner...)
		}
	}
	return all, nil
}

// maxGrowth bounds how many times as long replacements can make a text, which
// chained ones would otherwise do exponentially.
const maxGrowth = 64

// growth returns how many times as long stages can make a text of some length.
func growth[stage any](stages []stage) int {
	times := 1
	for _, s := range stages {
		switch s := any(s).(type) {
		case replaceLiteral:
			times *= max(1, (len(s.new)+len(s.old)-1)/len(s.old))
		case prepend:
			times *= 1 + len(s)/8
		case replaceRegex:
			times *= 1 + len(s.new)
		case spell, wordPieceDecoder:
			times *= 2
		case *charsmap:
			times *= max(1, s.longest)
		}
		if times > maxGrowth {
			return times
		}
	}
	return times
}

func unsupported(stage string, c component) error {
	return fmt.Errorf("%s %q is not supported", stage, c.Type)
}

// pattern reads {"String": …} or {"Regex": …}.
func (c component) pattern() (literal, regex string, err error) {
	var p struct{ String, Regex *string }
	if err := json.Unmarshal(c.Pattern, &p); err != nil {
		var s string // the oldest files write a bare string
		if json.Unmarshal(c.Pattern, &s) != nil {
			return "", "", fmt.Errorf("%s: pattern: %w", c.Type, err)
		}
		p.String = &s
	}
	switch {
	case p.String != nil && *p.String != "":
		return *p.String, "", nil
	case p.Regex != nil && *p.Regex != "":
		return "", *p.Regex, nil
	}
	return "", "", fmt.Errorf("%s: the pattern is empty", c.Type)
}

func readNormalizer(raw json.RawMessage) (normalizer, error) {
	all, err := components("normalizer", raw, 0)
	if err != nil {
		return nil, err
	}
	var out normalizers
	for _, c := range all {
		var n normalizer
		switch c.Type {
		case "Prepend":
			n = prepend(c.Prepend)
		case "Replace":
			if n, err = c.replacement(); err != nil {
				return nil, fmt.Errorf("normalizer %w", err)
			}
		case "NFC":
			n = unicodeForm(norm.NFC)
		case "NFD":
			n = unicodeForm(norm.NFD)
		case "NFKC":
			n = unicodeForm(norm.NFKC)
		case "NFKD":
			n = unicodeForm(norm.NFKD)
		case "Lowercase":
			n = lowercase{}
		case "Strip":
			n = trimSpace{left: isTrue(c.StripLeft), right: isTrue(c.StripRight)}
		case "StripAccents":
			n = dropRunes(unicode.IsMark)
		case "Nmt":
			n = mapRunes(nmt)
		case "ByteLevel":
			n = spell{newByteLevel()}
		case "BertNormalizer":
			out = append(out, c.bert()...)
			continue
		case "Precompiled":
			if n, err = readCharsmap(c.Charsmap); err != nil {
				return nil, fmt.Errorf("normalizer Precompiled: %w", err)
			}
		default:
			return nil, unsupported("normalizer", c)
		}
		out = append(out, n)
	}
	if growth(out) > maxGrowth {
		return nil, fmt.Errorf("the normalizers can make text more than %d times as long", maxGrowth)
	}
	switch len(out) {
	case 0:
		return nil, nil
	case 1:
		return out[0], nil
	}
	return out, nil
}

// readPreTokenizer also tells whether pretokens are left as the bytes that the
// byte-level alphabet stands for, which it does when the last component writes
// it and raw says that the model reads bytes.
func readPreTokenizer(data json.RawMessage, raw bool) (splitter, bool, error) {
	all, err := components("pre-tokenizer", data, 0)
	if err != nil {
		return nil, false, err
	}
	var out splitters
	byteLevel := false
	for i, c := range all {
		s, err := readSplitter(c)
		if err != nil {
			return nil, false, err
		}
		out = append(out, s)
		if c.Type != "ByteLevel" {
			continue
		}
		if byteLevel = i == len(all)-1 && raw; !byteLevel {
			out = append(out, spell{newByteLevel()})
		}
	}
	if growth(out) > maxGrowth {
		return nil, false, fmt.Errorf("the pre-tokenizers can make text more than %d times as long", maxGrowth)
	}
	switch len(out) {
	case 0:
		return nil, false, nil
	case 1:
		return out[0], byteLevel, nil
	}
	return out, byteLevel, nil
}

func readSplitter(c component) (splitter, error) {
	switch c.Type {
	case "ByteLevel":
		return byteLevelSplit{prefixSpace: isTrue(c.AddPrefixSpace), regex: isTrue(c.UseRegex)}, nil
	case "Digits":
		return digitSplit{each: c.IndividualDigits}, nil
	case "Split":
		return readSplit(c)
	case "Punctuation":
		behavior := isolated
		if c.Behavior != "" {
			var err error
			if behavior, err = readBehavior(c.Behavior); err != nil {
				return nil, err
			}
		}
		return matchSplit{next: eachRune(isPunctuation), behavior: behavior}, nil
	case "Whitespace":
		return wordSplit{}, nil
	case "WhitespaceSplit":
		return matchSplit{next: eachRune(unicode.IsSpace), behavior: removed}, nil
	case "Metaspace":
		return readMetaspace(c)
	case "BertPreTokenizer":
		return splitters{
			matchSplit{next: eachRune(unicode.IsSpace), behavior: removed},
			matchSplit{next: eachRune(isPunctuation), behavior: isolated},
		}, nil
	case "CharDelimiterSplit":
		if utf8.RuneCountInString(c.Delimiter) != 1 {
			return nil, fmt.Errorf("pre-tokenizer CharDelimiterSplit: the delimiter %q is not one character", c.Delimiter)
		}
		return matchSplit{next: eachString(c.Delimiter), behavior: removed}, nil
	case "UnicodeScripts":
		return scriptSplit{}, nil
	case "FixedLength":
		length := 5
		if c.Length != nil {
			length = *c.Length
		}
		if length < 1 {
			return nil, fmt.Errorf("pre-tokenizer FixedLength: length %d is less than 1", length)
		}
		return lengthSplit(length), nil
	}
	return nil, unsupported("pre-tokenizer", c)
}

// readSplit reads a Split by a string or by a regular expression. The known
// ones match everything, so that isolating the matches and removing what is
// not one are the same.
func readSplit(c component) (splitter, error) {
	literal, pattern, err := c.pattern()
	if err != nil {
		return nil, fmt.Errorf("pre-tokenizer %w", err)
	}
	behavior, err := readBehavior(c.Behavior)
	if err != nil {
		return nil, err
	}
	if literal != "" {
		return matchSplit{next: eachString(literal), behavior: behavior, invert: c.Invert}, nil
	}
	if scan, ok := regexScanner(pattern); ok && (behavior == isolated || behavior == removed && c.Invert) {
		return scanSplit{scan}, nil
	}
	re, err := regex.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("pre-tokenizer Split: regular expression: %w", err)
	}
	return regexSplit{re, behavior, c.Invert}, nil
}

func readBehavior(name string) (behavior, error) {
	switch name {
	case "Removed":
		return removed, nil
	case "Isolated":
		return isolated, nil
	case "MergedWithPrevious":
		return mergedWithPrevious, nil
	case "MergedWithNext":
		return mergedWithNext, nil
	case "Contiguous":
		return contiguous, nil
	}
	return 0, fmt.Errorf("pre-tokenizer behavior %q is not supported", name)
}

// readMetaspace reads both the present form (prepend_scheme) and the old one
// (add_prefix_space).
func readMetaspace(c component) (metaspace, error) {
	m := metaspace{char: c.Replacement, cut: isTrue(c.Split)}
	if m.char == "" {
		m.char = "▁"
	}
	if utf8.RuneCountInString(m.char) != 1 {
		return m, fmt.Errorf("replacement %q of Metaspace is not one character", m.char)
	}
	if c.AddPrefixSpace != nil && !*c.AddPrefixSpace && c.PrependScheme != "" && c.PrependScheme != "never" {
		return m, fmt.Errorf("add_prefix_space and prepend_scheme %q of Metaspace contradict each other", c.PrependScheme)
	}
	switch c.PrependScheme {
	case "always":
		m.always = true
	case "first":
		m.first = true
	case "never":
	case "":
		m.always = isTrue(c.AddPrefixSpace)
	default:
		return m, fmt.Errorf("prepend_scheme %q of Metaspace is not supported", c.PrependScheme)
	}
	return m, nil
}

func readDecoder(raw json.RawMessage, alphabet *byteLevel) ([]decoder, error) {
	all, err := components("decoder", raw, 0)
	if err != nil {
		return nil, err
	}
	var out []decoder
	for _, c := range all {
		var d decoder
		switch c.Type {
		case "ByteLevel":
			d = alphabet
		case "Replace":
			if d, err = c.replacement(); err != nil {
				return nil, fmt.Errorf("decoder %w", err)
			}
		case "ByteFallback":
			d = byteFallback{}
		case "Fuse":
			d = fuse{}
		case "Strip":
			if c.Content == "" {
				return nil, errors.New("decoder Strip without content")
			}
			d = stripChar{c.Content, c.Start, c.Stop}
		case "Metaspace":
			if d, err = readMetaspace(c); err != nil {
				return nil, fmt.Errorf("decoder: %w", err)
			}
		case "BPEDecoder", "WordPiece", "CTC":
			if d, err = c.wordDecoder(); err != nil {
				return nil, fmt.Errorf("decoder %s: %w", c.Type, err)
			}
		default:
			return nil, unsupported("decoder", c)
		}
		out = append(out, d)
	}
	if growth(out) > maxGrowth {
		return nil, fmt.Errorf("the decoders can make text more than %d times as long", maxGrowth)
	}
	return out, nil
}
