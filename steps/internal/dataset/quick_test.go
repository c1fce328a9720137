package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// quickLayouts have a quick plan, all but the last two, which differ from one that
// has.
var quickLayouts = []Layout{
	{Format: AlpacaFormat},
	{Format: AlpacaFormat, Columns: map[string]string{"instruction": "question", "output": "text"}},
	{Format: AlpacaFormat, Only: true},
	{Format: SparkFormat},
	{Format: PreferenceFormat},
	{Format: MessagesFormat},
	{Format: MessagesFormat, Columns: map[string]string{"messages": "conversations", "role": "from", "content": "value"}, Roles: map[string]string{"human": "user", "user": "assistant", "gpt": calling}},
	{Format: MessagesFormat, Reasoning: ThinkReasoning},
	{Format: ShareGPTFormat},
	{Format: ShareGPTFormat, Roles: map[string]string{"human": "assistant", "gpt": "user"}, Reasoning: DropReasoning},
	{Format: ShareGPTFormat, Columns: map[string]string{"from": "role", "value": "content"}},
	{Format: PromptFormat},
	{Format: TextFormat},
	{Format: MessagesFormat, Columns: map[string]string{"content": "name"}},
	{Format: AlpacaFormat, Columns: map[string]string{"input": "instruction"}},
}

// shaped is everything that reading and shaping yields: records and errors in
// order, and the artifact of the records.
func shaped(t *testing.T, layout Layout, options Options, data []byte, quick bool) (all []any, artifact []byte) {
	t.Helper()
	shaper, err := layout.Shaper()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := newRows(fileOf(data), int64(len(data)), "dir/f", options)
	if err != nil {
		return []any{err.Error()}, nil
	}
	defer rows.Close()
	dir := t.TempDir()
	w, err := CreateRecords(dir, shaper.Shape())
	if err != nil {
		t.Fatal(err)
	}
	runs := shaper.Runs(rows, "dir/f")
	if (runs.blocks.quick != nil) != (layout.Columns["content"] != "name" && layout.Columns["input"] != "instruction") {
		t.Fatalf("%+v: a quick plan: %v", layout, runs.blocks.quick != nil)
	}
	if !quick {
		runs.blocks.quick = nil
	}
	for {
		run, err := runs.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			var row *RowError
			if !errors.As(err, &row) {
				t.Fatal(err)
			}
			value := ""
			if row.Value != nil {
				value = row.Value.JSON()
			}
			flat := *row
			flat.Value = nil
			all = append(all, flat, value)
			if row.Final {
				break
			}
			continue
		}
		for i := range run.Len() {
			r := run.Record(i)
			all = append(all, shownRecord(t, r))
		}
		if err := w.WriteRun(run); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	artifact, err = os.ReadFile(filepath.Join(dir, recordsFile))
	if err != nil {
		t.Fatal(err)
	}
	return all, artifact
}

// shownRecord is a record as text, which stays when the record's memory is used again.
func shownRecord(t *testing.T, r Record) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// checkQuick compares the quick reading with the other one.
func checkQuick(t *testing.T, layout Layout, options Options, data []byte) {
	t.Helper()
	want, wantBytes := shaped(t, layout, options, data, false)
	got, gotBytes := shaped(t, layout, options, data, true)
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("%+v: of %d and %d, number %d differs:\n%+v\n%+v\n%q", layout, len(got), len(want), i, got[min(i, len(got)):min(i+1, len(got))], want[min(i, len(want)):min(i+1, len(want))], data)
		}
	}
	if !bytes.Equal(gotBytes, wantBytes) {
		t.Fatalf("%+v: the records differ: %q", layout, data)
	}
}

// rowMaker makes rows that are mostly of a layout, at random.
type rowMaker struct {
	*rand.Rand
	b strings.Builder
}

func (m *rowMaker) pick(all ...string) { m.b.WriteString(all[m.Intn(len(all))]) }

