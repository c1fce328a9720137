//go:build !linux

package main

import (
	"os/exec"
	"strconv"
	"strings"
)

// children are the processes that pid started.
func children(pid int) (pids []int) {
	b, _ := exec.Command("pgrep", "-P", strconv.Itoa(pid)).Output()
	for _, f := range strings.Fields(string(b)) {
		if n, err := strconv.Atoi(f); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}
