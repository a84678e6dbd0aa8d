package source

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever stands in a line, what is taken for a version can be one in the log, and is read again as the same from its own name.
func FuzzParseLine(f *testing.F) {
	for _, seed := range []string{
		"example.com/m@v1.0.0", "example.com/m v1.0.0 h1:x", "example.com/m v1.0.0/go.mod h1:x", "# comment", "", "@", "a@b@c", "example.com/m@v2.0.0+incompatible",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		v, ok := parseLine(line)
		if !ok || check(v.Module, v.Version) != nil {
			return
		}
		again, ok := parseLine(v.String())
		require.True(t, ok)
		require.Equal(t, Version{Module: v.Module, Version: v.Version}, again)
	})
}
