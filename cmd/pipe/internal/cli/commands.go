package cli

import "github.com/spf13/cobra"

// commands are all commands, in the order of the help.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.vetCommand(),
		a.planCommand(),
		a.runCommand(),
		a.graphCommand(),
		a.whyCommand(),
		a.verifyCommand(),
		a.getCommand(),
		a.doctorCommand(),
		a.versionCommand(),
	}
}
