package disk

import (
	"encoding/hex"
	"reflect"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
)

func sampleResult() (pipeline.Key, *pipeline.Result, map[pipeline.Digest]int64) {
	root, log := pipeline.SumBytes([]byte("root")), pipeline.SumBytes([]byte("log"))
	return pipeline.Key{1}, &pipeline.Result{
		Outputs: map[string]pipeline.Artifact{
			"test":  {Type: "records", Root: root},
			"train": {Type: "records", Root: root},
		},
		Log:   log,
		Usage: pipeline.Usage{Seconds: 0.5},
	}, map[pipeline.Digest]int64{root: 300, log: 7}
}

// The file of a result is read by later versions of pipe and by caches on
// other machines: these bytes may not change without a new format version.
func TestResultGolden(t *testing.T) {
	k, r, sizes := sampleResult()
	got, err := encodeResult(k, r, sizes)
	if err != nil {
		t.Fatal(err)
	}
	root := field(1, text("4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2")) + "10ac02"
	log := field(1, text(pipeline.SumBytes([]byte("log")).String())) + "1007"
	info := text(`{"types":{"test":"records","train":"records"},"usage":{"seconds":0.5}}`)
	sum := resultSum(k, got)
	want := "" +
		field(3, field(1, text("out/test"))+field(5, root)) +
		field(3, field(1, text("out/train"))+field(5, root)) +
		field(8, log) +
		field(9, field(11, field(1, text("type.googleapis.com/pipe.v1.ResultInfo"))+field(2, info))+
			field(11, field(1, text("type.googleapis.com/pipe.v1.ResultSum"))+field(2, hex.EncodeToString(sum[:]))))
	if hex.EncodeToString(got) != want {
		t.Errorf("encoded as\n%x\nwant\n%s", got, want)
	}
	if string(sum[:]) != string(got[len(got)-32:]) {
		t.Error("the message does not end in its sum")
	}
	back, err := decodeResult(k, got)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back.result, r) || !reflect.DeepEqual(back.sizes, sizes) {
		t.Errorf("decoded as %+v, %v", back.result, back.sizes)
	}
}

func text(s string) string { return hex.EncodeToString([]byte(s)) }

// field writes a length-delimited field in hex.
func field(n int, body string) string {
	size := len(body) / 2
	b := []byte{byte(n<<3 | 2), byte(size)}
	if size > 127 {
		b = []byte{byte(n<<3 | 2), byte(size) | 0x80, byte(size >> 7)}
	}
	return hex.EncodeToString(b) + body
}

func TestResultFlippedBits(t *testing.T) {
	k, r, sizes := sampleResult()
	good, err := encodeResult(k, r, sizes)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(good) {
		bad := append([]byte(nil), good...)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := decodeResult(k, bad); err == nil {
			t.Errorf("bit %d flipped, and decoded", i)
		}
	}
	if _, err := decodeResult(pipeline.Key{2}, good); err == nil {
		t.Error("decoded under another key")
	}
	for n := range good {
		if _, err := decodeResult(k, good[:n]); err == nil {
			t.Errorf("decoded from %d of %d bytes", n, len(good))
		}
	}
}

func FuzzDecodeResult(f *testing.F) {
	k, r, sizes := sampleResult()
	good, err := encodeResult(k, r, sizes)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 32 {
			return
		}
		sum := resultSum(k, b) // let it past the checksum
		copy(b[len(b)-32:], sum[:])
		s, err := decodeResult(k, b)
		if err != nil {
			return
		}
		again, err := encodeResult(k, s.result, s.sizes)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeResult(k, again)
		if err != nil || !reflect.DeepEqual(back.result, s.result) {
			t.Errorf("decoded %+v, then %+v, %v", s.result, back, err)
		}
	})
}
