//go:build !linux

package disk

import "testing"

// smallDisk is not possible without tools of the system.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	t.Skip("needs a small file system, which this test mounts on Linux only")
	return ""
}

func remountReadOnly(t *testing.T, dir string) {}
