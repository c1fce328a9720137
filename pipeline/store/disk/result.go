package disk

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pipe-run/pipe/pipeline"
)

// A result is stored as the message
// build.bazel.remote.execution.v2.ActionResult:
//
//	3 output_directories   one for each output, by name:
//	    1 path                    "out/" + name, as in the step's directory
//	    5 root_directory_digest   the artifact
//	8 stderr_digest        the log, when there is one
//	9 execution_metadata
//	    11 auxiliary_metadata     google.protobuf.Any of type infoType: JSON,
//	                              types of the outputs and usage
//	    11 auxiliary_metadata     google.protobuf.Any of type sumType: the
//	                              SHA-256 of the key and of all bytes of the
//	                              message before this sum, which ends it
//
// exit_code is 0 and so is left out: failures are never stored. The sum finds
// a flipped bit in the file, and a file under the wrong name.
const (
	infoType = "type.googleapis.com/pipe.v1.ResultInfo"
	sumType  = "type.googleapis.com/pipe.v1.ResultSum"

	outPrefix = "out/"

	maxResult = 1 << 20 // bytes of an encoded result
)

// resultInfo is what REAPI has no field for.
type resultInfo struct {
	Types map[string]string `json:"types"` // output name → artifact type
	Usage pipeline.Usage    `json:"usage"`
}

// encodeResult encodes r. sizes holds the size of each blob that r names.
func encodeResult(k pipeline.Key, r *pipeline.Result, sizes map[pipeline.Digest]int64) ([]byte, error) {
	info := resultInfo{Types: map[string]string{}, Usage: r.Usage}
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(r.Outputs)) {
		a := r.Outputs[name]
		if err := pipeline.CheckName(name); err != nil {
			return nil, fmt.Errorf("output %w", err)
		}
		info.Types[name] = a.Type
		m := appendField(nil, 1, []byte(outPrefix+name))
		m = appendField(m, 5, appendDigest(nil, a.Root, sizes[a.Root]))
		b = appendField(b, 3, m)
	}
	if !r.Log.IsZero() {
		b = appendField(b, 8, appendDigest(nil, r.Log, sizes[r.Log]))
	}
	raw, err := json.Marshal(info)
	if err != nil {
		return nil, err
	}
	meta := appendField(nil, 11, appendAny(infoType, raw))
	meta = appendField(meta, 11, appendAny(sumType, make([]byte, sha256.Size)))
	b = appendField(b, 9, meta)
	if len(b) > maxResult {
		return nil, fmt.Errorf("result has %d bytes, more than %d", len(b), maxResult)
	}
	sum := resultSum(k, b)
	copy(b[len(b)-len(sum):], sum[:])
	return b, nil
}

// resultSum returns what the last 32 bytes of b have to be.
func resultSum(k pipeline.Key, b []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(k[:])
	h.Write(b[:len(b)-len(sum)])
	h.Sum(sum[:0])
	return sum
}

func appendField(b []byte, n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

func appendDigest(b []byte, d pipeline.Digest, size int64) []byte {
	b = appendField(b, 1, []byte(d.String()))
	if size != 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), uint64(size))
	}
	return b
}

func appendAny(url string, value []byte) []byte {
	return appendField(appendField(nil, 1, []byte(url)), 2, value)
}

// A sized is a digest with the size that goes with it.
type sized struct {
	digest pipeline.Digest
	size   int64
}

// A storedResult is what a result file says. The sizes of the artifacts, which
// are sums over their files, are not in it.
type storedResult struct {
	result *pipeline.Result
	sizes  map[pipeline.Digest]int64 // of roots and log
}

