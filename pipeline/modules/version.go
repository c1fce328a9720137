package modules

import "golang.org/x/mod/semver"

// compareVersions orders semantic versions.
func compareVersions(a, b string) int { return semver.Compare(a, b) }
