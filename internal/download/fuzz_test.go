package download

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// The latest of any versions is one of them, whatever their order and however often they come: deployments with one log agree on it.
func FuzzLatestVersion(f *testing.F) {
	for _, seed := range []string{
		"", "v1.0.0\nv1.1.0-rc.1", "v0.0.0-20200101000000-abcdefabcdef\nv1.2.4-0.20190101000000-abcdefabcdef", "v1.0.0\nv2.0.0+incompatible", "v1.0.0-pre\nv3.0.0-pre+incompatible",
		"v1.0.0+a\nv1.0.0+b", "v1\nv1.0\nv1.0.0", "v0.0.0-20201301000000-abcdefabcdef\nv0.0.0-20200101000000-abcdefabcdef", "v1.0.0-1\nv1.0.0-01",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, list string, hasMod bool) {
		versions := strings.Split(list, "\n")
		for _, v := range versions {
			if v != module.CanonicalVersion(v) && v != "" {
				return // logs and lists hold canonical versions only
			}
		}
		mod := func(string) bool { return hasMod }
		latest := LatestVersion(versions, mod)
		if latest == "" {
			for _, v := range versions {
				if _, err := module.PseudoVersionTime(v); err == nil || !module.IsPseudoVersion(v) { // those without a time are passed over
					require.False(t, semver.IsValid(v), "nothing is the latest of %q", v)
				}
			}
			return
		}
		require.Contains(t, versions, latest)
		twice := append(slices.Clone(versions), versions...)
		slices.Reverse(twice)
		require.Equal(t, latest, LatestVersion(twice, mod))
		Sort(twice)
		require.Equal(t, latest, LatestVersion(twice, mod))
	})
}
