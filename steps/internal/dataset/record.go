package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math"
	"slices"
	"unicode/utf8"
)

// Shape says which fields of a Record are filled. One records artifact has one shape.
type Shape string

const (
	Messages         Shape = "messages"          // Messages and Tools
	PromptCompletion Shape = "prompt-completion" // Prompt and Completion
	Text             Shape = "text"              // Text
	Preference       Shape = "preference"        // Messages, Tools, Chosen and Rejected
)

// Record is one training example.
type Record struct {
	Shape Shape

	Messages []Message // in order; of Preference what both answers follow
	Tools    string    // JSON list of the tools on offer, "" for none

	Chosen, Rejected []Message // the better and the worse continuation; Preference only

	Prompt, Completion string // PromptCompletion only

	Text string // Text only

	Origin Origin
}

// Message is one turn of a conversation.
type Message struct {
	Role      string // "system", "user", "assistant" or "tool"
	Content   string
	Name      string   // who speaks, or the tool that answers; "" for none
	ToolCalls string   // JSON list of {"type":"function","function":{"name","arguments"}}, "" for none
	Weight    *float64 // share of this message in the loss, 0 to 1; nil when not said
}

// Origin says where a record came from.
type Origin struct {
	File   string // slash-separated, relative to the artifact it was read from
	Record int64  // counted from 1 within File
}

// Hash returns the SHA-256 of the record's shape and content, without its
// origin. Every field is length-prefixed, so that no two records collide by
// moving text from one field to the next.
func (r Record) Hash() [sha256.Size]byte {
	h := sha256.New()
	hashString(h, string(r.Shape))
	hashMessages(h, r.Messages)
	if r.Shape == Preference {
		hashMessages(h, r.Chosen)
		hashMessages(h, r.Rejected)
	}
	for _, s := range []string{r.Tools, r.Prompt, r.Completion, r.Text} {
		hashString(h, s)
	}
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}

func hashMessages(h hash.Hash, messages []Message) {
	hashLength(h, len(messages))
	for _, m := range messages {
		hashString(h, m.Role)
		hashString(h, m.Content)
		hashString(h, m.Name)
		hashString(h, m.ToolCalls)
		weight := ""
		if m.Weight != nil {
			weight = fmt.Sprintf("%016x", math.Float64bits(*m.Weight))
		}
		hashString(h, weight)
	}
}

func hashString(h hash.Hash, s string) {
	hashLength(h, len(s))
	h.Write([]byte(s))
}

func hashLength(h hash.Hash, n int) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}

// all returns every message of r.
func (r Record) all() []Message {
	if r.Shape != Preference {
		return r.Messages
	}
	return slices.Concat(r.Messages, r.Chosen, r.Rejected)
}

// size estimates the bytes r takes in a batch.
func (r Record) size() int {
	n := len(r.Tools) + len(r.Prompt) + len(r.Completion) + len(r.Text) + len(r.Origin.File) + 32
	for _, m := range r.all() {
		n += len(m.Role) + len(m.Content) + len(m.Name) + len(m.ToolCalls) + 32
	}
	return n
}

// check reports what makes r unfit to be written with the given shape.
func (r Record) check(shape Shape) error {
	if r.Shape != shape {
		return fmt.Errorf("a record of shape %q does not fit records of shape %q", r.Shape, shape)
	}
	if n := r.size(); n > maxRecordBytes {
		return fmt.Errorf("the record holds %d bytes; at most %d are supported", n, maxRecordBytes)
	}
	texts := []string{r.Tools, r.Prompt, r.Completion, r.Text, r.Origin.File}
	for _, m := range r.all() {
		texts = append(texts, m.Role, m.Content, m.Name, m.ToolCalls)
	}
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return fmt.Errorf("the record's text is not valid UTF-8: %s", snippet(s))
		}
	}
	return nil
}
