package compile

import (
	"encoding/json"
	"errors"
	"iter"
	"path/filepath"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/token"

	"github.com/pipe-run/pipe/pipeline"
)

// errWrong says that a value cannot be exported; diagnose knows why.
var errWrong = errors.New("wrong")

// node reads one step. It returns nil after noting what is wrong with it.
func (c *compiler) node(name string, v cue.Value) *pipeline.Node {
	n := &pipeline.Node{
		Name: name, Pos: c.pos(c.stepPos(name, v)),
		Inputs: map[string]pipeline.Ref{}, Outputs: map[string]string{},
	}
	before := len(c.problems)
	if !isStepName(name) { // the schema says so too, but closes nothing that embeds it
		c.badKind(name, v, cue.Value{})
		c.bad[name] = true
		return nil
	}
	kind := c.readKind(n, v)
	if kind != nil {
		if err := c.fill(n, v, kind); err != nil {
			c.diagnoseStep(name, v, kind)
			if len(c.problems) == before {
				c.fallback(name, v)
			}
		}
	}
	if len(c.problems) > before {
		c.bad[name] = true
		return nil
	}
	n.Fields = c.fieldPositions(name, v)
	return n
}

// readKind returns the shape of n's kind, or nil after saying what is wrong.
func (c *compiler) readKind(n *pipeline.Node, v cue.Value) *shape {
	kv := v.LookupPath(kindPath)
	kind, err := kv.String()
	if err != nil {
		c.badKind(n.Name, v, kv)
		return nil
	}
	n.Kind = kind
	sh := c.lang.kinds[kind]
	if sh == nil {
		c.unknownKind(n.Name, kind, kv)
	}
	return sh
}

// fill reads everything of a step but its kind. errWrong means that the step
// must be diagnosed.
func (c *compiler) fill(n *pipeline.Node, v cue.Value, kind *shape) error {
	if v.Err() != nil {
		return errWrong // somewhere in it; an unknown field too
	}
	params := newObject()
	for name, fv := range members(v, kind) {
		f := kind.at(name)
		if f == nil {
			return errWrong
		}
		var err error
		switch name {
		case "kind":
		case "in":
			err = c.readInputs(n, fv, f)
		case "out":
			err = c.readOutputs(n, fv, f)
		case "needs":
			err = c.readNeeds(n, fv)
		case "gate":
			err = c.readGate(n, fv)
		case "timeout":
			n.Limits.Timeout, err = readDuration(fv)
		case "resources":
			n.Limits.Memory, err = readMemory(fv)
		default:
			if name == "retries" {
				if i, err := fv.Int64(); err == nil {
					n.Limits.Retries = int(i)
				}
			}
			err = c.export(params, name, fv, f)
		}
		if err != nil {
			return err
		}
	}
	if len(n.Gate) > 0 && !measures(n) {
		return errWrong
	}
	var err error
	if n.Full, err = pipeline.CanonicalJSON(params.full.close()); err == nil {
		n.Params, err = pipeline.CanonicalJSON(params.key.close())
	}
	if err != nil {
		return errWrong
	}
	n.Secrets = secrets(n.Full)
	return nil
}

// measures reports whether n has an output that a gate can look at.
func measures(n *pipeline.Node) bool {
	for _, typ := range n.Outputs {
		if typ == pipeline.TypeMetrics {
			return true
		}
	}
	return false
}

// members iterates over the regular fields of v. Where the schema names all
// that there can be they are looked up, which is much faster than asking CUE
// for a list, because it would sort them as the file does.
func members(v cue.Value, sh *shape) iter.Seq2[string, cue.Value] {
	return func(yield func(string, cue.Value) bool) {
		if sh.each != nil || sh.open {
			for it := arcs(v); it.Next(); {
				if !yield(it.Selector().Unquoted(), it.Value()) {
					return
				}
			}
			return
		}
		for _, f := range sh.sorted() {
			if fv := v.LookupPath(f.sel); fv.Exists() && !yield(f.name, fv) {
				return
			}
		}
	}
}

// An object is the JSON of a struct twice: with all fields, and with those
// that enter the key.
type object struct{ full, key *text }

func newObject() *object { return &object{&text{}, &text{}} }

// A text is a JSON object that grows.
type text struct{ b []byte }

func (t *text) member(name string, value []byte) {
	if len(t.b) == 0 {
		t.b = append(t.b, '{')
	} else {
		t.b = append(t.b, ',')
	}
	quoted, _ := json.Marshal(name)
	t.b = append(append(append(t.b, quoted...), ':'), value...)
}

func (t *text) close() []byte {
	if len(t.b) == 0 {
		return []byte("{}")
	}
	return append(t.b, '}')
}

// export adds the field called name to o.
func (c *compiler) export(o *object, name string, v cue.Value, f *field) error {
	full, key, err := c.value(v, f)
	if err != nil {
		return err
	}
	o.full.member(name, full)
	if !f.nokey {
		o.key.member(name, key)
	}
	return nil
}

// value returns v as JSON: all of it, and what enters the key.
func (c *compiler) value(v cue.Value, f *field) (full, key []byte, err error) {
	if f == nil {
		return nil, nil, errWrong
	}
	if f.path {
		if full, err = c.path(v); err != nil {
			return nil, nil, errWrong
		}
		raw, err := v.MarshalJSON()
		if err != nil {
			return nil, nil, errWrong
		}
		return full, raw, nil
	}
	if f.mixed {
		switch v.Kind() {
		case cue.StructKind:
			return c.structValue(v, f)
		case cue.ListKind:
			return c.listValue(v, f)
		}
	}
	if full, err = v.MarshalJSON(); err != nil {
		return nil, nil, errWrong
	}
	return full, full, nil
}

