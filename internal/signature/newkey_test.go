package signature

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Only the holder of the next key can prove that it follows the present one, and for no other.
func TestProveNewKey(t *testing.T) {
	t.Parallel()
	made := func() *Signer {
		key, _, err := GenerateKey("om.example.com")
		require.NoError(t, err)
		s, err := NewSigner(key)
		require.NoError(t, err)
		return s
	}
	present, next, other := made(), made(), made()
	proof, err := next.ProveNewKey(present.VerifierKey())
	require.NoError(t, err)
	require.NoError(t, CheckNewKey(present.VerifierKey(), next.VerifierKey(), proof))
	for _, keys := range [][2]*Signer{{other, next}, {present, other}, {next, present}, {next, next}} {
		require.Error(t, CheckNewKey(keys[0].VerifierKey(), keys[1].VerifierKey(), proof))
	}
	checkpoint, err := next.SignNote("om.example.com\n1\nAAAA\n")
	require.NoError(t, err)
	require.ErrorContains(t, CheckNewKey(present.VerifierKey(), next.VerifierKey(), string(checkpoint)), "it is for other keys")
	require.Error(t, CheckNewKey(present.VerifierKey(), "nonsense", proof))
}
