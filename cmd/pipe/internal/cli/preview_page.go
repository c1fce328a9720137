package cli

import (
	"fmt"
	"html/template"
	"io"
	"os"
	"strings"

	"github.com/pipe-run/pipe/steps/inspect"
)

// writePage writes a preview as one HTML page that needs nothing else.
func writePage(out io.Writer, path, step string, p *inspect.Preview) error {
	t, err := template.New("preview").Funcs(template.FuncMap{
		"visible": func(s string) string { return visible(clean(s)) },
		"share":   func(n, most int64) int64 { return max(1, 100*n/max(1, most)) },
		"parity":  func(i int) int { return i % 2 },
	}).Parse(previewPage)
	if err != nil {
		return err
	}
	most := int64(0)
	var lines []string
	if p.Lengths != nil {
		lines = summary(p.Lengths)
		for _, c := range p.Lengths.Histogram {
			most = max(most, c.Rows)
		}
	}
	var text strings.Builder
	if err := t.Execute(&text, map[string]any{"Step": step, "P": p, "Summary": lines, "Most": most}); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o666); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s: %s\n", path, count(len(p.Rows)+len(p.Records), "row"))
	return err
}

const previewPage = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Step}}: preview</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #222; background: #fff }
h2 { font-size: 1em; margin: 2em 0 .4em; color: #666 }
.row { white-space: pre-wrap; overflow-wrap: anywhere; font: 14px/1.7 ui-monospace, monospace; border: 1px solid #ddd; border-radius: 6px; padding: .8em }
.t0 { background: #eee } .t1 { background: #ddd }
.s.t0 { background: #bfe8c4 } .s.t1 { background: #98d7a2 }
.w.t0 { background: #f6e3a1 } .w.t1 { background: #ecd27a }
.x { color: #a0148c; font-weight: 600 }
.doc { display: block; border-top: 1px dashed #999; margin: .5em 0 }
table { border-collapse: collapse } td { padding: 0 .6em; text-align: right }
.bar { background: #98d7a2; height: .9em; min-width: 1px }
dt { font-weight: 600; margin-top: .5em } dd { margin: 0; white-space: pre-wrap }
@media (prefers-color-scheme: dark) {
 body { color: #ddd; background: #181818 } .row { border-color: #444 }
 .t0 { background: #2b2b2b } .t1 { background: #3a3a3a }
 .s.t0 { background: #1d4a26 } .s.t1 { background: #2a6636 }
 .w.t0 { background: #5a4a12 } .w.t1 { background: #75611b }
 .x { color: #f48fe0 }
}
</style>
</head>
<body>
<h1>{{.Step}}</h1>
{{range .Summary}}<p>{{.}}</p>
{{end}}{{range .P.Notes}}<p>{{.}}</p>
{{end}}{{if .P.Partial}}<p>The step has not run: these rows were made of the records shown alone, unpacked.</p>
{{end}}{{with .P.Lengths}}<table>
{{range .Histogram}}<tr><td>≤ {{.AtMost}}</td><td>{{.Rows}}</td><td style="width: 30em"><div class="bar" style="width: {{if .Rows}}{{share .Rows $.Most}}{{else}}0{{end}}%"></div></td></tr>
{{end}}</table>
<p><span class="s t0">supervised</span> <span class="w t0">supervised, with a weight of its own</span> <span class="t0">not supervised</span> <span class="x">special token</span></p>
{{end}}{{range .P.Rows}}<h2>row {{.Number}}: {{.Tokens}} tokens, {{.Supervised}} supervised{{if gt .Documents 1}}, {{.Documents}} documents{{end}}</h2>
<div class="row">{{range .Pieces}}{{$p := .}}{{if .Starts}}<span class="doc"></span>{{end}}{{range $i, $t := .Tokens}}<span class="t{{parity $i}}{{if $p.Supervised}}{{if $p.Weight}} w{{else}} s{{end}}{{end}}{{if $p.Special}} x{{end}}" title="id {{index $p.IDs $i}}{{if $p.Weight}}, weight {{$p.Weight}}{{end}}">{{visible $t}}</span>{{end}}{{end}}</div>
{{end}}{{range .P.Records}}<h2>{{.File}}, record {{.Number}}</h2>
<dl class="row">{{range .Messages}}<dt>{{.Role}}{{with .Weight}} (weight {{.}}){{end}}</dt><dd>{{with .Reasoning}}({{.}})
{{end}}{{.Content}}{{with .ToolCalls}}
calls {{.}}{{end}}</dd>{{end}}{{range .Chosen}}<dt>chosen {{.Role}}</dt><dd>{{.Content}}</dd>{{end}}{{range .Rejected}}<dt>rejected {{.Role}}</dt><dd>{{.Content}}</dd>{{end}}{{with .Prompt}}<dt>prompt</dt><dd>{{.}}</dd>{{end}}{{with .Completion}}<dt>completion</dt><dd>{{.}}</dd>{{end}}{{with .Text}}<dt>text</dt><dd>{{.}}</dd>{{end}}{{range .Segments}}<dt>{{if .Train}}trained on{{else}}masked{{end}}</dt><dd>{{.Text}}</dd>{{end}}</dl>
{{end}}</body>
</html>
`
