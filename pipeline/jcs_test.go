package pipeline

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
)

// The vectors are those of RFC 8785: §3.2.2 and §3.2.3 (as one text each) and
// the numbers of appendix B, but for two that print as integers beyond 2^53.
func TestCanonicalJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{
       "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
       "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
       "literals": [null, true, false]
     }`: `{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		`{
       "\u20ac": "Euro Sign",
       "\r": "Carriage Return",
       "\ufb33": "Hebrew Letter Dalet With Dagesh",
       "1": "One",
       "\ud83d\ude00": "Emoji: Grinning Face",
       "\u0080": "Control",
       "\u00f6": "Latin Small Letter O With Diaeresis"
     }`: "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}",
		` [ ] `:                      `[]`,
		`{"b":{"z":1,"y":[{}]}}`:     `{"b":{"y":[{}],"z":1}}`,
		`"<&>\u2028\b\f\t\u007f"`:    "\"<&>\u2028\\b\\f\\t\u007f\"",
		`[-0, 0.0, -0.0, 1.0, 1e0]`:  `[0,0,0,1,1]`,
		`9007199254740991`:           `9007199254740991`,
		`[1e21, 1e-6, 1e-7]`:         `[1e+21,0.000001,1e-7]`,
		`{"":0,"\u0000":1,"\"\\":2}`: `{"":0,"\u0000":1,"\"\\":2}`,
	} {
		got, err := CanonicalJSON([]byte(in))
		if err != nil || string(got) != want {
			t.Errorf("%s\n got %s, %v\nwant %s", in, got, err, want)
			continue
		}
		if again, err := CanonicalJSON(got); err != nil || string(again) != want {
			t.Errorf("canonical form of %s is %s, %v", got, again, err)
		}
	}
}

func TestCanonicalNumbers(t *testing.T) {
	for bits, want := range map[uint64]string{
		0x0000000000000000: "0",
		0x8000000000000000: "0",
		0x0000000000000001: "5e-324",
		0x8000000000000001: "-5e-324",
		0x7fefffffffffffff: "1.7976931348623157e+308",
		0xffefffffffffffff: "-1.7976931348623157e+308",
		0x44b52d02c7e14af5: "9.999999999999997e+22",
		0x44b52d02c7e14af6: "1e+23",
		0x44b52d02c7e14af7: "1.0000000000000001e+23",
		0x444b1ae4d6e2ef50: "1e+21",
		0x3eb0c6f7a0b5ed8c: "9.999999999999997e-7",
		0x3eb0c6f7a0b5ed8d: "0.000001",
		0x41b3de4355555553: "333333333.3333332",
		0x41b3de4355555554: "333333333.33333325",
		0x41b3de4355555555: "333333333.3333333",
		0x41b3de4355555556: "333333333.3333334",
		0x41b3de4355555557: "333333333.33333343",
		0xbecbf647612f3696: "-0.0000033333333333333333",
		0x43143ff3c1cb0959: "1424953923781206.2",
	} {
		in, err := json.Marshal([]float64{math.Float64frombits(bits)})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := CanonicalJSON(in); err != nil || string(got) != "["+want+"]" {
			t.Errorf("%016x: got %s, %v, want %s", bits, got, err, want)
		}
	}
}

func TestCanonicalJSONRefuses(t *testing.T) {
	for _, in := range []string{
		``, `{`, `[1,]`, `1 2`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, "\"\xff\"", `nul`,
		`9007199254740992`, `-9007199254740992`, `123456789012345678901234567890`, `1e20`, `-1e16`, `999999999999999700000.0`, `1e400`, `[1}`, `{"a"}`, `01`, `NaN`,
	} {
		if got, err := CanonicalJSON([]byte(in)); err == nil {
			t.Errorf("%q is accepted as %s", in, got)
		}
	}
}

func FuzzCanonicalJSON(f *testing.F) {
	f.Add([]byte(`{"b":[1,2.5e-7,"x\n"],"a":null}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := CanonicalJSON(in)
		if err != nil {
			return
		}
		again, err := CanonicalJSON(out)
		if err != nil || string(again) != string(out) {
			t.Errorf("%s is not canonical: %s, %v", out, again, err)
		}
		var a, b any
		if json.Unmarshal(in, &a) == nil && json.Unmarshal(out, &b) == nil && !reflect.DeepEqual(a, b) {
			t.Errorf("%s became %s", in, out)
		}
	})
}
