package signature_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"olympus/internal/signature"
)

// What is accepted as a verifier key is one for golang.org/x/mod, too, and the ID that requests carry is its beginning.
func FuzzParseVerifierKey(f *testing.F) {
	vkey := newIdentity(f, sender, 'm').vkey
	f.Add(vkey)
	f.Add(vkey + "=")
	f.Add(strings.ToUpper(vkey))
	f.Add(strings.Replace(vkey, "+", "++", 1))
	f.Add(newIdentity(f, "om.example.com/eu", 'm').vkey)
	f.Add("sum.example.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
	f.Fuzz(func(t *testing.T, vkey string) {
		name, keyID, key, err := signature.ParseVerifierKey(vkey)
		if err != nil {
			require.Empty(t, signature.Fingerprint(vkey))
			return
		}
		verifier, err := note.NewVerifier(vkey)
		require.NoError(t, err)
		require.Equal(t, verifier.Name(), name)
		require.True(t, strings.HasPrefix(vkey, keyID+"+"), "%q", keyID)
		canonical, err := note.NewEd25519VerifierKey(name, key)
		require.NoError(t, err)
		require.Equal(t, canonical, vkey, "two spellings of one key")
		require.NotEmpty(t, signature.Fingerprint(vkey))
	})
}

// Who signs with what is accepted as a signing key is understood by who has the verifier key; a refusal never quotes the key.
func FuzzNewSigner(f *testing.F) {
	skey := newIdentity(f, sender, 'm').skey
	seed := skey[strings.LastIndex(skey, "+")+1:]
	f.Add(skey)
	f.Add("PRIVATE+KEY+om.example.com+00000000+" + seed)
	f.Add("PRIVATE+KEY+om.example.com+" + seed)
	f.Add(seed)
	f.Add(skey + "\n" + skey)
	f.Fuzz(func(t *testing.T, skey string) {
		signer, err := signature.NewSigner(skey)
		if err != nil {
			for part := range strings.SplitSeq(skey, "+") {
				if len(part) > 30 {
					require.NotContains(t, err.Error(), part)
				}
			}
			return
		}
		name, keyID, _, err := signature.ParseVerifierKey(signer.VerifierKey())
		require.NoError(t, err)
		require.Equal(t, [2]string{signer.Name(), signer.KeyID()}, [2]string{name, keyID})
		signed, err := signer.SignNote("text\n")
		require.NoError(t, err)
		text, err := signature.OpenNote(signed, signer.VerifierKey())
		require.NoError(t, err)
		require.Equal(t, "text\n", text)
	})
}

// Of all notes, only those with the text that was signed can be opened, whatever signatures of others they carry.
func FuzzOpenNote(f *testing.F) {
	om, other := newIdentity(f, sender, 'm'), newIdentity(f, "og.example.com", 'g')
	signer, err := signature.NewSigner(om.skey)
	require.NoError(f, err)
	witness, err := note.NewSigner(other.skey)
	require.NoError(f, err)
	const signedText = "om.example.com\n1\nroot\nepoch 1\n"
	signed, err := signer.SignNote(signedText)
	require.NoError(f, err)
	both, err := note.Sign(&note.Note{Text: signedText, Sigs: nil}, witness)
	require.NoError(f, err)
	_, line, _ := strings.Cut(string(both), "\n\n")
	f.Add(string(signed))
	f.Add(string(both))
	f.Add(string(signed) + line)
	f.Add(string(signed) + string(signed))
	f.Add(strings.Replace(string(signed), "epoch 1", "epoch 2", 1))
	f.Add(strings.Repeat("\n", 10) + string(signed))
	f.Fuzz(func(t *testing.T, signed string) {
		text, err := signature.OpenNote([]byte(signed), other.vkey+"x", om.vkey)
		require.Error(t, err)
		require.Empty(t, text)
		if text, err = signature.OpenNote([]byte(signed), om.vkey); err == nil {
			require.Equal(t, signedText, text)
		}
	})
}

// The normal form of a base URL is its own normal form, leads to the same host, and carries no credentials, query or fragment.
func FuzzBaseURL(f *testing.F) {
	for _, seed := range []string{
		"https://oa.example.com", "HTTPS://OA.example.com:443/olympus/", "http://[::1]:80", "http://127.0.0.1:3000//", "https://oa.example.com:/",
		"https://u:p@oa.example.com", "https://oa.example.com?", "https://oa.example.com/%41", "https://oa.example.com/a/../b", "https://é.example.com",
		"http://oa.example.com:443", "https://oa.example.com:65536", "https:oa.example.com", "https://oa.example.com/#",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		normal, err := signature.BaseURL(text)
		if err != nil {
			return
		}
		again, err := signature.BaseURL(normal)
		require.NoError(t, err)
		require.Equal(t, normal, again)
		u, err := url.Parse(normal)
		require.NoError(t, err)
		given, err := url.Parse(text)
		require.NoError(t, err)
		require.Equal(t, strings.ToLower(given.Hostname()), u.Hostname())
		require.Equal(t, url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}, *u)
		require.Contains(t, []string{"http", "https"}, u.Scheme)
		require.False(t, strings.HasSuffix(normal, "/"))
	})
}
