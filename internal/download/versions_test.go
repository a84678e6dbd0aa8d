package download

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSort(t *testing.T) {
	t.Parallel()
	versions := []string{"v1.10.0", "v1.9.0", "v1.10.0-rc.1", "v2.0.0+incompatible", "v0.1.0"}
	Sort(versions)
	require.Equal(t, []string{"v0.1.0", "v1.9.0", "v1.10.0-rc.1", "v1.10.0", "v2.0.0+incompatible"}, versions)
}

func TestLatestVersion(t *testing.T) {
	t.Parallel()
	const (
		pseudo2020 = "v1.9.10-0.20200102030405-abcdef123456"
		pseudo2021 = "v0.0.0-20210102030405-abcdef123456"
	)
	with := func(string) bool { return true }
	without := func(string) bool { return false }
	for name, c := range map[string]struct {
		versions []string
		hasMod   func(string) bool
		want     string
	}{
		"none":                               {nil, nil, ""},
		"only invalid":                       {[]string{"", "main", "1.0.0"}, nil, ""},
		"by number, not by letter":           {[]string{"v1.9.0", "v1.10.0", "v1.2.0"}, nil, "v1.10.0"},
		"release before pre-release":         {[]string{"v1.0.0", "v1.1.0-rc.1"}, nil, "v1.0.0"},
		"pre-release before pseudo":          {[]string{"v0.1.0-rc.1", "v0.1.0-rc.2", pseudo2021}, nil, "v0.1.0-rc.2"},
		"newest pseudo by time, not by base": {[]string{pseudo2020, pseudo2021}, nil, pseudo2021},
		"the same in the other order":        {[]string{pseudo2021, pseudo2020}, nil, pseudo2021},
		"one time, higher base":              {[]string{"v0.2.0-0.20210102030405-abcdef123456", pseudo2021}, nil, "v0.2.0-0.20210102030405-abcdef123456"},
		"pseudo without a real time":         {[]string{"v0.0.0-20219902030405-abcdef123456", pseudo2020}, nil, pseudo2020},
		"incompatible only":                  {[]string{"v2.0.0+incompatible", "v3.0.0+incompatible"}, with, "v3.0.0+incompatible"},
		"compatible with a go.mod":           {[]string{"v1.0.0", "v3.0.0+incompatible"}, with, "v1.0.0"},
		"compatible, nobody to ask":          {[]string{"v1.0.0", "v3.0.0+incompatible"}, nil, "v1.0.0"},
		"compatible without a go.mod":        {[]string{"v1.0.0", "v3.0.0+incompatible"}, without, "v3.0.0+incompatible"},
		"compatible pre-release":             {[]string{"v1.0.0-rc.1", "v3.0.0+incompatible"}, with, "v1.0.0-rc.1"},
		"incompatible pre-release":           {[]string{"v1.0.0", "v3.0.0-rc.1+incompatible"}, without, "v1.0.0"},
		"incompatible before pseudo":         {[]string{pseudo2021, "v3.0.0+incompatible"}, with, "v3.0.0+incompatible"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, LatestVersion(c.versions, c.hasMod))
		})
	}
}

// TestLatestVersionAsks checks which version's go.mod decides, because asking for it costs a query.
func TestLatestVersionAsks(t *testing.T) {
	t.Parallel()
	var asked []string
	hasMod := func(v string) bool {
		asked = append(asked, v)
		return true
	}
	LatestVersion([]string{"v1.0.0", "v1.2.0", "v1.1.0"}, hasMod)
	require.Empty(t, asked, "without +incompatible versions there is nothing to decide")
	LatestVersion([]string{"v2.0.0+incompatible"}, hasMod)
	require.Empty(t, asked, "without compatible versions there is nothing to ask about")
	LatestVersion([]string{"v1.0.0", "v3.0.0+incompatible", "v1.2.0-rc.1", "v2.0.0+incompatible"}, hasMod)
	require.Equal(t, []string{"v1.2.0-rc.1"}, asked)
}
