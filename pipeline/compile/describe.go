package compile

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// A Template is what a package says about one of its templates.
type Template struct {
	Folder     string          `json:"folder"`  // inside of the module, "." for its root
	Package    string          `json:"package"` // as the files call it
	Name       string          `json:"name"`    // such as #Template
	Doc        string          `json:"doc,omitempty"`
	Inputs     []TemplateField `json:"inputs"`
	Parameters []TemplateField `json:"parameters"`
	Steps      []TemplateField `json:"steps"` // type is the kind
	Outputs    []TemplateField `json:"outputs"`
}

// A TemplateField is an input, a parameter, a step or an output of a template.
type TemplateField struct {
	Name     string `json:"name"`
	Type     string `json:"type,omitempty"` // of the artifact, or what a parameter may be, in CUE
	Default  string `json:"default,omitempty"`
	Optional bool   `json:"optional,omitempty"`
	Doc      string `json:"doc,omitempty"`
}

// Required reports whether whoever uses the template must give the field.
func (f TemplateField) Required() bool { return f.Default == "" && !f.Optional }

// maxTemplateFile bounds the files that Templates reads, in bytes.
const maxTemplateFile = 4 << 20

// Templates reads the templates of a folder of packages: definitions that have
// a prefix and steps. Without any in the folder itself it looks below it. They
// come in the order of the folders and files.
func Templates(fsys fs.FS, folder string) ([]Template, error) {
	all, err := templatesIn(fsys, folder)
	if err != nil || len(all) > 0 {
		return all, err
	}
	err = fs.WalkDir(fsys, folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || name == folder {
			return err
		}
		if d.Name() == "cue.mod" || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") {
			return fs.SkipDir
		}
		more, err := templatesIn(fsys, name)
		all = append(all, more...)
		return err
	})
	return all, err
}

