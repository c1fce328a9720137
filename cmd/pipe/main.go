// Command pipe runs fine-tuning pipelines written in CUE, with every step
// cached by content.
package main

import (
	"os"

	"github.com/pipe-run/pipe/cmd/pipe/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
