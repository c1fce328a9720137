package gguf

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// TokenizerFiles are the files of a Hugging Face tokenizer, as JSON.
type TokenizerFiles struct {
	Tokenizer  []byte // tokenizer.json
	Config     []byte // tokenizer_config.json
	Generation []byte // generation_config.json
}

// mostTokens bounds a vocabulary that no embedding bounds.
const mostTokens = 1 << 22

// Tokenizer returns the tokenizer in the file's metadata, whatever the model is.
func (f *File) Tokenizer() (TokenizerFiles, error) {
	v, err := f.vocabulary(mostTokens)
	if err != nil {
		return TokenizerFiles{}, err
	}
	t, err := v.tokenizer()
	if err != nil {
		return TokenizerFiles{}, err
	}
	var files TokenizerFiles
	for _, file := range []struct {
		to      *[]byte
		content any
	}{{&files.Tokenizer, t}, {&files.Config, v.tokenizerConfig(0)}, {&files.Generation, v.generation()}} {
		if *file.to, err = json.Marshal(file.content); err != nil {
			return TokenizerFiles{}, err
		}
	}
	return files, nil
}

// wordPiece completes a tokenizer of BERT's kind. Words begin with a space in
// GGUF and pieces that go on with nothing; in tokenizer.json it is nothing and
// "##". llama.cpp ignores case, and so do its models.
func (v *vocabulary) wordPiece(t *tokenizerFile) error {
	if v.unk == nil {
		return errors.New("no unknown token")
	}
	tokens := make([]string, len(v.tokens))
	for id, token := range v.tokens {
		switch {
		case v.types[id] != tokenNormal:
			tokens[id] = token
		case strings.HasPrefix(token, space):
			tokens[id] = strings.TrimPrefix(token, space)
		default:
			tokens[id] = "##" + token
		}
	}
	t.Normalizer = object{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": nil, "lowercase": true}
	t.PreTokenizer = object{"type": "BertPreTokenizer"}
	t.Decoder = object{"type": "WordPiece", "prefix": "##", "cleanup": true}
	t.Model = object{"type": "WordPiece", "unk_token": *v.text(v.unk), "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": orderedVocab(tokens)}
	if v.cls == nil || v.sep == nil {
		return nil
	}
	pair := func(id int) []any { return []any{v.tokens[id], id} }
	t.PostProcessor = object{"type": "BertProcessing", "cls": pair(*v.cls), "sep": pair(*v.sep)}
	return nil
}

// unigram completes a tokenizer of T5's kind, as transformers converts one.
func (v *vocabulary) unigram(t *tokenizerFile) error {
	if v.unk == nil {
		return errors.New("no unknown token")
	}
	normalizers := []object{{"type": "Replace", "pattern": object{"Regex": " {2,}"}, "content": " "}}
	if len(v.charsmap) > 0 {
		encoded := base64.StdEncoding.EncodeToString(v.charsmap)
		normalizers = append([]object{{"type": "Precompiled", "precompiled_charsmap": encoded}}, normalizers...)
	}
	scheme := "never"
	if v.addSpace {
		scheme = "always"
	}
	metaspace := object{"type": "Metaspace", "replacement": space, "prepend_scheme": scheme, "split": true}
	t.Normalizer = object{"type": "Sequence", "normalizers": normalizers}
	t.PreTokenizer, t.Decoder = metaspace, metaspace
	pieces := make([][2]any, len(v.tokens))
	for id, token := range v.tokens {
		pieces[id] = [2]any{token, v.scores[id]}
	}
	t.Model = object{"type": "Unigram", "unk_id": *v.unk, "vocab": pieces, "byte_fallback": false}
	return nil
}
