package chat

import (
	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
)

// A template is rendered for every record, and again for each prefix that a mask
// is found by, where most of the engine's time goes to reflection and to contexts
// that it copies. So the statements that chat templates are made of are also
// compiled to functions of Go. They do what the engine does, or give up: what they
// do not know, and whatever is an error, is left to the engine, which renders it
// from the beginning.

// direct is the direct form of a template.
type direct struct {
	body statement
	vars int // how many variables there are; the first are inputs
}

// inputNames are the variables that a conversation sets, numbered from 0.
func inputNames() []string {
	return []string{"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token"}
}

const (
	inMessages = iota
	inTools
	inDocuments
	inGenerate
	inBOS
	inEOS
	inputs
)

// Bounds of a direct rendering: the turns of its loops, and macros within macros.
// The engine, which has a clock, takes over from there.
const (
	maxSteps  = 100_000
	maxNested = 32
)

// statement writes to a machine. It returns false to give up.
type statement func(m *machine) bool

// machine is one direct rendering.
type machine struct {
	out   []byte
	marks []mark
	vars  []value
	set   []bool // whether a variable has a value
	steps int    // of loops
	depth int    // of macros and blocks whose text is kept
}

// newDirect returns the direct form of a template that rewrite respelled; nil if
// it has none.
func newDirect(rewritten string) (d *direct) {
	defer func() {
		if recover() != nil { // the engine's parser, which has accepted the template once
			d = nil
		}
	}()
	e := environment()
	if e.ControlStructures.Replace("set", parseAssignment) != nil {
		return nil
	}
	cfg := config.New()
	cfg.KeepTrailingNewline = true
	t, err := exec.NewTemplate(rootName, cfg, loader(rewritten), e)
	if err != nil || t.Root().Parent != nil || len(t.Root().Blocks) > 0 {
		return nil
	}
	c := &compiler{environment: e}
	global := &scope{names: map[string]int{}}
	for _, name := range inputNames() {
		global.names[name] = c.variable()
	}
	body := c.block(&scope{outer: global}, t.Root().Nodes)
	return &direct{body: body, vars: c.count}
}

// render returns what the engine would, or false.
func (d *direct) render(vars *[inputs]value) (out string, marks []mark, ok bool) {
	defer func() {
		if recover() != nil { // a filter of the engine, which will say so
			ok = false
		}
	}()
	m := machine{vars: make([]value, d.vars), set: make([]bool, d.vars)}
	for i := range vars {
		m.vars[i], m.set[i] = vars[i], vars[i].form != undefined
	}
	if !d.body(&m) {
		return "", nil, false
	}
	return string(m.out), m.marks, true
}

// renderDirect renders a conversation without the engine, if that can be.
func (t *Template) renderDirect(messages []Message, tools string, generate bool) (string, []mark, bool) {
	if t.direct == nil {
		return "", nil, false
	}
	turns, all := make([]turnValue, len(messages)), make([]value, len(messages))
	for i := range messages {
		turns[i].message = &messages[i]
		if calls := messages[i].ToolCalls; calls != "" {
			var ok bool
			if turns[i].calls, ok = jsonValue(calls); !ok {
				return "", nil, false
			}
		}
		all[i] = value{form: turn, turn: &turns[i]}
	}
	vars := [inputs]value{
		inMessages: {form: many, list: all}, inTools: {form: absent}, inDocuments: {form: absent},
		inGenerate: truthOf(generate), inBOS: named(t.piece(t.tok.BOS())), inEOS: named(t.piece(t.tok.EOS())),
	}
	if tools != "" {
		var ok bool
		if vars[inTools], ok = jsonValue(tools); !ok {
			return "", nil, false
		}
	}
	return t.direct.render(&vars)
}

// jsonValue is the value of JSON.
func jsonValue(s string) (value, bool) {
	v, err := readJSON(s)
	if err != nil {
		return value{}, false
	}
	return valueOf(exec.ToValue(v))
}

// named is the spelling of a token; a text that is empty is no token's.
func named(s string) value {
	if s == "" {
		return value{}
	}
	return textOf(s)
}
