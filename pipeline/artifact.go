package pipeline

// An Artifact is an immutable tree of files in a [Store]. Root is the digest
// of its root [Directory]; Size is the sum of its files' sizes, in bytes.
type Artifact struct {
	Type string `json:"type"`
	Root Digest `json:"digest"`
	Size int64  `json:"size"`
}

// The types of artifacts. A wire carries exactly one of them.
const (
	TypeFiles   = "files"   // as fetched
	TypeModel   = "model"   // Hugging Face layout: config, tokenizer, safetensors
	TypeAdapter = "adapter" // PEFT layout and training.jsonl
	TypeRecords = "records" // Arrow IPC of conversations, prompts or texts
	TypeTokens  = "tokens"  // a Hugging Face datasets directory
	TypeMetrics = "metrics" // metrics.json and rows
	TypeGGUF    = "gguf"    // one GGUF file
	TypeReport  = "report"  // a page for people

	TypeTokenizer = "tokenizer" // Hugging Face layout, of a model without weights
)

// MetricsFile is the file of a metrics artifact that gates are checked on: a
// JSON object of numbers.
const MetricsFile = "metrics.json"
