package decoder

// ScoreBytes returns what a Scorer of the same model holds for batches of at
// most tokens tokens, all of which may be supervised.
func (s Spec) ScoreBytes(tokens int) int64 {
	s.Tokens, s.Rows = tokens, tokens
	s.SavedEmbed, s.SavedHead, s.SavedTokens = false, false, 0
	x := floatBytes * int64(tokens) * int64(s.Hidden)
	return x + s.scratchBytes() + s.valueBytes() + s.attentionBytes() + s.headBytes()
}
