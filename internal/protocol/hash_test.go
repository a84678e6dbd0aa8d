package protocol_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/dirhash"

	"olympus/internal/protocol"
)

func TestModHashIsDirhash(t *testing.T) {
	t.Parallel()
	for _, mod := range []string{
		"", "module example.com/m\n", "\x00\xff", strings.Repeat("// long\n", 10000),
	} {
		want, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(mod)), nil
		})
		require.NoError(t, err)
		require.Equal(t, want, protocol.ModHash([]byte(mod)))
	}
}
