package protocol_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
)

func TestValidateName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"olympus.localhost", "om.example.com", "om.example.com/eu/west", "127.0.0.1:3001", "om", "a..b/...",
		strings.Repeat("o", protocol.MaxOriginBytes),
	} {
		require.NoError(t, protocol.ValidateName(name), name)
	}
	for failure, name := range map[string]string{
		"empty":           "",
		"too long":        strings.Repeat("o", protocol.MaxOriginBytes+1),
		"space":           "om example",
		"trailing space":  "om ",
		"tab":             "om\t",
		"newline":         "om\n",
		"NUL":             "om\x00",
		"DEL":             "om\x7f",
		"plus":            "om+1",
		"not ASCII":       "olympé",
		"not UTF-8":       "om\xff",
		"leading slash":   "/om",
		"trailing slash":  "om/",
		"only a slash":    "/",
		"two slashes":     "om//eu",
		"dot element":     "om/./eu",
		"dot dot element": "om/..",
		"only dots":       "..",
	} {
		t.Run(failure, func(t *testing.T) {
			t.Parallel()
			requireMalformed(t, protocol.ValidateName(name), "name")
		})
	}
}
