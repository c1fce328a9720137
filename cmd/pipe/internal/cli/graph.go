package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/compile"
)

func (a *app) graphCommand() *cobra.Command {
	var src source
	var format string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "graph FILE", Short: "Draw the steps and the wires between them", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src.file = args[0]
			if asJSON {
				format = "json"
			}
			draw, ok := map[string]func(*pipeline.Graph) error{
				"svg":     func(g *pipeline.Graph) error { return drawSVG(a.out, g) },
				"dot":     func(g *pipeline.Graph) error { return drawDot(a.out, g) },
				"mermaid": func(g *pipeline.Graph) error { return drawMermaid(a.out, g) },
				"json":    func(g *pipeline.Graph) error { return a.printJSON(graphPage(g)) },
			}[format]
			if !ok {
				return usagef("--format %q: wanted svg, dot, mermaid or json", format)
			}
			g, err := compile.File(cmd.Context(), src.file, compile.Options{Tags: src.tags})
			if err != nil {
				return err
			}
			return draw(g)
		},
	}
	src.tagFlag(cmd)
	cmd.Flags().StringVar(&format, "format", "mermaid", "svg, dot, mermaid or json")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// A wire is an edge of a drawn graph; Type is empty for an order without data.
type wire struct {
	From   string `json:"from"`
	Output string `json:"output,omitempty"`
	To     string `json:"to"`
	Input  string `json:"input,omitempty"`
	Type   string `json:"type,omitempty"`
}

type graphJSON struct {
	Name  string      `json:"name"`
	Steps []graphStep `json:"steps"`
	Wires []wire      `json:"wires"`
}

type graphStep struct {
	Name    string            `json:"name"`
	Kind    string            `json:"kind"`
	Outputs map[string]string `json:"outputs"`
	Pos     pipeline.Pos      `json:"pos"`
}

func graphPage(g *pipeline.Graph) graphJSON {
	page := graphJSON{Name: g.Name, Steps: []graphStep{}, Wires: wires(g)}
	for _, n := range g.Nodes {
		page.Steps = append(page.Steps, graphStep{n.Name, n.Kind, n.Outputs, n.Pos})
	}
	return page
}

// wires lists all edges in a fixed order.
func wires(g *pipeline.Graph) []wire {
	list := []wire{}
	for _, n := range g.Nodes {
		for _, in := range slices.Sorted(maps.Keys(n.Inputs)) {
			ref := n.Inputs[in]
			list = append(list, wire{ref.Step, ref.Output, n.Name, in, g.Node(ref.Step).Outputs[ref.Output]})
		}
		for _, need := range n.Needs {
			list = append(list, wire{From: need, To: n.Name})
		}
	}
	return list
}

func drawDot(w io.Writer, g *pipeline.Graph) error {
	fmt.Fprintf(w, "digraph %s {\n\trankdir=LR;\n\tnode [shape=box];\n", strconv.Quote(g.Name))
	for _, n := range g.Nodes {
		fmt.Fprintf(w, "\t%s [label=%s];\n", strconv.Quote(n.Name), strconv.Quote(n.Name+"\n"+n.Kind))
	}
	for _, e := range wires(g) {
		attrs := "[label=" + strconv.Quote(e.Type) + "]"
		if e.Type == "" {
			attrs = "[style=dashed]"
		}
		fmt.Fprintf(w, "\t%s -> %s %s;\n", strconv.Quote(e.From), strconv.Quote(e.To), attrs)
	}
	_, err := fmt.Fprintln(w, "}")
	return err
}

func drawMermaid(w io.Writer, g *pipeline.Graph) error {
	fmt.Fprintln(w, "flowchart LR")
	id := map[string]string{}
	for i, n := range g.Nodes {
		id[n.Name] = fmt.Sprintf("s%d", i)
		fmt.Fprintf(w, "    %s[\"%s<br/>%s\"]\n", id[n.Name], n.Name, n.Kind)
	}
	for _, e := range wires(g) {
		arrow := "-->|" + e.Type + "|"
		if e.Type == "" {
			arrow = "-.->"
		}
		fmt.Fprintf(w, "    %s %s %s\n", id[e.From], arrow, id[e.To])
	}
	return nil
}
