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
	metaLayout  = "pipe.layout"  // what the rows were read as and why; may be missing
)

// recordsSchema returns the columns of a shape:
//
//	messages:          messages: list<struct<role, content, name?, tool_calls?, weight?,
//	                   reasoning?, tool_call_id?>>, tools?
//	prompt-completion: prompt, completion
//	text:              text
//	preference:        prompt, chosen, rejected: lists as messages is one, tools?
//	judged:            messages, tools?, desirable
//	segments:          segments: list<struct<text, train>>
//
// each followed by origin: struct<file, record>. A question mark is a column
// that may hold nulls. Strings are utf8, weight is float64, record int64, train
// and desirable bool.
func recordsSchema(shape Shape, layout string) (*arrow.Schema, error) {
	return schemaOf(shape, layout, messagesType())
}

// firstSchema is the columns as pipe wrote them before messages had reasoning
// and tool_call_id.
func firstSchema(shape Shape) (*arrow.Schema, error) {
	return schemaOf(shape, "", firstMessagesType())
}

func schemaOf(shape Shape, layout string, messages arrow.DataType) (*arrow.Schema, error) {
	var fields []arrow.Field
	tools := arrow.Field{Name: "tools", Type: arrow.BinaryTypes.String, Nullable: true}
	switch shape {
	case Messages:
		fields = []arrow.Field{{Name: "messages", Type: messages}, tools}
	case Preference:
		fields = []arrow.Field{
			{Name: "prompt", Type: messages},
			{Name: "chosen", Type: messages},
			{Name: "rejected", Type: messages},
			tools,
		}
	case Judged:
		fields = []arrow.Field{
			{Name: "messages", Type: messages}, tools,
			{Name: "desirable", Type: arrow.FixedWidthTypes.Boolean},
		}
	case Segments:
		fields = []arrow.Field{{Name: "segments", Type: segmentsType()}}
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
	keys, values := []string{metaVersion, metaShape}, []string{"1", string(shape)}
	if layout != "" {
		keys, values = append(keys, metaLayout), append(values, layout)
	}
	meta := arrow.NewMetadata(keys, values)
	return arrow.NewSchema(fields, &meta), nil
}

// messagesType is a list of messages.
func messagesType() arrow.DataType {
	return arrow.ListOfNonNullable(arrow.StructOf(append(messageFields(),
		arrow.Field{Name: "reasoning", Type: arrow.BinaryTypes.String, Nullable: true},
		arrow.Field{Name: "tool_call_id", Type: arrow.BinaryTypes.String, Nullable: true},
	)...))
}

func firstMessagesType() arrow.DataType {
	return arrow.ListOfNonNullable(arrow.StructOf(messageFields()...))
}

func segmentsType() arrow.DataType {
	return arrow.ListOfNonNullable(arrow.StructOf(
		arrow.Field{Name: "text", Type: arrow.BinaryTypes.String},
		arrow.Field{Name: "train", Type: arrow.FixedWidthTypes.Boolean},
	))
}

func messageFields() []arrow.Field {
	return []arrow.Field{
		{Name: "role", Type: arrow.BinaryTypes.String},
		{Name: "content", Type: arrow.BinaryTypes.String},
		{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "tool_calls", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "weight", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	}
}
