package download

import (
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// Sort sorts versions in the order of semantic versions, lowest first.
func Sort(versions []string) {
	semver.Sort(versions)
}

// LatestVersion picks the version that @latest answers with: the highest release, else the highest pre-release, else
// the newest pseudo-version by its commit time, else "". Invalid versions are passed over.
//
// As the go command does, "+incompatible" versions count only where no compatible version, not even a pre-release,
// takes part in modules: hasMod is asked, once, whether the highest compatible one has a go.mod file of its own. A
// nil hasMod stands for yes.
func LatestVersion(versions []string, hasMod func(version string) bool) string {
	var compatible, incompatible highest
	pseudo := ""
	for _, v := range versions {
		switch {
		case !semver.IsValid(v):
		case module.IsPseudoVersion(v):
			if isNewer(v, pseudo) {
				pseudo = v
			}
		case strings.HasSuffix(v, "+incompatible"):
			incompatible.add(v)
		default:
			compatible.add(v)
		}
	}
	best := compatible
	if all := compatible.max(); all == "" || incompatible.max() != "" && hasMod != nil && !hasMod(all) {
		best.add(incompatible.release)
		best.add(incompatible.prerelease)
	}
	switch {
	case best.release != "":
		return best.release
	case best.prerelease != "":
		return best.prerelease
	}
	return pseudo
}

// highest keeps the highest release and the highest pre-release of those added, "" for none.
type highest struct{ release, prerelease string }

func (h *highest) add(v string) {
	best := &h.release
	if semver.Prerelease(v) != "" {
		best = &h.prerelease
	}
	// "" is lower than every version.
	if semver.Compare(v, *best) > 0 {
		*best = v
	}
}

func (h *highest) max() string {
	if semver.Compare(h.prerelease, h.release) > 0 {
		return h.prerelease
	}
	return h.release
}

// isNewer is true if the commit of the pseudo-version v is later than that of w, whatever versions they are based
// on: the base says which tags were in reach of a commit. Of two with one time the higher version is the newer one.
func isNewer(v, w string) bool {
	tv, err := module.PseudoVersionTime(v)
	if err != nil {
		return false
	}
	tw, err := module.PseudoVersionTime(w)
	if err != nil {
		return true
	}
	return tv.After(tw) || tv.Equal(tw) && semver.Compare(v, w) > 0
}
