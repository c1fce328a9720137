//go:build amd64 && !purego

package kernel

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/cpu"
)

// enableAMX asks Linux for leave to use the tile registers in this process (Documentation/arch/x86/xstate.rst) and says
// whether they can be used.
func enableAMX() bool {
	const (
		getSupported = 0x1021 // ARCH_GET_XCOMP_SUPP
		request      = 0x1023 // ARCH_REQ_XCOMP_PERM
		tileData     = 18     // XFEATURE_XTILE_DATA
	)
	if !cpu.X86.HasAMXTile || !cpu.X86.HasAMXBF16 {
		return false
	}
	var supported uint64
	_, _, err := syscall.RawSyscall(syscall.SYS_ARCH_PRCTL, getSupported, uintptr(unsafe.Pointer(&supported)), 0)
	if err != 0 || supported&(1<<tileData) == 0 {
		return false
	}
	_, _, err = syscall.RawSyscall(syscall.SYS_ARCH_PRCTL, request, tileData, 0)
	return err == 0
}
