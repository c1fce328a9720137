package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Shape says which fields of a Record are filled. One records artifact has one shape.
type Shape string

const (
	Messages         Shape = "messages"          // Messages and Tools
	PromptCompletion Shape = "prompt-completion" // Prompt and Completion
	Text             Shape = "text"              // Text
	Preference       Shape = "preference"        // Messages, Tools, Chosen and Rejected
	Judged           Shape = "judged"            // Messages and Tools, the last message an answer, and Desirable
	Segments         Shape = "segments"          // Segments
)

// Record is one training example.
//
// What turns records into tokens must use every field of a shape or refuse the
// shape: Judged holds answers that must not be learnt (a loss such as KTO's
// pushes away from them), so it is no conversation to train on as it is, and
// Segments come without a chat template.
type Record struct {
	Shape Shape

	Messages []Message // in order; of Preference what both answers follow
	Tools    string    // JSON list of the tools on offer, "" for none

	Chosen, Rejected []Message // the better and the worse continuation; Preference only

	Prompt, Completion string // PromptCompletion only

	Text string // Text only

	Desirable bool // whether the last message is a good answer; Judged only

	Segments []Segment // in order, at least one of them trained on; Segments only

	Origin Origin
}

// Message is one turn of a conversation.
type Message struct {
	Role      string // "system", "user", "assistant" or "tool"
	Content   string
	Name      string   // who speaks, or the tool that answers; "" for none
	ToolCalls string   // JSON list of {"type":"function","function":{"name","arguments"}}, "" for none
	Weight    *float64 // share of this message in the loss, 0 to 1; nil when not said

	// Reasoning is what an assistant thought before Content, "" for none: the
	// reasoning_content of chat templates. A template that does not write it
	// would lose it, which whoever renders must say.
	Reasoning  string
	ToolCallID string // the id of the call that a tool's message answers, "" for none
}

// Segment is a span of text that is tokenized as it stands, special tokens
// spelled out in it included. The spans follow each other without anything
// between; the labels of those that are not trained on are masked. A last
// segment that is trained on and does not spell a stop token at its end gets one.
type Segment struct {
	Text  string
	Train bool
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
	switch r.Shape {
	case Judged:
		hashString(h, strconv.FormatBool(r.Desirable))
	case Segments:
		hashLength(h, len(r.Segments))
		for _, segment := range r.Segments {
			hashString(h, strconv.FormatBool(segment.Train))
			hashString(h, segment.Text)
		}
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
		if m.Reasoning != "" || m.ToolCallID != "" { // no role is spelled so: older hashes stand
			hashString(h, "\x00reasoning and call")
			hashString(h, m.Reasoning)
			hashString(h, m.ToolCallID)
		}
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

// What a record, a message and a segment count beside their text.
const recordBytes, messageBytes, segmentBytes = 32, 32, 8

// size estimates the bytes r takes in a batch.
func (r Record) size() int {
	n := len(r.Tools) + len(r.Prompt) + len(r.Completion) + len(r.Text) + len(r.Origin.File) + recordBytes
	for _, messages := range [][]Message{r.Messages, r.Chosen, r.Rejected} {
		for i := range messages {
			m := &messages[i]
			n += len(m.Role) + len(m.Content) + len(m.Name) + len(m.ToolCalls) + len(m.Reasoning) + len(m.ToolCallID) + messageBytes
		}
	}
	for _, s := range r.Segments {
		n += len(s.Text) + segmentBytes
	}
	return n
}

// check reports what makes r unfit to be written with the given shape.
func (r Record) check(shape Shape) error {
	if r.Shape != shape {
		return wrongShape(r.Shape, shape)
	}
	if n := r.size(); n > maxRecordBytes {
		return tooLarge(n)
	}
	texts := []string{r.Tools, r.Prompt, r.Completion, r.Text, r.Origin.File}
	for _, m := range r.all() {
		texts = append(texts, m.Role, m.Content, m.Name, m.ToolCalls, m.Reasoning, m.ToolCallID)
	}
	for _, s := range r.Segments {
		texts = append(texts, s.Text)
	}
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return fmt.Errorf("the record's text is not valid UTF-8: %s", snippet(s))
		}
	}
	return nil
}

func wrongShape(shape, wanted Shape) error {
	return fmt.Errorf("a record of shape %q does not fit records of shape %q", shape, wanted)
}

func tooLarge(n int) error {
	return fmt.Errorf("the record holds %d bytes; at most %d are supported", n, maxRecordBytes)
}