// rare writes one of some texts now and then.
func (m *rowMaker) rare(n int, all ...string) {
	if m.Intn(n) == 0 {
		m.pick(all...)
	}
}

func (m *rowMaker) space() { m.rare(12, " ", "\t", "  ", "\r", "\u00a0", "\n", "\x00") }

func (m *rowMaker) text() {
	m.b.WriteByte('"')
	for range m.Intn(4) {
		m.pick("hello", "a longer text of more than eight bytes", " ", "你好，世界", "é", `\n`, `\"`, `\\`, `\u4f60\u597d`, `\ud83d\ude00`, "\u2028", "\ufeff", "\x7f", "\t\\t"[1:], "�")
		m.rare(150, "\xff", "\xe4\xbd", `\ud83d`, `\ude00`, `\x`, "\t", `\u12g4`, `\`, "\xed\xa0\x80", "\xc0\xaf", `\u+123`, "\xf4\x90\x80\x80")
	}
	m.b.WriteByte('"')
}

func (m *rowMaker) any(depth int) {
	switch n := m.Intn(12); {
	case n < 4:
		m.text()
	case n == 4 && depth < 4:
		m.list(m.Intn(3), func(int) { m.any(depth + 1) })
	case n == 5 && depth < 4:
		m.object(m.Intn(3), func(int) { m.pick(`"a"`, `"b"`, `"\u0061"`) }, func() { m.any(depth + 1) })
	case n == 6:
		m.pick("[", "{}", "[]", "tru", "01", "1.", "-", "1e+", ".5", "NaN", `{"a"}`, `{"a":}`, "[1,]", strings.Repeat("[", 40)+strings.Repeat("]", 40))
	default:
		m.pick("null", "true", "false", "0", "-1.5e+3", `""`, `" "`, "[]", "12")
	}
}

func (m *rowMaker) list(n int, item func(int)) {
	m.b.WriteByte('[')
	for i := range n {
		if i > 0 {
			m.b.WriteByte(',')
		}
		m.space()
		item(i)
		m.space()
	}
	m.b.WriteByte(']')
}

func (m *rowMaker) object(n int, key func(int), value func()) {
	m.b.WriteByte('{')
	for i := range n {
		if i > 0 {
			m.b.WriteByte(',')
		}
		m.space()
		key(i)
		m.space()
		m.b.WriteByte(':')
		m.space()
		value()
		m.space()
	}
	m.b.WriteByte('}')
}

// field writes one field's name and value as most rows have it.
func (m *rowMaker) field(name string) {
	m.space()
	m.b.WriteString(`"` + name + `":`)
	m.space()
	switch {
	case m.Intn(15) == 0:
		m.any(0)
	case name == "messages" || name == "conversations":
		m.turns()
	case name == "tools" || name == "history" || name == "images":
		m.pick("null", "[]", `""`, `" "`, `[["q","a"]]`, `[{"name":"f"}]`, `"[]"`)
	default:
		m.text()
	}
	m.space()
}

func (m *rowMaker) turns() {
	even := m.Intn(8) > 0
	names := [][]string{{"role", "content"}, {"from", "value"}, {"name", "content"}}[m.Intn(15)/7]
	m.list(m.Intn(5), func(i int) {
		m.b.WriteByte('{')
		role := func() {
			m.b.WriteString(`"` + names[0] + `":`)
			switch {
			case !even || m.Intn(30) == 0:
				m.pick(`"user"`, `"assistant"`, `"human"`, `"gpt"`, `"system"`, `"tool"`, `"developer"`, `"function"`, `"function_call"`, `"observation"`, `"us\u0065r"`, `null`, `"x"`)
			case names[0] == "from":
				m.b.WriteString([]string{`"human"`, `"gpt"`}[i%2])
			default:
				m.b.WriteString([]string{`"user"`, `"assistant"`}[i%2])
			}
		}
		content := func() {
			m.b.WriteString(`"` + names[1] + `":`)
			if m.Intn(25) == 0 {
				m.pick("null", `[{"type":"text","text":"x"}]`, "5", `""`, `"  "`)
				return
			}
			m.text()
		}
		parts := []func(){role, content}
		if m.Intn(4) == 0 {
			parts[0], parts[1] = parts[1], parts[0]
		}
		for m.Intn(4) == 0 {
			parts = append(parts, func() {
				m.pick(`"name":`, `"name":`, `"tool_call_id":`, `"tool_calls":`, `"function_call":`, `"reasoning_content":`, `"reasoning":`, `"thinking":`,
					`"train":`, `"weight":`, `"loss_weight":`, `"id":`, `"meta":`, `"content":`, `"role":`, `"from":`, `"value":`, `"n\u0061me":`)
				m.pick("null", "null", `""`, `"x"`, `" "`, `"a\nb"`, "1", "0", "true", "[]", `{"a":[1,{}]}`, `[{"name":"f","arguments":{}}]`)
			})
		}
		m.Shuffle(len(parts)*(m.Intn(3)/2), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		for k, part := range parts {
			if k > 0 {
				m.b.WriteByte(',')
			}
			m.space()
			part()
			m.space()
		}
		m.b.WriteByte('}')
	})
}

// row writes a row of a format's columns, some left out, some others put in.
func (m *rowMaker) row(columns []string) string {
	m.b.Reset()
	names := columns[:len(columns):len(columns)]
	if m.Intn(3) == 0 {
		names = append(names, "id", "meta")
	}
	if m.Intn(6) == 0 {
		names = append(names, names[m.Intn(len(names))])
	}
	if m.Intn(8) == 0 {
		m.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	}
	m.space()
	m.b.WriteByte('{')
	first := true
	for _, name := range names {
		if m.Intn(10) == 0 {
			continue
		}
		if !first {
			m.b.WriteByte(',')
		}
		first = false
		m.field(name)
	}
	m.b.WriteByte('}')
	m.space()
	m.rare(40, "x", "}", ",", "{}")
	row := m.b.String()
	if m.Intn(30) == 0 && len(row) > 0 {
		at := m.Intn(len(row))
		row = row[:at] + string(rune(m.Intn(200))) + row[at+1:]
	}
	return row
}

// columnsOf are fields that rows of a layout have.
func columnsOf(layout Layout) (columns []string) {
	known, _ := specOf(layout.Format)
	for _, column := range known.columns {
		if name, ok := layout.Columns[column]; ok {
			column = name
		}
		if column != "role" && column != "content" && column != "from" && column != "value" && column != "name" {
			columns = append(columns, column)
		}
	}
	return append(columns, "images")
}

// TestQuickRows compares what the quick reading makes of rows, good and bad ones,
// with what the parser and the Shaper do.
func TestQuickRows(t *testing.T) {
	m := &rowMaker{Rand: rand.New(rand.NewSource(3))}
	rounds := 60
	if testing.Short() {
		rounds = 8
	}
	for _, layout := range quickLayouts {
		columns := columnsOf(layout)
		for range rounds {
			var rows []string
			for range 40 {
				rows = append(rows, m.row(columns))
			}
			lines := strings.Join(rows, []string{"\n", "\r\n", "\r", "\n\n"}[m.Intn(4)])
			checkQuick(t, layout, Options{Container: JSONL, Threads: 1, maxRow: []int64{1 << 20, 200}[m.Intn(12)/11]}, []byte(lines))
			list := "[" + strings.Join(rows, ", \n") + "]"
			checkQuick(t, layout, Options{Container: JSON, Threads: 1}, []byte(list))
			for _, row := range rows { // a bad row ends the list
				checkQuickRow(t, layout, row)
			}
		}
	}
}

// checkQuickRow is checkQuick for one row, without files.
func checkQuickRow(t *testing.T, layout Layout, row string) {
	t.Helper()
	shaper, err := layout.Shaper()
	if err != nil {
		t.Fatal(err)
	}
	plan := shaper.quick()
	if plan == nil {
		return
	}
	q := quickRow{plan: plan, json: quickJSON{b: []byte(row)}, to: &columns{shape: plan.shape, file: "f"}}
	if !q.read(1) {
		if q.to.undo(); q.to.size(0, 0) != 0 || len(q.to.messages[0].content.data)+len(q.to.messages[0].role.data)+len(q.to.texts[0].data) > 0 {
			t.Fatalf("%+v: something was left of %q", layout, row)
		}
		return
	}
	if q.json.peek() != 0 || q.json.i < len(row) {
		return
	}
	value, err := ParseJSON([]byte(row))
	if err != nil {
		t.Fatalf("%+v: %q was taken: %v", layout, row, err)
	}
	want, err := shaper.Record("f", Raw{Value: value, Record: 1})
	if err != nil {
		t.Fatalf("%+v: %q was taken: %v", layout, row, err)
	}
	if got := q.to.record(0); shownRecord(t, got) != shownRecord(t, want) || q.to.size(0, 1) != want.size() {
		t.Fatalf("%+v: %q\n%+v\n%+v", layout, row, got, want)
	}
}

// TestQuickTakes says which rows must not need the parser, for they are most of
// what there is.
func TestQuickTakes(t *testing.T) {
	for _, test := range []struct {
		layout Layout
		row    string
		taken  bool
	}{
		{Layout{Format: AlpacaFormat}, `{"id": 7, "instruction": "你\n好", "input": "", "output": "\u4f60", "system": "s", "history": [], "images": null}`, true},
		{Layout{Format: AlpacaFormat}, `{"instruction":"q","output":"a","history":[["q","a"]]}`, false},
		{Layout{Format: AlpacaFormat}, `{"instruction":"q","output":" \n"}`, false},
		{Layout{Format: AlpacaFormat}, `{"instruction":"q","output":"a","output":"a"}`, false},
		{Layout{Format: SparkFormat}, `{"input":"q","target":"a"}`, true},
		{Layout{Format: MessagesFormat}, `{"messages":[{"role":"system","content":"s"},{"content":"q","role":"user","name":"Eva"},{"role":"assistant","reasoning_content":"r","content":"a","tool_calls":null}],"meta":{"a":[1,{"b":"\\"}]}}`, true},
		{Layout{Format: MessagesFormat}, `{"conversations":[{"role":"user","content":""},{"role":"assistant","content":"a"}]}`, true},
		{Layout{Format: MessagesFormat}, `{"messages":[{"role":"user","content":"q"}]}`, false},
		{Layout{Format: MessagesFormat}, `{"messages":[{"role":"assistant","content":"a","weight":1}]}`, false},
		{Layout{Format: MessagesFormat}, `{"messages":[{"role":"user","content":"a"},{"role":"system","content":"s"},{"role":"assistant","content":"a"}]}`, false},
		{Layout{Format: ShareGPTFormat}, `{"system":"s","conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}],"tools":""}`, true},
		{Layout{Format: ShareGPTFormat}, `{"conversations":[{"from":"gpt","value":"q"},{"from":"gpt","value":"a"}]}`, false},
		{Layout{Format: ShareGPTFormat}, `{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}],"system":"s"}`, false},
		{Layout{Format: PreferenceFormat}, `{"prompt":"p","chosen":"a","rejected":"b"}`, true},
		{Layout{Format: PreferenceFormat}, `{"prompt":"p","chosen":"a","rejected":"a"}`, false},
		{Layout{Format: PromptFormat}, `{"prompt":"","output":"a"}`, true},
		{Layout{Format: TextFormat}, `{"text":"a \ud83d\ude00","images":[1]}`, true},
		{Layout{Format: TextFormat}, `{"text":"a \ud83d"}`, false},
		{Layout{Format: TextFormat}, "{\"text\":\"a \xff\"}", false},
		{Layout{Format: TextFormat}, "{\"text\":\"a\tb\"}", false},
	} {
		checkQuickRow(t, test.layout, test.row)
		shaper, err := test.layout.Shaper()
		if err != nil {
			t.Fatal(err)
		}
		plan := shaper.quick()
		q := quickRow{plan: plan, json: quickJSON{b: []byte(test.row), lines: true}, to: &columns{shape: plan.shape, file: "f"}}
		if q.read(1) != test.taken {
			t.Errorf("%s: %s: taken %v", test.layout.Format, test.row, !test.taken)
		}
	}
}

// TestQuickTwice reads rows in which a field stands twice, or that are longer than
// rows may be.
func TestQuickTwice(t *testing.T) {
	for _, fields := range []string{
		`"name":"x","name":null`, `"name":null,"name":"x"`, `"name":"","name":"x"`, `"name":"x","name":""`,
		`"reasoning":"r","reasoning":null`, `"reasoning":" ","reasoning":"r"`, `"thinking":"t","reasoning":"r"`, `"thinking":"t","reasoning":null`,
		`"weight":null,"weight":1`, `"tool_calls":null,"tool_calls":[]`, `"content":"b"`, `"role":"user"`,
	} {
		row := `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a",` + fields + `}]}`
		checkQuickRow(t, Layout{Format: MessagesFormat}, row)
		checkQuick(t, Layout{Format: MessagesFormat}, Options{Container: JSONL}, []byte(row+"\n"+row))
	}
	row := `{"text":"` + strings.Repeat("long", 10) + `"}`
	for _, end := range []string{"\n", "\r\n", "\r"} {
		for most := len(row) - 2; most < len(row)+3; most++ {
			for _, container := range []Container{JSONL, JSON} {
				checkQuick(t, Layout{Format: TextFormat}, Options{Container: container, maxRow: int64(most)}, []byte(row+end+row+" "+end+row))
			}
		}
	}
}

// TestQuickBlocks reads more than some blocks of good and bad rows on several
// threads; records and errors are those of one thread, in order.
func TestQuickBlocks(t *testing.T) {
	m := &rowMaker{Rand: rand.New(rand.NewSource(4))}
	layout := Layout{Format: MessagesFormat}
	var b strings.Builder
	for b.Len() < 5*blockBytes {
		switch m.Intn(40) {
		case 0:
			b.WriteString(strings.ReplaceAll(m.row(columnsOf(layout)), "\n", " "))
		case 1:
			b.WriteString(`{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"` + strings.Repeat("long ", m.Intn(20000)) + `"}]}`)
		default:
			fmt.Fprintf(&b, `{"messages":[{"role":"user","content":"%d"},{"role":"assistant","content":"%s"}]}`, b.Len(), strings.Repeat("x", m.Intn(900)))
		}
		b.WriteByte('\n')
	}
	data := []byte(b.String())
	want, wantBytes := shaped(t, layout, Options{Container: JSONL, Threads: 1}, data, false)
	for _, threads := range []int{1, 2, 5} {
		for range 3 {
			got, gotBytes := shaped(t, layout, Options{Container: JSONL, Threads: threads}, data, true)
			if !reflect.DeepEqual(got, want) || !bytes.Equal(gotBytes, wantBytes) {
				t.Fatalf("%d threads: %d records and errors instead of %d", threads, len(got), len(want))
			}
		}
	}
}

// FuzzQuick compares the quick reading with the parser and the Shaper.
func FuzzQuick(f *testing.F) {
	m := &rowMaker{Rand: rand.New(rand.NewSource(5))}
	for i, layout := range quickLayouts {
		for range 3 {
			f.Add(uint(i), []byte(m.row(columnsOf(layout))+"\n"+m.row(columnsOf(layout))))
		}
	}
	f.Fuzz(func(t *testing.T, which uint, data []byte) {
		layout := quickLayouts[which%uint(len(quickLayouts))]
		for _, container := range []Container{JSONL, JSON} {
			checkQuick(t, layout, Options{Container: container, Threads: 1, maxRow: 1 << 16}, data)
		}
	})
}
