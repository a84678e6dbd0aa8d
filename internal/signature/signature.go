// Package signature signs and verifies the requests that deployments send each other: HTTP Message Signatures
// (RFC 9421) with Ed25519, over keys in the format of golang.org/x/mod/sumdb/note.
//
// A request carries exactly one signature with the label "olympus". It covers "@method", "@target-uri" and, when the
// request has a body, "content-digest" (RFC 9530, sha-256), and has the parameters
//
//	created  when it was made, seconds since 1970
//	expires  at most five minutes after created
//	nonce    1 to 128 characters, new for every request
//	keyid    name+hash of the note verifier key
//	tag      "olympus"
//	alg      absent, or "ed25519"
//
// Signatures with other labels belong to someone else and are ignored.
//
// The RFC itself is github.com/dadrus/httpsig. This package adds what the RFC leaves to the application, and hands
// the library nothing it has not checked itself. It knows keys and requests only: which peer a key belongs to,
// whether that peer may do what it asks for, and whether a nonce was seen before is known to the caller.
package signature

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	label = "olympus"
	tag   = "olympus"

	methodComponent = "@method"
	targetComponent = "@target-uri"
	digestComponent = "content-digest"

	signatureHeader = "Signature"
	inputHeader     = "Signature-Input"
	digestHeader    = "Content-Digest"
)

const (
	// Tolerance is how far the clocks of two deployments may differ. A nonce can be replayed until its signature's
	// Expires + Tolerance, so this is how long it must be remembered.
	Tolerance = time.Minute

	// lifetime is what our own signatures get: a request that is not on its way by then is signed anew.
	lifetime = 2 * time.Minute

	maxLifetime    = 5 * time.Minute
	maxHeaderBytes = 4096
	maxNonce       = 128
	maxKeyID       = 512
	maxReason      = 1024
)

// ErrUnknownKey is what a lookup given to [Verifier.Verify] returns for a key ID that belongs to no peer.
var ErrUnknownKey = errors.New("unknown key")

// Error says why a request is not taken as signed. All of these are a 401. Reason is one line, fit for the sender:
// besides what the sender wrote it holds nothing but this deployment's clock and base URL.
type Error struct {
	Reason string
}

func (e *Error) Error() string { return "signature refused: " + e.Reason }

func refuse(format string, args ...any) error {
	reason := fmt.Sprintf(format, args...)
	if len(reason) > maxReason {
		reason = reason[:maxReason] + "…"
	}
	return &Error{Reason: strings.ToValidUTF8(reason, "?")}
}

// Signed reports whether r carries a signature at all, valid or not and whatever its label. A request that claims to
// be signed must be verified even where an unsigned one would be served.
func Signed(r *http.Request) bool {
	return len(r.Header.Values(signatureHeader)) > 0 || len(r.Header.Values(inputHeader)) > 0
}
