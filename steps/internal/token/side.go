package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// side holds what the files beside tokenizer.json say.
type side struct {
	Class          string                `json:"tokenizer_class"`
	BOSToken       tokenName             `json:"bos_token"`
	EOSToken       tokenName             `json:"eos_token"`
	UnkToken       tokenName             `json:"unk_token"`
	AddBOS         *bool                 `json:"add_bos_token"`
	AddEOS         *bool                 `json:"add_eos_token"`
	AddPrefixSpace bool                  `json:"add_prefix_space"`
	Added          map[string]addedToken `json:"added_tokens_decoder"`

	bosIDs, eosIDs []int32 // from generation_config.json, then config.json
}

// tokenName is a token given as a string or as an object with its content.
type tokenName string

func (n *tokenName) UnmarshalJSON(data []byte) error {
	var s *string
	if err := json.Unmarshal(data, &s); err == nil {
		if s != nil {
			*n = tokenName(*s)
		}
		return nil
	}
	var object struct {
		Content string `json:"content"`
	}
	if err := json.Unmarshal(data, &object); err != nil {
		return errors.New("a token is neither a string nor an object with content")
	}
	*n = tokenName(object.Content)
	return nil
}

// idList is an id, a list of ids, or null.
type idList []int32

func (l *idList) UnmarshalJSON(data []byte) error {
	var one *int32
	if err := json.Unmarshal(data, &one); err == nil {
		if one != nil {
			*l = idList{*one}
		}
		return nil
	}
	var many []int32
	if err := json.Unmarshal(data, &many); err != nil {
		return errors.New("an id is neither a number nor a list of numbers")
	}
	*l = many
	return nil
}

// loadSide reads the files beside tokenizer.json; each may be absent.
func loadSide(dir string) (*side, error) {
	s := &side{}
	if err := readOptional(dir, "tokenizer_config.json", s); err != nil {
		return nil, err
	}
	var names struct {
		BOS tokenName `json:"bos_token"`
		EOS tokenName `json:"eos_token"`
	}
	if err := readOptional(dir, "special_tokens_map.json", &names); err != nil {
		return nil, err
	}
	if s.BOSToken == "" {
		s.BOSToken = names.BOS
	}
	if s.EOSToken == "" {
		s.EOSToken = names.EOS
	}
	for _, name := range []string{"generation_config.json", "config.json"} {
		var ids struct {
			BOS idList `json:"bos_token_id"`
			EOS idList `json:"eos_token_id"`
		}
		if err := readOptional(dir, name, &ids); err != nil {
			return nil, err
		}
		s.bosIDs, s.eosIDs = append(s.bosIDs, ids.BOS...), append(s.eosIDs, ids.EOS...)
	}
	return s, nil
}

func readOptional(dir, name string, v any) error {
	err := readJSON(dir, name, v)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// applySide settles BOS, EOS and the stop ids, and for the classes whose
// add_bos_token and add_eos_token replace the post-processor, replaces it.
func (t *Tokenizer) applySide(s *side) error {
	var err error
	if t.bos, err = t.named("bos_token", s.BOSToken, s.bosIDs); err != nil {
		return err
	}
	if t.eos, err = t.named("eos_token", s.EOSToken, s.eosIDs); err != nil {
		return err
	}
	if t.eos >= 0 {
		t.stops = append(t.stops, t.eos)
	}
	for _, id := range s.eosIDs {
		if _, ok := t.Piece(id); !ok {
			return fmt.Errorf("eos_token_id %d of the model's configuration is not in the vocab", id)
		}
		t.stops = append(t.stops, id)
	}
	t.stops = sorted(t.stops)
	if !replacesPost(s.Class) || s.AddBOS == nil && s.AddEOS == nil {
		return nil
	}
	var w wrap
	if isTrue(s.AddBOS) {
		if t.bos < 0 {
			return errors.New("tokenizer_config.json has add_bos_token but no bos_token")
		}
		w.before = []int32{t.bos}
	}
	if s.AddEOS != nil && *s.AddEOS {
		if t.eos < 0 {
			return errors.New("tokenizer_config.json has add_eos_token but no eos_token")
		}
		w.after = []int32{t.eos}
	}
	t.post = []wrap{w}
	return nil
}

// replacesPost tells whether transformers builds the post-processor of a class
// from add_bos_token and add_eos_token, whatever tokenizer.json says.
func replacesPost(class string) bool {
	switch strings.TrimSuffix(class, "Fast") {
	case "LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer":
		return true
	}
	return false
}

// named returns the id of a token given by its piece, or else the first of ids;
// -1 when there is neither.
func (t *Tokenizer) named(what string, name tokenName, ids []int32) (int32, error) {
	if name != "" {
		id, ok := t.ids[string(name)]
		if !ok {
			return -1, fmt.Errorf("%s %q is not in the vocab", what, string(name))
		}
		return id, nil
	}
	if len(ids) == 0 {
		return -1, nil
	}
	if _, ok := t.Piece(ids[0]); !ok {
		return -1, fmt.Errorf("%s_id %d is not in the vocab", what, ids[0])
	}
	return ids[0], nil
}

// addedTokens returns added_tokens_decoder in order of ids.
func (s *side) addedTokens() ([]addedToken, error) {
	byID := map[int32]addedToken{}
	var ids []int32
	for key, token := range s.Added {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("tokenizer_config.json: added_tokens_decoder: %q is not an id", key)
		}
		token.ID = int32(id)
		byID[token.ID] = token
		ids = append(ids, token.ID)
	}
	var out []addedToken
	for _, id := range sorted(ids) {
		out = append(out, byID[id])
	}
	return out, nil
}
