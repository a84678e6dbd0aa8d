package signature

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// algEd25519 is the first byte of the encoded part of a note key.
const algEd25519 = 1

// GenerateKey makes a new key pair for the deployment called name: the secret signer key
// (PRIVATE+KEY+name+hash+key) and the public verifier key (name+hash+key).
func GenerateKey(name string) (skey, vkey string, err error) {
	if err := checkName(name); err != nil {
		return "", "", fmt.Errorf("generate a key: %w", err)
	}
	skey, vkey, err = note.GenerateKey(rand.Reader, name)
	if err != nil {
		return "", "", fmt.Errorf("generate a key for %q: %w", name, err)
	}
	return skey, vkey, nil
}

// ParseVerifierKey takes apart a note verifier key (name+hash+key). keyID is its "name+hash". Only Ed25519 keys are
// accepted, and only in the one spelling that note writes, so that two verifier keys are equal exactly if their
// strings are.
func ParseVerifierKey(vkey string) (name, keyID string, key ed25519.PublicKey, err error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return "", "", nil, fmt.Errorf("parse verifier key %q: %w", vkey, err)
	}
	if err := checkName(v.Name()); err != nil {
		return "", "", nil, fmt.Errorf("parse verifier key %q: %w", vkey, err)
	}
	raw, err := decodeKey(vkey)
	if err != nil {
		return "", "", nil, fmt.Errorf("parse verifier key %q: %w", vkey, err)
	}
	key = ed25519.PublicKey(raw)
	canonical, err := note.NewEd25519VerifierKey(v.Name(), key)
	if err != nil {
		return "", "", nil, fmt.Errorf("parse verifier key %q: %w", vkey, err)
	}
	if canonical != vkey {
		return "", "", nil, fmt.Errorf("parse verifier key %q: it must be written %q", vkey, canonical)
	}
	return v.Name(), formatKeyID(v.Name(), v.KeyHash()), key, nil
}

// Fingerprint is the SHA-256 of the public key in vkey, printable ("SHA256:…"), for two people to compare. It is
// empty if vkey is not a verifier key.
func Fingerprint(vkey string) string {
	_, _, key, err := ParseVerifierKey(vkey)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(key)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

func formatKeyID(name string, hash uint32) string { return fmt.Sprintf("%s+%08x", name, hash) }

// checkName keeps out what note allows but a keyid parameter cannot carry: it is a String of RFC 9651, printable
// ASCII. (Spaces and pluses are ruled out by note.)
func checkName(name string) error {
	if name == "" || len(name) > maxKeyID-len("+00000000") {
		return fmt.Errorf("key name of %d bytes", len(name))
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c > '~' || c == '+' {
			return fmt.Errorf("key name %q is not printable ASCII without spaces and pluses", name)
		}
	}
	return nil
}

// decodeKey returns the 32 bytes of the last part of name+hash+key: a public key or, behind the prefix of a signer key,
// a seed. Its errors never quote the input, which may be a secret.
func decodeKey(encoded string) ([]byte, error) {
	// Base64 has pluses of its own: cut from the front.
	_, rest, _ := strings.Cut(encoded, "+")
	_, key64, _ := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.DecodeString(key64)
	if err != nil || len(raw) != 1+ed25519.SeedSize || raw[0] != algEd25519 {
		return nil, errors.New("not an ed25519 key")
	}
	return raw[1:], nil
}