// decodeResult reads what encodeResult wrote for k, and nothing else.
func decodeResult(k pipeline.Key, b []byte) (*storedResult, error) {
	if len(b) < sha256.Size || len(b) > maxResult {
		return nil, fmt.Errorf("it has %d bytes", len(b))
	}
	if sum := resultSum(k, b); !bytes.Equal(sum[:], b[len(b)-len(sum):]) {
		return nil, errors.New("its checksum is wrong")
	}
	s := &storedResult{
		result: &pipeline.Result{Outputs: map[string]pipeline.Artifact{}},
		sizes:  map[pipeline.Digest]int64{},
	}
	info := resultInfo{}
	err := eachField(b, func(n protowire.Number, v []byte) (err error) {
		switch n {
		case 3:
			err = s.decodeOutput(v)
		case 8:
			var log sized
			log, err = decodeDigest(v)
			s.result.Log = log.digest
			s.sizes[log.digest] = log.size
		case 9:
			info, err = decodeMetadata(v)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.result.Usage = info.Usage
	for name, a := range s.result.Outputs {
		if a.Type = info.Types[name]; a.Type == "" {
			return nil, fmt.Errorf("output %q has no type", name)
		}
		s.result.Outputs[name] = a
	}
	return s, nil
}

func (s *storedResult) decodeOutput(b []byte) error {
	path := ""
	var root sized
	err := eachField(b, func(n protowire.Number, v []byte) (err error) {
		switch n {
		case 1:
			path = string(v)
		case 5:
			root, err = decodeDigest(v)
		}
		return err
	})
	if err != nil {
		return err
	}
	name, ok := strings.CutPrefix(path, outPrefix)
	if !ok || pipeline.CheckName(name) != nil || root.digest.IsZero() {
		return fmt.Errorf("output at %q is none of pipe's", path)
	}
	s.result.Outputs[name] = pipeline.Artifact{Root: root.digest}
	s.sizes[root.digest] = root.size
	return nil
}

// decodeMetadata reads the resultInfo out of ExecutedActionMetadata.
func decodeMetadata(b []byte) (info resultInfo, err error) {
	err = eachField(b, func(n protowire.Number, v []byte) error {
		if n != 11 {
			return nil
		}
		url, value := "", []byte(nil)
		err := eachField(v, func(n protowire.Number, v []byte) error {
			switch n {
			case 1:
				url = string(v)
			case 2:
				value = v
			}
			return nil
		})
		if err == nil && url == infoType {
			err = json.Unmarshal(value, &info)
		}
		return err
	})
	return info, err
}

func decodeDigest(b []byte) (d sized, err error) {
	for len(b) > 0 {
		n, typ, w := protowire.ConsumeTag(b)
		if w < 0 {
			return d, protowire.ParseError(w)
		}
		b = b[w:]
		switch {
		case n == 1 && typ == protowire.BytesType:
			v, w := protowire.ConsumeBytes(b)
			if w < 0 {
				return d, protowire.ParseError(w)
			}
			if d.digest, err = pipeline.ParseDigest(string(v)); err != nil {
				return d, err
			}
			b = b[w:]
		case n == 2 && typ == protowire.VarintType:
			v, w := protowire.ConsumeVarint(b)
			if w < 0 {
				return d, protowire.ParseError(w)
			}
			if d.size = int64(v); d.size < 0 {
				return d, errors.New("negative size")
			}
			b = b[w:]
		default:
			return d, fmt.Errorf("field %d of a digest is not allowed", n)
		}
	}
	return d, nil
}

// eachField calls f for each length-delimited field of b and skips the others.
func eachField(b []byte, f func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		n, typ, w := protowire.ConsumeTag(b)
		if w < 0 {
			return protowire.ParseError(w)
		}
		b = b[w:]
		if typ != protowire.BytesType {
			if w = protowire.ConsumeFieldValue(n, typ, b); w < 0 {
				return protowire.ParseError(w)
			}
			b = b[w:]
			continue
		}
		v, w := protowire.ConsumeBytes(b)
		if w < 0 {
			return protowire.ParseError(w)
		}
		b = b[w:]
		if err := f(n, v); err != nil {
			return err
		}
	}
	return nil
}
