package run

import (
	"path/filepath"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"

	"github.com/pipe-run/pipe/pipeline"
)

// confined reports whether this kernel can keep a child from writing outside
// its folders.
func confined() bool {
	v, err := llsys.LandlockGetABIVersion()
	return err == nil && v >= 1
}

// confine keeps this process and all it starts from writing anywhere but
// out/, tmp/ and state/ of dir. Reading stays free.
func confine(dir string, _ pipeline.Kind) error {
	return landlock.V5.BestEffort().RestrictPaths(
		landlock.RODirs("/"),
		landlock.RWFiles("/dev/null", "/dev/zero", "/dev/full", "/dev/tty").IgnoreIfMissing(),
		landlock.RWDirs("/dev/shm").IgnoreIfMissing(),
		landlock.RWDirs(filepath.Join(dir, outDir), filepath.Join(dir, tmpDir), filepath.Join(dir, stateDir)).WithRefer(),
	)
}

// Confinement names the protection of stored inputs that is active here, for
// pipe doctor.
func Confinement() string {
	if confined() {
		return "Landlock: steps can write only to their own folders"
	}
	return "none: the inputs of programs are copied, and inputs are checked after every step"
}

// Confined reports whether steps are kept from writing outside their folders.
func Confined() bool { return confined() }
