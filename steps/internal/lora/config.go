// Package lora reads and writes LoRA adapters in the layout of the PEFT library
// and merges them into their base model.
//
// An adapter adds s·B·A to the weight W [out, in] of each module it targets,
// with A [rank, in], B [out, rank] and s = alpha/rank (alpha/√rank when
// rank-stabilised). Adapters that compute anything else are refused by name.
package lora

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/jsonfile"
)

// Files of an adapter directory.
const (
	ConfigFile  = "adapter_config.json"
	WeightsFile = "adapter_model.safetensors"
	CardFile    = "README.md"
)

// Bounds on what is read from an adapter's configuration.
const (
	maxConfigBytes = 1 << 20
	maxRank        = 1 << 14
	maxPatterns    = 1 << 12
	maxPatternLen  = 1 << 10
	maxTokens      = 1 << 20
)

// Config is what adapter_config.json says about the arithmetic.
type Config struct {
	Rank  int
	Alpha float64
	// RSLoRA scales by alpha/√rank instead of alpha/rank.
	RSLoRA bool
	// DoRA learns the lengths of the rows of W + s·B·A apart from their directions.
	DoRA bool
	// RankPattern and AlphaPattern override Rank and Alpha for the modules whose
	// path they match, as PEFT's regular expressions.
	RankPattern  map[string]int
	AlphaPattern map[string]float64
	// Dropout is what training left out of the input; it is off when a model is used.
	Dropout float64
	// ModulesToSave are the names of modules that are trained whole, and
	// TokenIndices the tokens whose embeddings are.
	ModulesToSave []string
	TokenIndices  []int32
	// Targets are the names of the adapted modules, as the file lists them.
	Targets []string
	// FanInFanOut says that the files of the base hold the adapted weights as
	// [in, out], as those of GPT-2 do. A and B are the same either way.
	FanInFanOut bool
	// BaseModel is the repository of the base model, or empty.
	BaseModel string
}

// rawConfig is the file as PEFT writes it. Fields that change the arithmetic
// and are not computed here are in refused.
type rawConfig struct {
	AlphaPattern  map[string]float64 `json:"alpha_pattern"`
	BaseModel     *string            `json:"base_model_name_or_path"`
	Bias          string             `json:"bias"`
	FanInFanOut   bool               `json:"fan_in_fan_out"`
	Init          json.RawMessage    `json:"init_lora_weights"`
	Alpha         *float64           `json:"lora_alpha"`
	Dropout       float64            `json:"lora_dropout"`
	ModulesToSave []string           `json:"modules_to_save"`
	PEFTType      string             `json:"peft_type"`
	Rank          *int               `json:"r"`
	RankPattern   map[string]int     `json:"rank_pattern"`
	Targets       json.RawMessage    `json:"target_modules"`
	TokenIndices  json.RawMessage    `json:"trainable_token_indices"`
	DoRA          bool               `json:"use_dora"`
	RSLoRA        bool               `json:"use_rslora"`
}

// refusedKeys are keys of PEFT whose presence, with anything but null, false or
// an empty value, means other arithmetic than W + s·B·A.
func refusedKeys() []string {
	return []string{
		"alora_invocation_tokens", "arrow_config", "kasa_config", "layer_replication", "lora_bias",
		"monteclora_config", "target_parameters", "use_bdlora", "use_qalora",
		"velora_config",
	}
}

// ReadConfig reads dir/adapter_config.json.
func ReadConfig(dir string) (Config, error) {
	path := filepath.Join(dir, ConfigFile)
	info, err := os.Stat(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading adapter: %w", err)
	}
	if info.Size() > maxConfigBytes {
		return Config{}, fmt.Errorf("%s is larger than %d bytes", ConfigFile, maxConfigBytes)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading adapter: %w", err)
	}
	c, err := ParseConfig(text)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", ConfigFile, err)
	}
	return c, nil
}

// ParseConfig reads the bytes of an adapter_config.json.
func ParseConfig(text []byte) (Config, error) {
	var keys map[string]json.RawMessage
	if err := jsonfile.Decode(text, &keys); err != nil {
		return Config{}, err
	}
	for _, k := range refusedKeys() {
		if !blank(keys[k]) {
			return Config{}, fmt.Errorf("%s is set: this adapter does more than add a low-rank product, which pipe does not compute", k)
		}
	}
	var raw rawConfig
	if err := jsonfile.Decode(text, &raw); err != nil {
		return Config{}, err
	}
	if err := raw.refuse(); err != nil {
		return Config{}, err
	}
	c := Config{
		Rank: 8, Alpha: 8, RSLoRA: raw.RSLoRA, DoRA: raw.DoRA,
		RankPattern: raw.RankPattern, AlphaPattern: raw.AlphaPattern, Dropout: raw.Dropout,
		FanInFanOut: raw.FanInFanOut, ModulesToSave: raw.ModulesToSave,
	}
	if raw.Rank != nil {
		c.Rank = *raw.Rank
	}
	if raw.Alpha != nil {
		c.Alpha = *raw.Alpha
	}
	if raw.BaseModel != nil {
		c.BaseModel = *raw.BaseModel
	}
	if err := c.readTargets(raw.Targets); err != nil {
		return Config{}, err
	}
	if err := c.readTokens(raw.TokenIndices); err != nil {
		return Config{}, err
	}
	return c, c.check()
}

