package modules

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

// compareVersions orders semantic versions.
func compareVersions(a, b string) int { return semver.Compare(a, b) }

// latest returns the greatest release of vs, else the greatest pre-release.
func latest(vs []string) string {
	best := ""
	for _, v := range vs {
		isPre, bestPre := semver.Prerelease(v) != "", semver.Prerelease(best) != ""
		if best == "" || !isPre && bestPre || isPre == bestPre && semver.Compare(v, best) > 0 {
			best = v
		}
	}
	return best
}

// listVersions names versions, the newest last; of many the newest ones.
func listVersions(vs []string) string {
	vs = slices.Clone(vs)
	slices.SortFunc(vs, semver.Compare)
	if n := len(vs); n > 8 {
		return "… " + strings.Join(vs[n-8:], ", ") + fmt.Sprintf(" (%d in all)", n)
	}
	return strings.Join(vs, ", ")
}

func isOrAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// next returns the version after v.
func next(v string) string {
	var major, minor, patch int
	if semver.Prerelease(v) != "" {
		return strings.TrimSuffix(v, semver.Prerelease(v))
	}
	if _, err := fmt.Sscanf(v, "v%d.%d.%d", &major, &minor, &patch); err != nil {
		return "the next"
	}
	return fmt.Sprintf("v%d.%d.%d", major, minor, patch+1)
}
