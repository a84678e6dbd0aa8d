package protocol

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

const (
	h1Prefix = "h1:"
	// h1Bytes is the length of an h1 hash: the prefix and 32 bytes in padded base64.
	h1Bytes = len(h1Prefix) + 44
)

// strictBase64 refuses the second and further spellings of the same bytes.
var strictBase64 = base64.StdEncoding.Strict()

// ModHash returns the h1 hash that a checksum database records for a go.mod
// with these bytes: dirhash.Hash1 of golang.org/x/mod/sumdb/dirhash over the
// single file "go.mod", without the cost of its callbacks.
func ModHash(mod []byte) string {
	hash := modHash(mod)
	return string(hash[:])
}

// modHash is ModHash for a caller that only compares.
func modHash(mod []byte) (hash [h1Bytes]byte) {
	sum := sha256.Sum256(mod)
	var line [2*sha256.Size + len("  go.mod\n")]byte
	copy(line[hex.Encode(line[:], sum[:]):], "  go.mod\n")
	sum = sha256.Sum256(line[:])

	copy(hash[:], h1Prefix)
	base64.StdEncoding.Encode(hash[len(h1Prefix):], sum[:])
	return hash
}

// isH1 reports whether s is the one canonical spelling of an h1 hash.
func isH1(s string) bool {
	if len(s) != h1Bytes || s[:len(h1Prefix)] != h1Prefix {
		return false
	}
	var text [h1Bytes - len(h1Prefix)]byte
	copy(text[:], s[len(h1Prefix):])
	var sum [33]byte // base64 wants room for whole groups of three
	n, err := strictBase64.Decode(sum[:], text[:])
	return err == nil && n == sha256.Size
}

// isSHA256 reports whether s is 64 lower-case hexadecimal digits.
func isSHA256(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