// blank says that a value switches nothing on.
func blank(raw json.RawMessage) bool {
	switch s := string(bytes.TrimSpace(raw)); s {
	case "", "null", "false", "[]", "{}":
		return true
	}
	return false
}

// refuse names what this package does not compute.
func (r rawConfig) refuse() error {
	var init string
	_ = json.Unmarshal(r.Init, &init) // true and false leave it empty
	for _, kind := range []string{"pissa", "olora", "loftq", "corda", "lora_ga"} {
		if strings.HasPrefix(strings.ToLower(init), kind) {
			return fmt.Errorf("init_lora_weights is %q: such an adapter fits only the changed base it was trained with", init)
		}
	}
	switch {
	case r.PEFTType != "LORA":
		return fmt.Errorf("peft_type is %q, want \"LORA\"", r.PEFTType)
	case r.Bias != "" && r.Bias != "none":
		return fmt.Errorf("bias %q is not supported: want \"none\"", r.Bias)
	}
	return nil
}

// readTargets reads a list of names, or a single string, which is a regular
// expression or "all-linear". It serves information only: what is adapted is
// known from the tensors.
func (c *Config) readTargets(raw json.RawMessage) error {
	if blank(raw) {
		return nil
	}
	if err := json.Unmarshal(raw, &c.Targets); err == nil {
		slices.Sort(c.Targets)
		return nil
	}
	var one string
	if err := json.Unmarshal(raw, &one); err != nil {
		return fmt.Errorf("target_modules is neither a string nor a list of strings")
	}
	c.Targets = []string{one}
	return nil
}

// readTokens reads a list of ids, or an object with one such list, by the name of
// the embeddings.
func (c *Config) readTokens(raw json.RawMessage) error {
	if blank(raw) || json.Unmarshal(raw, &c.TokenIndices) == nil {
		return c.checkTokens()
	}
	var by map[string][]int32
	if err := json.Unmarshal(raw, &by); err != nil {
		return fmt.Errorf("trainable_token_indices is neither a list of ids nor lists by name")
	}
	if len(by) != 1 {
		return fmt.Errorf("trainable_token_indices names %d modules: pipe trains tokens of the embeddings, and of a head that is tied to them", len(by))
	}
	for _, c.TokenIndices = range by {
	}
	return c.checkTokens()
}

func (c *Config) checkTokens() error {
	if len(c.TokenIndices) > maxTokens {
		return fmt.Errorf("trainable_token_indices lists %d ids, want at most %d", len(c.TokenIndices), maxTokens)
	}
	seen := map[int32]bool{}
	for _, id := range c.TokenIndices {
		if id < 0 || seen[id] {
			return fmt.Errorf("trainable_token_indices: id %d is negative or comes twice", id)
		}
		seen[id] = true
	}
	return nil
}

// check bounds the numbers.
func (c Config) check() error {
	if err := checkRank("r", c.Rank); err != nil {
		return err
	}
	if math.IsNaN(c.Alpha) || math.IsInf(c.Alpha, 0) {
		return fmt.Errorf("lora_alpha is not finite")
	}
	if len(c.RankPattern)+len(c.AlphaPattern) > maxPatterns {
		return fmt.Errorf("more than %d rank and alpha patterns", maxPatterns)
	}
	for _, p := range sortedKeys(c.RankPattern) {
		if err := checkRank("rank_pattern "+p, c.RankPattern[p]); err != nil {
			return err
		}
		if _, err := pattern(p); err != nil {
			return fmt.Errorf("rank_pattern: %w", err)
		}
	}
	for _, p := range sortedKeys(c.AlphaPattern) {
		if _, err := pattern(p); err != nil {
			return fmt.Errorf("alpha_pattern: %w", err)
		}
	}
	return nil
}

func checkRank(what string, r int) error {
	if r < 1 || r > maxRank {
		return fmt.Errorf("%s is %d, want 1 to %d", what, r, maxRank)
	}
	return nil
}

// pattern compiles a key of rank_pattern as PEFT matches it: against the whole
// path or its end after a dot.
func pattern(key string) (*regexp.Regexp, error) {
	if len(key) > maxPatternLen {
		return nil, fmt.Errorf("a pattern of %d bytes", len(key))
	}
	return compile(`^(.*\.)?(`, key, `)$`)
}

// CheckPatterns refuses keys of a rank or alpha pattern that are no regular
// expressions.
func CheckPatterns[V any](patterns map[string]V) error {
	for _, key := range sortedKeys(patterns) {
		if _, err := pattern(key); err != nil {
			return err
		}
	}
	return nil
}

// For returns the rank of a module and the factor s on its product.
func (c Config) For(module string) (rank int, scale float32) {
	rank = override(c.RankPattern, module, c.Rank)
	alpha := override(c.AlphaPattern, module, c.Alpha)
	if c.RSLoRA {
		return rank, float32(alpha / math.Sqrt(float64(rank)))
	}
	return rank, float32(alpha / float64(rank))
}

// override returns the value of the first pattern, in sorted order, that
// matches the module.
func override[V any](patterns map[string]V, module string, otherwise V) V {
	for _, key := range sortedKeys(patterns) {
		if re, err := pattern(key); err == nil && re.MatchString(module) {
			return patterns[key]
		}
	}
	return otherwise
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