func (c *compiler) structValue(v cue.Value, f *field) (full, key []byte, err error) {
	if v.Err() != nil || f.shape == nil {
		return nil, nil, errWrong
	}
	o := newObject()
	n := 0
	for name, fv := range members(v, f.shape) {
		sub := f.shape.at(name)
		if sub == nil {
			return nil, nil, errWrong
		}
		if err := c.export(o, name, fv, sub); err != nil {
			return nil, nil, err
		}
		n++
	}
	if f.one && n != 1 {
		return nil, nil, errWrong
	}
	return o.full.close(), o.key.close(), nil
}

func (c *compiler) listValue(v cue.Value, f *field) (full, key []byte, err error) {
	it, err := v.List()
	if err != nil || f.elem == nil {
		return nil, nil, errWrong
	}
	full, key = []byte{'['}, []byte{'['}
	for i := 0; it.Next(); i++ {
		a, b, err := c.value(it.Value(), f.elem)
		if err != nil {
			return nil, nil, err
		}
		if i > 0 {
			full, key = append(full, ','), append(key, ',')
		}
		full, key = append(full, a...), append(key, b...)
	}
	return append(full, ']'), append(key, ']'), nil
}

// path returns a path, made absolute against the folder of the file that
// writes it, as JSON. A module that was fetched may only name files of its own.
func (c *compiler) path(v cue.Value) ([]byte, error) {
	s, err := v.String()
	if err != nil {
		return nil, err
	}
	pos := c.literalPos(v)
	dir := c.dir
	if filepath.IsAbs(pos.Filename()) {
		dir = filepath.Dir(pos.Filename())
	}
	given := s
	if !filepath.IsAbs(s) {
		s = filepath.Join(dir, s)
	}
	if c.world != nil {
		if in, ok := c.world.modules.Locate(pos.Filename()); ok {
			root := strings.TrimSuffix(filepath.ToSlash(pos.Filename()), "/"+in.File)
			if rel, err := filepath.Rel(filepath.FromSlash(root), s); filepath.IsAbs(given) || err != nil || !filepath.IsLocal(rel) {
				c.add(pos, "a template names files of its module; what is elsewhere it takes as an input or a parameter",
					"the path %q leads out of module %s", given, in.Module)
				return nil, errWrong
			}
		}
	}
	return json.Marshal(s)
}

// readInputs reads the wires that end in n.
func (c *compiler) readInputs(n *pipeline.Node, v cue.Value, f *field) error {
	if f.shape == nil {
		return errWrong
	}
	return c.readWires(n, "", v, f.shape)
}

// readWires reads the inputs of a shape, whose names begin with prefix.
func (c *compiler) readWires(n *pipeline.Node, prefix string, v cue.Value, sh *shape) error {
	for name, in := range members(v, sh) {
		f := sh.at(name)
		if f == nil || in.Err() != nil {
			return errWrong
		}
		if f.isGroup() {
			if err := c.readWires(n, join(prefix, name), in, f.shape); err != nil {
				return err
			}
			continue
		}
		ref, err := readWire(in)
		if err != nil {
			return errWrong
		}
		n.Inputs[join(prefix, name)] = ref
	}
	return nil
}

var (
	kindPath = cue.ParsePath("kind")
	stepPath = cue.MakePath(cue.Str("$step"))
	outName  = cue.MakePath(cue.Str("$out"))
	typePath = cue.ParsePath("type")
)

// readWire reads what steps.X.out.Y stands for.
func readWire(v cue.Value) (ref pipeline.Ref, err error) {
	if ref.Step, err = v.LookupPath(stepPath).String(); err != nil {
		return ref, err
	}
	ref.Output, err = v.LookupPath(outName).String()
	return ref, err
}

// readRef reads what steps.X.out.Y stands for, and its type.
func readRef(v cue.Value) (ref pipeline.Ref, typ string, err error) {
	if ref, err = readWire(v); err == nil {
		typ, err = v.LookupPath(typePath).String()
	}
	return ref, typ, err
}

func (c *compiler) readOutputs(n *pipeline.Node, v cue.Value, f *field) error {
	if f.shape == nil {
		return errWrong
	}
	for name, out := range members(v, f.shape) {
		_, typ, err := readRef(out)
		if err != nil || out.Err() != nil {
			return errWrong
		}
		n.Outputs[name] = typ
	}
	return nil
}

// readNeeds reads the steps that n waits for without a wire: see rewriteNeeds
// for the form that most of them have.
func (c *compiler) readNeeds(n *pipeline.Node, v cue.Value) error {
	it, err := v.List()
	if err != nil {
		return errWrong
	}
	for it.Next() {
		name, err := c.neededStep(it.Value())
		if err != nil || !c.steps[name].Exists() {
			return errWrong
		}
		n.Needs = append(n.Needs, name)
	}
	return nil
}

func (c *compiler) neededStep(v cue.Value) (string, error) {
	if s, err := v.LookupPath(stepPath).String(); err == nil && !v.LookupPath(outName).Exists() {
		return s, nil
	}
	return v.LookupPath(cue.MakePath(c.world.hidName)).String()
}

// stepPos is where a step is named.
func (c *compiler) stepPos(name string, v cue.Value) token.Pos {
	if p := c.places[name]; p != nil {
		return p.label
	}
	if p := c.inner[name]; p != nil {
		return p.label
	}
	return c.labelPos(v)
}
