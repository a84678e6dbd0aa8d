package signature

import "net/http"

// ClaimedKeyID returns the ID of the key that a request claims to be signed with, for what must be decided before its body is read. It
// proves nothing: Verify does. Every refusal is an [*Error].
func ClaimedKeyID(h http.Header) (string, error) {
	in, err := parseInput(h)
	if err != nil {
		return "", err
	}
	return in.keyID, nil
}
