package dataset

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow/float16"
)

// value converts a cell by the column's logical type. Dates, times and decimals
// become strings in the notation of ISO 8601 and of decimal fractions.
func (n *parquetNode) value(c cell) (Value, error) {
	switch n.physical {
	case physBoolean:
		return Value{Kind: Bool, Bool: c.int != 0}, nil
	case physFloat:
		return floatValue(c.float, 32), nil
	case physDouble:
		return floatValue(c.float, 64), nil
	case physInt96:
		return stringValue(int96Time(c.bytes)), nil
	case physInt32, physInt64:
		return n.integer(c.int), nil
	}
	switch {
	case n.isText():
		if !utf8.Valid(c.bytes) {
			return Value{}, badText(c.bytes)
		}
		return stringValue(view(c.bytes)), nil
	case n.is(5, 5):
		return Value{Kind: Number, Text: decimal(bigEndian(c.bytes), n.scale)}, nil
	case n.is(14) && len(c.bytes) == 16:
		b := c.bytes
		return stringValue(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])), nil
	case n.is(15) && len(c.bytes) == 2:
		return floatValue(float64(float16.FromBits(binary.LittleEndian.Uint16(c.bytes)).Float32()), 32), nil
	}
	return bytesValue(c.bytes), nil
}

func badText(b []byte) *textError {
	return &textError{what: fmt.Sprintf("invalid UTF-8 in %s", snippet(string(b)))}
}

// Units of time, by their number in union TimeUnit.
var timeUnits = map[int]time.Duration{1: time.Millisecond, 2: time.Microsecond, 3: time.Nanosecond}

// integer converts integers of 32 and 64 bits.
func (n *parquetNode) integer(v int64) Value {
	switch {
	case n.is(5, 5):
		return Value{Kind: Number, Text: decimal(big.NewInt(v), n.scale)}
	case n.is(6, 6): // days since 1970
		return stringValue(time.Unix(v*86400, 0).UTC().Format("2006-01-02"))
	case n.is(7, 7, 8):
		unit := n.unit(7, map[int]time.Duration{7: time.Millisecond, 8: time.Microsecond})
		return stringValue(inUnit(v, unit).Format("15:04:05.999999999"))
	case n.is(8, 9, 10):
		unit := n.unit(8, map[int]time.Duration{9: time.Millisecond, 10: time.Microsecond})
		text := inUnit(v, unit).Format("2006-01-02T15:04:05.999999999")
		if stamp, _ := n.logical.get(8); n.converted >= 0 || stamp.num(1, 0) != 0 {
			text += "Z"
		}
		return stringValue(text)
	case n.unsigned():
		if n.physical == physInt32 {
			return intValue(int64(uint32(v)))
		}
		return Value{Kind: Number, Text: fmt.Sprint(uint64(v))}
	}
	return intValue(v)
}

func (n *parquetNode) unsigned() bool {
	if integer, ok := n.logical.get(10); ok {
		return integer.num(2, 1) == 0
	}
	return n.converted >= 11 && n.converted <= 14
}

// unit returns the unit of a time or timestamp: of its logical type, or its
// converted one.
func (n *parquetNode) unit(logical int, converted map[int]time.Duration) time.Duration {
	stamp, _ := n.logical.get(logical)
	unit, _ := stamp.get(2)
	if len(unit.fields) == 1 && timeUnits[unit.fields[0].id] != 0 {
		return timeUnits[unit.fields[0].id]
	}
	if d := converted[n.converted]; d != 0 {
		return d
	}
	return time.Nanosecond
}

// inUnit returns the time v units after 1970 began.
func inUnit(v int64, unit time.Duration) time.Time {
	per := int64(time.Second / unit)
	seconds, part := v/per, v%per
	return time.Unix(seconds, part*int64(unit)).UTC()
}

// int96Time reads the old timestamps of Impala and Spark: nanoseconds of the day
// and a Julian day.
func int96Time(b []byte) string {
	const julian1970 = 2440588
	nanos := int64(binary.LittleEndian.Uint64(b))
	day := int64(int32(binary.LittleEndian.Uint32(b[8:])))
	return time.Unix((day-julian1970)*86400, nanos).UTC().Format("2006-01-02T15:04:05.999999999")
}

// bigEndian reads a two's complement integer.
func bigEndian(b []byte) *big.Int {
	v := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return v
}

// decimal writes v with scale digits after the point.
func decimal(v *big.Int, scale int) string {
	digits := new(big.Int).Abs(v).String()
	if scale > 0 {
		if len(digits) <= scale {
			digits = strings.Repeat("0", scale-len(digits)+1) + digits
		}
		digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if v.Sign() < 0 {
		return "-" + digits
	}
	return digits
}
