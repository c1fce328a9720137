// Package tensorboard writes scalars as an event file of TensorBoard.
//
// The file is a TFRecord file: for every record its length (8 bytes,
// little-endian), the masked CRC-32C of that, the record, and the masked CRC-32C
// of the record. A record is a message Event (tensorflow/core/util/event.proto),
// the first of which names the version of the format.
package tensorboard

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// A Scalar is one measured number.
type Scalar struct {
	Tag   string // such as "train/loss"
	Step  int64
	Value float64 // stored as float32, as TensorBoard does
	Time  time.Time
}

// FileName is what TensorBoard expects a file begun at start to be called.
func FileName(start time.Time) string {
	return fmt.Sprintf("events.out.tfevents.%010d.pipe", start.Unix())
}

// Fields of the messages Event, Summary and Summary.Value.
const (
	eventTime    = 1 // double, seconds since 1970
	eventStep    = 2
	eventVersion = 3
	eventSummary = 5
	summaryValue = 1
	valueTag     = 1
	valueSimple  = 2 // float
)

// Write writes the scalars in the order given, after the version, as of start.
func Write(w io.Writer, start time.Time, scalars []Scalar) error {
	version := appendTime(nil, start)
	version = protowire.AppendTag(version, eventVersion, protowire.BytesType)
	version = protowire.AppendString(version, "brain.Event:2")
	out := appendRecord(nil, version)
	for _, s := range scalars {
		out = appendRecord(out, s.event())
	}
	_, err := w.Write(out)
	return err
}

func appendTime(b []byte, t time.Time) []byte {
	b = protowire.AppendTag(b, eventTime, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, math.Float64bits(float64(t.UnixNano())/1e9))
}

// event is the message Event that holds s.
func (s Scalar) event() []byte {
	value := protowire.AppendTag(nil, valueTag, protowire.BytesType)
	value = protowire.AppendString(value, s.Tag)
	value = protowire.AppendTag(value, valueSimple, protowire.Fixed32Type)
	value = protowire.AppendFixed32(value, math.Float32bits(float32(s.Value)))
	summary := protowire.AppendTag(nil, summaryValue, protowire.BytesType)
	summary = protowire.AppendBytes(summary, value)
	b := appendTime(nil, s.Time)
	b = protowire.AppendTag(b, eventStep, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(s.Step))
	b = protowire.AppendTag(b, eventSummary, protowire.BytesType)
	return protowire.AppendBytes(b, summary)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendRecord(b, record []byte) []byte {
	length := binary.LittleEndian.AppendUint64(nil, uint64(len(record)))
	b = append(b, length...)
	b = binary.LittleEndian.AppendUint32(b, masked(length))
	b = append(b, record...)
	return binary.LittleEndian.AppendUint32(b, masked(record))
}

// masked is a checksum that may itself stand in data that is checksummed
// (tensorflow/core/lib/hash/crc32c.h).
func masked(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}
