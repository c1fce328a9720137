package cli

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/compile"
	"github.com/pipe-run/pipe/pipeline/modules"
)

func (a *app) templateCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "template", Short: "Look at templates", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	var asJSON bool
	show := &cobra.Command{
		Use: "show MODULE[@VERSION] [PACKAGE]", Short: "Say what the templates of a module or folder take, do and give", Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := findTemplates(cmd.Context(), args)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(found)
			}
			return found.print(a.out)
		},
	}
	jsonFlag(show, &asJSON)
	wrapArgs(show)
	cmd.AddCommand(show)
	return cmd
}

// A templatesPage is what pipe template show tells.
type templatesPage struct {
	Module    string             `json:"module,omitempty"` // path@version; empty for a folder
	Import    string             `json:"-"`                // path of the module without version, or of the folder
	Templates []compile.Template `json:"templates"`
}

// findTemplates reads the templates of a module, or of a folder here.
func findTemplates(ctx context.Context, args []string) (*templatesPage, error) {
	page := &templatesPage{}
	var fsys fs.FS
	folder := "."
	if st, err := os.Stat(args[0]); err == nil && st.IsDir() {
		fsys, page.Import = os.DirFS(args[0]), filepath.ToSlash(args[0])
	} else if isFolderName(args[0]) {
		return nil, usagef("%s: no such folder", args[0])
	} else {
		m, err := modules.New(ctx, nil).Resolve(ctx, args[0])
		if err != nil {
			return nil, modError(err)
		}
		fsys, folder, page.Module = m.FS, m.Package, m.Name()
		page.Import, _, _ = strings.Cut(page.Module, "@")
	}
	if len(args) == 2 {
		folder = path.Join(folder, filepath.ToSlash(args[1]))
		if st, err := fs.Stat(fsys, folder); !fs.ValidPath(folder) || err != nil || !st.IsDir() {
			return nil, usagef("%s has no package %s", args[0], args[1])
		}
	}
	var err error
	if page.Templates, err = compile.Templates(fsys, folder); err != nil {
		return nil, err
	}
	if len(page.Templates) == 0 {
		return nil, &pipeline.Problem{
			Message: fmt.Sprintf("pipe: %s holds no template", strings.Join(args, " ")),
			Hint:    "a template is a definition such as #Template with a prefix and steps: see docs/templates.md",
		}
	}
	return page, nil
}

func isFolderName(s string) bool {
	return s == "." || s == ".." || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") || filepath.IsAbs(s)
}

// importPath is what a pipeline writes to import the package of t.
func (p *templatesPage) importPath(t compile.Template) string {
	s := path.Join(p.Import, t.Folder)
	if t.Package != "" && t.Package != path.Base(s) {
		s += ":" + t.Package
	}
	return s
}

func (p *templatesPage) print(w io.Writer) error {
	for i, t := range p.Templates {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := p.printOne(w, t); err != nil {
			return err
		}
	}
	return nil
}

func (p *templatesPage) printOne(w io.Writer, t compile.Template) error {
	fmt.Fprintf(w, "%s.%s", t.Package, t.Name)
	if p.Module != "" {
		fmt.Fprintf(w, " of %s, import %q", p.Module, p.importPath(t))
	}
	fmt.Fprintln(w)
	if t.Doc != "" {
		fmt.Fprintln(w, t.Doc)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	section := func(title string, fields []compile.TemplateField) {
		if len(fields) == 0 {
			return
		}
		fmt.Fprintf(table, "\n%s\n", title)
		for _, f := range fields {
			name, fallback := f.Name, f.Default
			if f.Optional {
				name += "?"
			}
			if fallback != "" {
				fallback = "*" + fallback
			}
			lines := strings.Split(f.Doc, "\n")
			row := strings.Join([]string{name, f.Type, fallback, lines[0]}, "\t")
			fmt.Fprintf(table, "  %s\n", strings.TrimRight(row, "\t"))
			for _, line := range lines[1:] {
				fmt.Fprintf(table, "  \t\t\t%s\n", line)
			}
		}
	}
	section("inputs", t.Inputs)
	section("parameters, * before a default", t.Parameters)
	section("steps", t.Steps)
	section("outputs", t.Outputs)
	return table.Flush()
}
