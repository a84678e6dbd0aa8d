package signature_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"olympus/internal/signature"
)

func TestGenerateKey(t *testing.T) {
	t.Parallel()
	skey, vkey, err := signature.GenerateKey(sender)
	require.NoError(t, err)
	signer, err := signature.NewSigner(skey)
	require.NoError(t, err)
	require.Equal(t, vkey, signer.VerifierKey())

	name, keyID, key, err := signature.ParseVerifierKey(vkey)
	require.NoError(t, err)
	require.Equal(t, sender, name)
	require.Equal(t, signer.KeyID(), keyID)
	require.Len(t, key, 32)

	other, _, err := signature.GenerateKey(sender)
	require.NoError(t, err)
	require.NotEqual(t, skey, other)

	for _, name := range []string{"", "a b", "a+b", "ü.example.com", "a\x7f", strings.Repeat("a", 600)} {
		_, _, err := signature.GenerateKey(name)
		require.Error(t, err, name)
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	om := newIdentity(t, sender, 'm')
	require.Regexp(t, `^SHA256:[A-Za-z0-9+/]{43}$`, signature.Fingerprint(om.vkey))
	require.NotEqual(t, signature.Fingerprint(om.vkey), signature.Fingerprint(newIdentity(t, sender, 'x').vkey))
	require.Equal(t, signature.Fingerprint(om.vkey), signature.Fingerprint(newIdentity(t, "renamed.example.com", 'm').vkey),
		"it is the key's, not the name's")
	require.Empty(t, signature.Fingerprint("nonsense"))
}

func TestParseVerifierKeyRefuses(t *testing.T) {
	t.Parallel()
	om := newIdentity(t, sender, 'x')
	hash := strings.TrimPrefix(om.keyID, sender+"+")
	for name, vkey := range map[string]string{
		"empty":             "",
		"name only":         sender,
		"wrong hash":        strings.Replace(om.vkey, hash, "00000000", 1),
		"hash in capitals":  strings.Replace(om.vkey, hash, strings.ToUpper(hash), 1),
		"line break inside": om.vkey[:len(om.vkey)-4] + "\n" + om.vkey[len(om.vkey)-4:],
		"signer key":        om.skey,
		"space in name":     "a b" + strings.TrimPrefix(om.vkey, sender),
		"name not ASCII":    newIdentity(t, "ü.example.com", 'm').vkey,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, _, err := signature.ParseVerifierKey(vkey)
			require.Error(t, err)
		})
	}
	require.NotEqual(t, hash, strings.ToUpper(hash), "a hash without letters tests nothing")
}

func TestNewSignerKeepsTheKeySecret(t *testing.T) {
	t.Parallel()
	om := newIdentity(t, sender, 'm')
	secret := om.skey[strings.LastIndex(om.skey, "+")+1:]
	for name, skey := range map[string]string{
		"empty":          "",
		"no prefix":      strings.TrimPrefix(om.skey, "PRIVATE+KEY+"),
		"verifier key":   om.vkey,
		"wrong hash":     "PRIVATE+KEY+" + sender + "+00000000+" + secret,
		"cut short":      om.skey[:len(om.skey)-4],
		"other alg":      "PRIVATE+KEY+" + om.keyID + "+Ag" + secret[2:],
		"name not ASCII": newIdentity(t, "ü.example.com", 'm').skey,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := signature.NewSigner(skey)
			require.Error(t, err)
			require.NotContains(t, err.Error(), secret[:8])
			require.NotContains(t, err.Error(), secret[len(secret)-8:])
		})
	}

	signer, err := signature.NewSigner(om.skey)
	require.NoError(t, err)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		printed := fmt.Sprintf(format, signer)
		require.NotContains(t, printed, secret[4:20])
		require.NotContains(t, printed, "109 109 109")
		require.NotContains(t, printed, "0x6d, 0x6d")
		require.NotContains(t, printed, "6d6d6d")
	}
}

// TestKeysOfNote reads keys that x/mod made, many of which have a plus in their base64.
func TestKeysOfNote(t *testing.T) {
	t.Parallel()
	pluses := 0
	for range 50 {
		skey, vkey, err := note.GenerateKey(nil, sender)
		require.NoError(t, err)
		signer, err := signature.NewSigner(skey)
		require.NoError(t, err)
		require.Equal(t, vkey, signer.VerifierKey())
		_, keyID, key, err := signature.ParseVerifierKey(vkey)
		require.NoError(t, err)
		require.Equal(t, signer.KeyID(), keyID)
		require.True(t, strings.HasSuffix(vkey, base64.StdEncoding.EncodeToString(append([]byte{1}, key...))))
		if strings.Count(skey, "+") > 4 {
			pluses++
		}
	}
	require.Positive(t, pluses)
}
