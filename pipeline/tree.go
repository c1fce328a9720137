package pipeline

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Directory is one level of an artifact's tree: the message
// build.bazel.remote.execution.v2.Directory, without symlinks and properties.
// Files and Dirs are each sorted bytewise by name, and no name occurs twice.
type Directory struct {
	Files []FileNode
	Dirs  []DirNode
}

// A FileNode is a file in a Directory.
type FileNode struct {
	Name       string
	Digest     Digest
	Size       int64
	Executable bool
}

// A DirNode is a directory in a Directory; Size is that of its encoding.
type DirNode struct {
	Name   string
	Digest Digest
	Size   int64
}

// Encode returns the canonical protobuf encoding of d: fields in order of
// number, defaults left out. It panics when the names are not sorted.
func (d *Directory) Encode() []byte {
	for i := 1; i < len(d.Files); i++ {
		if d.Files[i-1].Name >= d.Files[i].Name {
			panic("pipeline: directory is not sorted")
		}
	}
	for i := 1; i < len(d.Dirs); i++ {
		if d.Dirs[i-1].Name >= d.Dirs[i].Name {
			panic("pipeline: directory is not sorted")
		}
	}
	var out []byte
	for _, f := range d.Files {
		var m []byte
		m = appendBytes(m, 1, []byte(f.Name))
		m = appendBytes(m, 2, encodeDigest(f.Digest, f.Size))
		if f.Executable {
			m = append(m, 4<<3, 1)
		}
		out = appendBytes(out, 1, m)
	}
	for _, s := range d.Dirs {
		m := appendBytes(nil, 1, []byte(s.Name))
		m = appendBytes(m, 2, encodeDigest(s.Digest, s.Size))
		out = appendBytes(out, 2, m)
	}
	return out
}

// Sort puts the entries of d in order.
func (d *Directory) Sort() {
	slices.SortFunc(d.Files, func(a, b FileNode) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(d.Dirs, func(a, b DirNode) int { return strings.Compare(a.Name, b.Name) })
}

// encodeDigest encodes build.bazel.remote.execution.v2.Digest.
func encodeDigest(d Digest, size int64) []byte {
	m := appendBytes(nil, 1, []byte(d.String()))
	if size != 0 {
		m = binary.AppendUvarint(append(m, 2<<3), uint64(size))
	}
	return m
}

func appendBytes(out []byte, field int, b []byte) []byte {
	out = binary.AppendUvarint(out, uint64(field)<<3|2)
	out = binary.AppendUvarint(out, uint64(len(b)))
	return append(out, b...)
}

// DecodeDirectory reads a directory and accepts only what Encode writes: any
// other spelling of the same tree, a symlink, a name that is not a plain
// file name, is an error.
func DecodeDirectory(b []byte) (*Directory, error) {
	d := &Directory{}
	err := fields(b, func(field int, value uint64, data []byte) error {
		switch field {
		case 1:
			f, err := decodeFile(data)
			d.Files = append(d.Files, f)
			return err
		case 2:
			f, err := decodeFile(data)
			d.Dirs = append(d.Dirs, DirNode{f.Name, f.Digest, f.Size})
			if err == nil && f.Executable {
				err = errors.New("executable directory")
			}
			return err
		}
		return fmt.Errorf("field %d is not allowed", field)
	})
	if err == nil {
		err = d.check()
	}
	if err == nil && string(d.Encode()) != string(b) {
		err = errors.New("not in canonical form")
	}
	if err != nil {
		return nil, fmt.Errorf("decoding directory: %w", err)
	}
	return d, nil
}

func (d *Directory) check() error {
	seen := make(map[string]bool, len(d.Files)+len(d.Dirs))
	name := func(s, last string) error {
		if err := CheckName(s); err != nil {
			return err
		}
		if s <= last || seen[s] {
			return fmt.Errorf("name %q is out of order", s)
		}
		seen[s] = true
		return nil
	}
	last := ""
	for _, f := range d.Files {
		if err := name(f.Name, last); err != nil {
			return err
		}
		last = f.Name
	}
	last = ""
	for _, s := range d.Dirs {
		if err := name(s.Name, last); err != nil {
			return err
		}
		last = s.Name
	}
	return nil
}

// CheckName refuses what cannot be the name of one file on every system that
// pipe runs on.
func CheckName(s string) error {
	if s == "" || s == "." || s == ".." || len(s) > 255 || !utf8.ValidString(s) || strings.ContainsAny(s, "/\x00") {
		return fmt.Errorf("%q is not a file name", s)
	}
	return nil
}

func decodeFile(b []byte) (f FileNode, err error) {
	err = fields(b, func(field int, value uint64, data []byte) (err error) {
		switch field {
		case 1:
			f.Name = string(data)
		case 2:
			f.Digest, f.Size, err = decodeDigest(data)
		case 4:
			f.Executable = value == 1
		default:
			err = fmt.Errorf("field %d of a node is not allowed", field)
		}
		return err
	})
	return f, err
}

func decodeDigest(b []byte) (d Digest, size int64, err error) {
	err = fields(b, func(field int, value uint64, data []byte) error {
		switch field {
		case 1:
			if len(data) != hex.EncodedLen(len(d)) {
				return errors.New("digest is not SHA-256")
			}
			return d.UnmarshalText(data)
		case 2:
			if size = int64(value); size < 0 {
				return errors.New("negative size")
			}
			return nil
		}
		return fmt.Errorf("field %d of a digest is not allowed", field)
	})
	return d, size, err
}

// fields calls f for each field of a protobuf message: value for varints,
// data for length-delimited ones.
func fields(b []byte, f func(field int, value uint64, data []byte) error) error {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29 {
			return errors.New("malformed tag")
		}
		b = b[n:]
		value, n := binary.Uvarint(b)
		if n <= 0 {
			return errors.New("malformed varint")
		}
		b = b[n:]
		var data []byte
		switch tag & 7 {
		case 0:
		case 2:
			if value > uint64(len(b)) {
				return errors.New("truncated")
			}
			data, b = b[:value], b[value:]
		default:
			return fmt.Errorf("wire type %d is not allowed", tag&7)
		}
		if err := f(int(tag>>3), value, data); err != nil {
			return err
		}
	}
	return nil
}
