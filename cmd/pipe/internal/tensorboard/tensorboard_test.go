package tensorboard

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"
)

// golden is what the RecordWriter of the Python package tensorboard 2.21
// makes of the same events.
const golden = "1800000000000000a37f4b220900002040fc54d9411a0d627261696e2e4576656e743a322b3531102000000000000000" +
	"29eda9500900006040fc54d94110012a130a110a0a747261696e2f6c6f737315000020400c53709e2400000000000000" +
	"422b804d0900006040fc54d94110012a170a150a0e747261696e2f677261644e6f726d150000003ecde11ec721000000" +
	"00000000017becf6090000a056fc54d94110ac022a130a110a0a747261696e2f6c6f7373156f12833a31052095"

func TestWrite(t *testing.T) {
	start := time.Unix(1700000000, 500000000)
	var b bytes.Buffer
	err := Write(&b, start, []Scalar{
		{"train/loss", 1, 2.5, start.Add(time.Second)},
		{"train/gradNorm", 1, 0.125, start.Add(time.Second)},
		{"train/loss", 300, 1e-3, start.Add(90 * time.Second)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(b.Bytes()); got != golden {
		t.Errorf("got\n%s, want\n%s", got, golden)
	}
	if got := FileName(start); got != "events.out.tfevents.1700000000.pipe" {
		t.Errorf("file name %s", got)
	}
}
