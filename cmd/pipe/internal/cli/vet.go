package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/compile"
	"github.com/pipe-run/pipe/pipeline/plan"
	"github.com/pipe-run/pipe/steps"
)

func (a *app) vetCommand() *cobra.Command {
	var src source
	var asJSON bool
	var quality string
	cmd := &cobra.Command{
		Use: "vet FILE", Short: "Say everything that is wrong with a pipeline, without running it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src.file = args[0]
			g, err := compile.File(cmd.Context(), src.file, compile.Options{Tags: src.tags})
			if err == nil {
				err = plan.Vet(g, steps.All())
			}
			if cmd.Flags().Changed("code-quality") {
				if err := writeQuality(quality, err); err != nil {
					return err
				}
			}
			if asJSON {
				return a.vetJSON(g, err)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s: %s is valid: %s\n", src.file, g.Name, count(len(g.Nodes), "step"))
			return err
		},
	}
	src.tagFlag(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().StringVar(&quality, "code-quality", "", "write what is wrong to `FILE`, as a Code Quality report of GitLab")
	return cmd
}

// vetJSON prints the verdict; the exit code is the same as without --json.
func (a *app) vetJSON(g *pipeline.Graph, err error) error {
	problems := problemsOf(err)
	if err != nil && problems == nil {
		return err
	}
	v := struct {
		OK     bool              `json:"ok"`
		Name   string            `json:"name,omitempty"`
		Steps  int               `json:"steps"`
		Errors pipeline.Problems `json:"errors"`
	}{OK: err == nil, Errors: problems}
	if problems == nil {
		v.Errors = pipeline.Problems{}
	}
	if g != nil {
		v.Name, v.Steps = g.Name, len(g.Nodes)
	}
	if perr := a.printJSON(v); perr != nil {
		return perr
	}
	if err != nil {
		return exitError{exitWrong}
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
