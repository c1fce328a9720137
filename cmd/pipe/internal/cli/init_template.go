package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/pipe-run/pipe/pipeline/compile"
	"github.com/pipe-run/pipe/pipeline/modules"
)

// initTemplate writes a pipeline that uses the first template of a module, or
// of a package of one, and makes dir a module that depends on it.
func (a *app) initTemplate(ctx context.Context, name, dir string) error {
	page, err := findTemplates(ctx, []string{name})
	if err != nil {
		return err
	}
	if page.Module == "" {
		return usagef("%s is a folder; pipe init --template wants a module, such as example.com/templates/chat", name)
	}
	dst := filepath.Join(dir, "finetune.cue")
	if _, err := os.Lstat(dst); err == nil {
		return usagef("%s exists already; pipe init overwrites nothing", dst)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := compile.Format(dst, []byte(page.pipeline(page.Templates[0])))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if modules.FindFile(absolute(dir)) == "" {
		if _, err := modules.Init(dir, ""); err != nil {
			return modError(err)
		}
	}
	m, err := modules.Open(dir)
	if err != nil {
		return modError(err)
	}
	change, err := modules.New(ctx, nil).Get(m, []string{page.Module}, false)
	if err == nil {
		err = change.Write()
	}
	if err != nil {
		return modError(err)
	}
	if err := os.WriteFile(dst, text, 0o666); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "wrote %s, which uses %s; its sources are for you to fill in\n", dst, page.Module)
	return err
}

func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// pipeline returns a pipeline that uses t: each input of the template comes
// from a local source.
func (p *templatesPage) pipeline(t compile.Template) string {
	var b, in strings.Builder
	fmt.Fprintf(&b, "// Uses a template of %s; pipe template show %s tells all about it.\n", p.Module, p.Module)
	fmt.Fprintf(&b, "package pipelines\n\nimport %q\n\n", p.importPath(t))
	fmt.Fprintf(&b, "name: %q\n\nsteps: {\n", pipelineName(p.importPath(t)))
	for _, f := range t.Inputs {
		if f.Optional {
			continue
		}
		typ, _, _ := strings.Cut(f.Type, " | ")
		comment(&b, f.Doc)
		switch typ {
		case "model", "adapter":
			fmt.Fprintf(&b, "%q: {kind: \"fetch\", as: %q, source: file: path: %q}\n", f.Name, typ, f.Name)
			fmt.Fprintf(&in, "%q: steps[%q].out.%s\n", f.Name, f.Name, typ)
		case "files":
			fmt.Fprintf(&b, "%q: {kind: \"fetch\", source: file: path: %q}\n", f.Name, path.Join("data", f.Name))
			fmt.Fprintf(&in, "%q: steps[%q].out.files\n", f.Name, f.Name)
		default:
			fmt.Fprintf(&in, "// %q: an output of type %s, of a step of yours\n", f.Name, f.Type)
		}
	}
	fmt.Fprintf(&b, "}\n\nlet first = %s.%s & {\nprefix: \"first\"\n", t.Package, t.Name)
	if in.Len() > 0 {
		fmt.Fprintf(&b, "in: {\n%s}\n", in.String())
	}
	for _, f := range t.Parameters {
		b.WriteByte('\n')
		comment(&b, f.Doc)
		switch {
		case f.Required():
			fmt.Fprintf(&b, "// It must be given.\n// %s: %s\n", strings.ReplaceAll(f.Name, ".", ": "), f.Type)
		case f.Optional:
			fmt.Fprintf(&b, "// %s: %s\n", strings.ReplaceAll(f.Name, ".", ": "), f.Type)
		default:
			fmt.Fprintf(&b, "// %s: %s\n", strings.ReplaceAll(f.Name, ".", ": "), f.Default)
		}
	}
	b.WriteString("}\nsteps: first.steps\n")
	return b.String()
}

func comment(b *strings.Builder, doc string) {
	if doc == "" {
		return
	}
	for _, line := range strings.Split(doc, "\n") {
		fmt.Fprintf(b, "// %s\n", line)
	}
}

// pipelineName makes a pipeline's name of the last part of an import path.
func pipelineName(s string) string {
	s, _, _ = strings.Cut(path.Base(s), ":")
	s = strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(s))
	return strings.Trim(s, "-") + "-pipeline"
}
