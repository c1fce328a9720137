package cli

import (
	"fmt"
	"html"
	"io"
	"unicode/utf8"

	"github.com/pipe-run/pipe/pipeline"
)

// The drawing, in pixels: each step stands in the column after its last input.
const (
	boxHeight  = 44
	boxGapX    = 90
	boxGapY    = 20
	boxPadding = 24
	charWidth  = 8 // of the widest common character at the size used
	drawMargin = 16
)

// A box is a step in a drawing.
type box struct {
	node       *pipeline.Node
	x, y, wide int
}

// layout places the steps: columns from left to right, in order of the graph
// from top to bottom. It returns the drawing's size too.
func layout(g *pipeline.Graph) (boxes map[string]*box, width, height int) {
	column := map[string]int{}
	var columns [][]*box
	boxes = map[string]*box{}
	for _, n := range g.Nodes { // upstream first
		c := 0
		for _, up := range n.Upstream() {
			c = max(c, column[up]+1)
		}
		column[n.Name] = c
		for len(columns) <= c {
			columns = append(columns, nil)
		}
		b := &box{node: n, wide: charWidth*max(utf8.RuneCountInString(n.Name), utf8.RuneCountInString(n.Kind)) + boxPadding}
		boxes[n.Name] = b
		columns[c] = append(columns[c], b)
	}
	x := drawMargin
	for _, list := range columns {
		widest := 0
		for i, b := range list {
			b.x, b.y = x, drawMargin+i*(boxHeight+boxGapY)
			widest = max(widest, b.wide)
			height = max(height, b.y+boxHeight+drawMargin)
		}
		x += widest + boxGapX
	}
	return boxes, max(2*drawMargin, x-boxGapX+drawMargin), max(2*drawMargin, height)
}

// drawSVG draws the graph as a picture that needs nothing else.
func drawSVG(w io.Writer, g *pipeline.Graph) error {
	boxes, width, height := layout(g)
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", width, height, width, height)
	fmt.Fprintf(w, "<title>%s</title>\n", html.EscapeString(g.Name))
	fmt.Fprintln(w, `<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>`)
	for _, e := range wires(g) {
		from, to := boxes[e.From], boxes[e.To]
		x1, y1, x2, y2 := from.x+from.wide, from.y+boxHeight/2, to.x, to.y+boxHeight/2
		dash := ""
		if e.Type == "" {
			dash = ` stroke-dasharray="4 4"`
		}
		fmt.Fprintf(w, `<path d="M%d %dC%d %d %d %d %d %d" fill="none" stroke="#555" marker-end="url(#tip)"%s/>`+"\n",
			x1, y1, x1+boxGapX/2, y1, x2-boxGapX/2, y2, x2, y2, dash)
		if e.Type != "" {
			fmt.Fprintf(w, `<text x="%d" y="%d" text-anchor="middle" font-size="11" fill="#555">%s</text>`+"\n", x2-boxGapX/2, y2-5, html.EscapeString(e.Type))
		}
	}
	for _, n := range g.Nodes {
		b := boxes[n.Name]
		middle := b.x + b.wide/2
		fmt.Fprintf(w, `<rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="#eef4ff" stroke="#4a6fa5"/>`+"\n", b.x, b.y, b.wide, boxHeight)
		fmt.Fprintf(w, `<text x="%d" y="%d" text-anchor="middle" fill="#111">%s</text>`+"\n", middle, b.y+19, html.EscapeString(n.Name))
		fmt.Fprintf(w, `<text x="%d" y="%d" text-anchor="middle" font-size="11" fill="#555">%s</text>`+"\n", middle, b.y+35, html.EscapeString(n.Kind))
	}
	_, err := fmt.Fprintln(w, "</svg>")
	return err
}
