package cli

import "github.com/spf13/cobra"

// commands are all commands, in the order of the help.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.initCommand(),
		a.vetCommand(),
		a.planCommand(),
		a.runCommand(),
		a.graphCommand(),
		a.previewCommand(),
		a.whyCommand(),
		a.runsCommand(),
		a.showCommand(),
		a.logsCommand(),
		a.diffCommand(),
		a.tagCommand(),
		a.verifyCommand(),
		a.getCommand(),
		a.inspectCommand(),
		a.generateCommand(),
		a.fmtCommand(),
		a.templateCommand(),
		a.modCommand(),
		a.lockCommand(),
		a.cacheCommand(),
		a.doctorCommand(),
		a.versionCommand(),
	}
}
