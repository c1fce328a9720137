package dataset

import (
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
)

// Limits of what this package writes and reads back.
const (
	// batchRows is the number of rows in every record batch but the last, as
	// Hugging Face datasets writes them.
	batchRows = 1000

	// batchBytes ends a batch early, so that neither side holds more than about
	// this much, and one record, in memory.
	batchBytes = 16 << 20

	// maxRecordBytes bounds one record, and so what a reader must hold.
	maxRecordBytes = 256 << 20
)

// recordsFile is the one file of a records artifact: an Arrow IPC stream (not
// the file format, so that it can be written and read front to back, as Hugging
// Face datasets does).
const recordsFile = "data-00000.arrow"

// Keys of the schema metadata of recordsFile.
const (
	metaVersion = "pipe.records" // "1"
	metaShape   = "pipe.shape"   // a Shape
)

// recordsSchema returns the columns of a shape:
//
//	messages:          messages: list<struct<role, content, name?, tool_calls?, weight?>>, tools?
//	prompt-completion: prompt, completion
//	text:              text
//	preference:        prompt, chosen, rejected: lists as messages is one, tools?
//
// each followed by origin: struct<file, record>. A question mark is a column
// that may hold nulls. Strings are utf8, weight is float64, record int64.
func recordsSchema(shape Shape) (*arrow.Schema, error) {
	var fields []arrow.Field
	switch shape {
	case Messages:
		fields = []arrow.Field{
			{Name: "messages", Type: messagesType()},
			{Name: "tools", Type: arrow.BinaryTypes.String, Nullable: true},
		}
	case Preference:
		fields = []arrow.Field{
			{Name: "prompt", Type: messagesType()},
			{Name: "chosen", Type: messagesType()},
			{Name: "rejected", Type: messagesType()},
			{Name: "tools", Type: arrow.BinaryTypes.String, Nullable: true},
		}
	case PromptCompletion:
		fields = []arrow.Field{
			{Name: "prompt", Type: arrow.BinaryTypes.String},
			{Name: "completion", Type: arrow.BinaryTypes.String},
		}
	case Text:
		fields = []arrow.Field{{Name: "text", Type: arrow.BinaryTypes.String}}
	default:
		return nil, fmt.Errorf("unknown shape %q of records", shape)
	}
	fields = append(fields, arrow.Field{Name: "origin", Type: arrow.StructOf(
		arrow.Field{Name: "file", Type: arrow.BinaryTypes.String},
		arrow.Field{Name: "record", Type: arrow.PrimitiveTypes.Int64},
	)})
	meta := arrow.NewMetadata([]string{metaVersion, metaShape}, []string{"1", string(shape)})
	return arrow.NewSchema(fields, &meta), nil
}

// messagesType is a list of messages.
func messagesType() arrow.DataType {
	return arrow.ListOfNonNullable(arrow.StructOf(
		arrow.Field{Name: "role", Type: arrow.BinaryTypes.String},
		arrow.Field{Name: "content", Type: arrow.BinaryTypes.String},
		arrow.Field{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
		arrow.Field{Name: "tool_calls", Type: arrow.BinaryTypes.String, Nullable: true},
		arrow.Field{Name: "weight", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	))
}