func templatesIn(fsys fs.FS, folder string) ([]Template, error) {
	lang, err := builtin()
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(fsys, path.Join(folder, "*.cue"))
	if err != nil {
		return nil, err
	}
	var all []Template
	for _, name := range names {
		if st, err := fs.Stat(fsys, name); err != nil || st.Size() > maxTemplateFile {
			return nil, fmt.Errorf("%s: not a file of at most %d bytes", name, maxTemplateFile)
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(name, src, parser.ParseComments)
		if err != nil {
			s := &source{name: name, abs: name, src: src}
			return nil, s.syntaxProblems(err)
		}
		for _, d := range f.Decls {
			if d, ok := d.(*ast.Field); ok && isTemplate(d.Value) {
				if def, _, err := ast.LabelName(d.Label); err == nil && isDefinition(def) {
					t := describeTemplate(d, lang)
					t.Folder, t.Package, t.Name = folder, f.PackageName(), def
					all = append(all, t)
				}
			}
		}
	}
	return all, nil
}

func describeTemplate(d *ast.Field, lang *language) Template {
	t := Template{
		Doc: docOf(d), Inputs: []TemplateField{}, Parameters: []TemplateField{},
		Steps: []TemplateField{}, Outputs: []TemplateField{},
	}
	x := d.Value
	if a, ok := x.(*ast.Alias); ok {
		x = a.Expr
	}
	st := x.(*ast.StructLit)
	e := &expander{lang: lang, steps: map[ast.Node]map[string]*ast.StructLit{}, params: map[token.Pos]string{}}
	for _, d := range st.Elts {
		f, ok := d.(*ast.Field)
		if !ok {
			continue
		}
		name, _, err := ast.LabelName(f.Label)
		if err != nil || strings.HasPrefix(name, "_") || isDefinition(name) {
			continue
		}
		switch name {
		case "prefix":
		case "in":
			t.Inputs = append(t.Inputs, fieldsOf(f.Value, describeInput)...)
		case "steps":
			t.Steps = append(t.Steps, describeSteps(f.Value)...)
		case "out":
			t.Outputs = append(t.Outputs, fieldsOf(f.Value, func(f *ast.Field, name string) []TemplateField {
				out := TemplateField{Name: name, Doc: docOf(f)}
				if scope, step, rest := e.chain(f.Value); scope != nil && len(rest) == 2 {
					out.Type = e.outputs(e.stepsIn(scope)[exprText(step)])[rest[1]]
				}
				return []TemplateField{out}
			})...)
		default:
			t.Parameters = append(t.Parameters, describeParameter(f, name)...)
		}
	}
	return t
}

// fieldsOf describes every field of a struct.
func fieldsOf(x ast.Expr, describe func(*ast.Field, string) []TemplateField) (all []TemplateField) {
	st, ok := x.(*ast.StructLit)
	if !ok {
		return nil
	}
	for _, d := range st.Elts {
		if f, ok := d.(*ast.Field); ok {
			if name, _, err := ast.LabelName(f.Label); err == nil {
				all = append(all, describe(f, name)...)
			}
		}
	}
	return all
}

func describeInput(f *ast.Field, name string) []TemplateField {
	types := (&compiler{}).templateTypes(&field{exprs: []ast.Expr{f.Value}})
	return []TemplateField{{Name: name, Type: strings.Join(types, " | "), Optional: f.Constraint == token.OPTION, Doc: docOf(f)}}
}

func describeParameter(f *ast.Field, name string) []TemplateField {
	if st, ok := f.Value.(*ast.StructLit); ok && len(st.Elts) > 0 {
		if inner := fieldsOf(st, describeParameter); len(inner) > 0 {
			for i := range inner {
				inner[i].Name = name + "." + inner[i].Name
				inner[i].Optional = inner[i].Optional || f.Constraint == token.OPTION
			}
			return inner
		}
	}
	p := TemplateField{Name: name, Optional: f.Constraint == token.OPTION, Doc: docOf(f)}
	var types []string
	for _, x := range disjuncts(f.Value) {
		if u, ok := x.(*ast.UnaryExpr); ok && u.Op == token.MUL {
			p.Default = oneLine(u.X)
			continue
		}
		types = append(types, oneLine(x))
	}
	if len(types) == 1 {
		types[0] = strings.TrimSuffix(strings.TrimPrefix(types[0], "("), ")")
	}
	if p.Type = strings.Join(types, " | "); p.Type == "" {
		p.Type = p.Default
	}
	return []TemplateField{p}
}

func disjuncts(x ast.Expr) []ast.Expr {
	if b, ok := x.(*ast.BinaryExpr); ok && b.Op == token.OR {
		return append(disjuncts(b.X), disjuncts(b.Y)...)
	}
	return []ast.Expr{x}
}

// describeSteps lists the steps that a template writes, with prefix standing
// for the user's.
func describeSteps(x ast.Expr) (all []TemplateField) {
	switch x := x.(type) {
	case *ast.BinaryExpr:
		return append(describeSteps(x.X), describeSteps(x.Y)...)
	case *ast.ParenExpr:
		return describeSteps(x.X)
	case *ast.StructLit:
		for _, d := range x.Elts {
			switch d := d.(type) {
			case *ast.Comprehension:
				if st, ok := d.Value.(*ast.StructLit); ok {
					all = append(all, describeSteps(st)...)
				}
			case *ast.Field:
				st, _ := d.Value.(*ast.StructLit)
				if name := labelText(d.Label); name != "" {
					all = append(all, TemplateField{Name: readable(name), Type: kindLiteral(st), Doc: docOf(d)})
				}
			}
		}
	}
	return all
}

// readable writes "\(prefix)-chat" as PREFIX-chat.
func readable(label string) string {
	label = strings.Trim(label, `"`)
	for {
		i := strings.Index(label, `\(`)
		j := strings.Index(label[max(i, 0):], ")")
		if i < 0 || j < 0 {
			return label
		}
		inner := label[i+2 : i+j]
		label = label[:i] + strings.ToUpper(inner[strings.LastIndexByte(inner, '.')+1:]) + label[i+j+1:]
	}
}

func docOf(n ast.Node) string {
	for _, g := range ast.Comments(n) {
		if g.Doc {
			return strings.TrimSpace(g.Text())
		}
	}
	return ""
}

func oneLine(x ast.Expr) string {
	b, err := format.Node(x)
	if err != nil {
		return "…"
	}
	return strings.Join(strings.Fields(string(b)), " ")
}

// Format returns a CUE file in the one form that all have. Mistakes in its
// syntax are Problems.
func Format(name string, src []byte) ([]byte, error) {
	f, err := parser.ParseFile(name, src, parser.ParseComments)
	if err != nil {
		s := &source{name: name, abs: name, src: src}
		return nil, s.syntaxProblems(err)
	}
	out, err := format.Node(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return slices.Clip(out), nil
}
