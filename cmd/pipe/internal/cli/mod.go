package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/modules"
)

func (a *app) modCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "mod", Short: "Make, depend on and publish modules of templates", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	for _, c := range []*cobra.Command{a.modInitCommand(), a.modGetCommand(), a.modTidyCommand(), a.modPublishCommand()} {
		wrapArgs(c)
		cmd.AddCommand(c)
	}
	return cmd
}

func (a *app) modInitCommand() *cobra.Command {
	return &cobra.Command{
		Use: "init [MODULE]", Short: "Make this folder a module, which may be published when it has a name", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name, err := modules.Init(".", append(args, "")[0])
			if err != nil {
				return modError(err)
			}
			_, err = fmt.Fprintf(a.out, "wrote %s\n", name)
			return err
		},
	}
}

func (a *app) modGetCommand() *cobra.Command {
	var asJSON, fresh bool
	cmd := &cobra.Command{
		Use: "get MODULE[@VERSION]…", Short: "Depend on modules, and fetch them", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := modules.Open(".")
			if err != nil {
				return modError(err)
			}
			c, err := modules.New(cmd.Context(), nil).Get(m, args, fresh)
			if err == nil {
				err = c.Write()
			}
			if err != nil {
				return modError(err)
			}
			return a.showChange(c, asJSON)
		},
	}
	cmd.Flags().BoolVar(&fresh, "fresh", false, "download the named modules again")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) modTidyCommand() *cobra.Command {
	var asJSON, check bool
	cmd := &cobra.Command{
		Use: "tidy", Short: "Depend on just the modules that are imported", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := modules.Open(".")
			if err != nil {
				return modError(err)
			}
			c, err := modules.New(cmd.Context(), nil).Tidy(m)
			if err == nil && !check {
				err = c.Write()
			}
			if err != nil {
				return modError(err)
			}
			if err := a.showChange(c, asJSON); err != nil || !check || c.Empty() {
				return err
			}
			return exitError{exitFailed}
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; exit with 1 when something would change")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) modPublishCommand() *cobra.Command {
	var asJSON, dry bool
	cmd := &cobra.Command{
		Use: "publish VERSION", Short: "Send this module to its registry", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := modules.Open(".")
			if err != nil {
				return modError(err)
			}
			p, err := modules.New(cmd.Context(), nil).Publish(m, args[0], dry)
			if err != nil {
				return modError(err)
			}
			if asJSON {
				return a.printJSON(p)
			}
			return a.showPublication(p)
		},
	}
	cmd.Flags().BoolVarP(&dry, "dry-run", "n", false, "check everything, send nothing")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) showPublication(p *modules.Publication) error {
	for _, f := range p.Files {
		if _, err := fmt.Fprintf(a.out, "%8d  %s\n", f.Bytes, f.Path); err != nil {
			return err
		}
	}
	if !p.License {
		fmt.Fprintln(a.err, "note: there is no LICENSE, which tells others whether they may use the module")
	}
	did := "published"
	switch {
	case p.Existed:
		did = "already published, with this content:"
	case p.DryRun:
		did = "would publish"
	}
	_, err := fmt.Fprintf(a.out, "%s %s: %s in %s, %s\n", did, p.Module, count(len(p.Files), "file"), p.Ref, p.Digest)
	return err
}

// showChange prints what changed in the module file.
func (a *app) showChange(c *modules.Change, asJSON bool) error {
	if asJSON {
		deps := c.Deps
		if deps == nil {
			deps = []modules.DepChange{}
		}
		return a.printJSON(map[string]any{"file": c.File(), "changes": deps})
	}
	if c.Empty() {
		_, err := fmt.Fprintf(a.out, "%s stays as it is\n", c.File())
		return err
	}
	for _, d := range c.Deps {
		line := fmt.Sprintf("%s: %s -> %s", d.Module, d.Old, d.New)
		switch {
		case d.Old == "":
			line = fmt.Sprintf("%s: added %s", d.Module, d.New)
		case d.New == "":
			line = fmt.Sprintf("%s: removed %s, which nothing imports", d.Module, d.Old)
		}
		if _, err := fmt.Fprintln(a.out, line); err != nil {
			return err
		}
	}
	return nil
}

// modError makes an error about modules a problem without a place: what is
// wrong, and what to do.
func modError(err error) error {
	var e *modules.Error
	if errors.As(err, &e) {
		return &pipeline.Problem{Message: "pipe: " + e.Message, Hint: e.Hint}
	}
	return err
}
