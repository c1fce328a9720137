package jsonfile

import "testing"

func TestDecode(t *testing.T) {
	type inner struct {
		Theta *float64 `json:"rope_theta"`
	}
	type file struct {
		Heads int            `json:"num_attention_heads"`
		ID    int32          `json:"id"`
		Tied  *bool          `json:"tie"`
		Names []string       `json:"names"`
		Rope  inner          `json:"rope"`
		Ranks map[string]int `json:"ranks"`
		Act   string         `json:"act"`
	}
	for _, c := range []struct{ text, want string }{
		{`{"num_attention_heads": "six"}`, `num_attention_heads is "six", want a whole number`},
		{`{"num_attention_heads": 1.5}`, `num_attention_heads is 1.5, want a whole number`},
		{`{"num_attention_heads": [1]}`, `num_attention_heads is a list, want a whole number`},
		{`{"id": 4294967296}`, `id is 4294967296, want a whole number below 2147483648`},
		{`{"tie": "yes"}`, `tie is "yes", want true or false`},
		{`{"names": "q_proj"}`, `names is "q_proj", want a list`},
		{`{"names": ["q_proj", 3]}`, `names holds a number, want a string`},
		{`{"rope": {"rope_theta": {}}}`, `rope.rope_theta is an object, want a number`},
		{`{"rope": 3}`, `rope is 3, want an object`},
		{`{"ranks": {"q": "4"}}`, `ranks holds a string, want a whole number`},
		{`{"act": false}`, `act is false, want a string`},
		{`[1, 2]`, `the file holds a list, want an object`},
		{` `, `the file is empty, want JSON`},
		{"{\n \"a\": 1,\n}", `not JSON: line 3, column 1: invalid character '}' looking for beginning of object key string`},
		{"{\"a\": 1", `not JSON: line 1, column 7: unexpected end of JSON input`},
		{"{'a': 1}", `not JSON: line 1, column 2: invalid character '\'' looking for beginning of object key string`},
	} {
		var f file
		if err := Decode([]byte(c.text), &f); err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
	var f file
	if err := Decode([]byte(`{"num_attention_heads": 6}`), &f); err != nil || f.Heads != 6 {
		t.Errorf("%v, %d heads", err, f.Heads)
	}
}
