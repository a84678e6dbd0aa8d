package signature

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/dadrus/httpsig"
	"golang.org/x/mod/sumdb/note"
)

// Signer signs this deployment's requests and notes. It is safe for concurrent use. It keeps its key behind the library's
// unexported types, so that printing a Signer does not print the key.
type Signer struct {
	name, keyID, vkey string

	bare     httpsig.Signer // for requests without a body
	withBody httpsig.Signer
	notes    []note.Signer // the key, then the one before it
	oldVKey  string        // empty for none
}

// NewSigner takes a note signer key, PRIVATE+KEY+name+hash+key. Its errors never contain the key.
func NewSigner(skey string) (*Signer, error) {
	const prefix = "PRIVATE+KEY+"
	checked, err := note.NewSigner(skey)
	if err != nil {
		// The library's words are about verifier ids and may one day quote the input: use our own.
		return nil, errors.New("parse signing key: not an ed25519 note signer key (PRIVATE+KEY+name+hash+key)")
	}
	if err := checkName(checked.Name()); err != nil {
		return nil, fmt.Errorf("parse signing key: %w", err)
	}
	seed, err := decodeKey(strings.TrimPrefix(skey, prefix))
	if err != nil {
		return nil, fmt.Errorf("parse signing key: %w", err)
	}
	private := ed25519.NewKeyFromSeed(seed)
	vkey, err := note.NewEd25519VerifierKey(checked.Name(), private.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("parse signing key of %q: %w", checked.Name(), err)
	}

	s := &Signer{name: checked.Name(), keyID: formatKeyID(checked.Name(), checked.KeyHash()), vkey: vkey, notes: []note.Signer{checked}}
	key := httpsig.Key{KeyID: s.keyID, Algorithm: httpsig.Ed25519, Key: private}
	if s.bare, err = newLibrarySigner(key, methodComponent, targetComponent); err != nil {
		return nil, fmt.Errorf("make a signer for %q: %w", s.name, err)
	}
	if s.withBody, err = newLibrarySigner(key, methodComponent, targetComponent, digestComponent); err != nil {
		return nil, fmt.Errorf("make a signer for %q: %w", s.name, err)
	}
	return s, nil
}

// newLibrarySigner relies on two defaults of the library: a nonce of 16 random bytes for each signature, and alg
// written out.
func newLibrarySigner(key httpsig.Key, components ...string) (httpsig.Signer, error) {
	return httpsig.NewSigner(key,
		httpsig.WithLabel(label),
		httpsig.WithTag(tag),
		httpsig.WithTTL(lifetime),
		httpsig.WithContentDigestAlgorithm(httpsig.Sha256),
		httpsig.WithComponents(components...))
}

// Name is the deployment's name, the first part of its key.
func (s *Signer) Name() string { return s.name }

// KeyID is the keyid of every signature: "name+hash".
func (s *Signer) KeyID() string { return s.keyID }

// VerifierKey is the public half, "name+hash+key", for peers to check signatures with.
func (s *Signer) VerifierKey() string { return s.vkey }

// AndOld adds the key that the deployment had before: it goes on signing notes for those who know only that one, and no requests.
func (s *Signer) AndOld(skey string) error {
	old, err := NewSigner(skey)
	if err != nil {
		return fmt.Errorf("old key: %w", err)
	}
	if old.name != s.name || old.keyID == s.keyID {
		return fmt.Errorf("old key: %s is not an earlier key of %s", old.keyID, s.name)
	}
	s.notes, s.oldVKey = append(s.notes, old.notes...), old.vkey
	return nil
}

// VerifierKeys are the public halves of all keys that sign notes, that of VerifierKey first.
func (s *Signer) VerifierKeys() []string {
	if s.oldVKey == "" {
		return []string{s.vkey}
	}
	return []string{s.vkey, s.oldVKey}
}

// Sign sets Signature-Input and Signature on a client's request and, unless body is nil, Content-Digest. body is
// what will be sent: Sign does not touch req.Body. What is signed as the target is req.URL in normal form (see
// [BaseURL]), without user and fragment, which are never sent.
//
// Headers of an earlier Sign are replaced, never added to: a retry is signed anew, with a nonce of its own.
func (s *Signer) Sign(req *http.Request, body []byte) error {
	target, err := targetURI(req.URL)
	if err != nil {
		return fmt.Errorf("sign %s request: %w", req.Method, err)
	}
	signer := s.bare
	if body != nil {
		signer = s.withBody
	}
	signed, err := signer.Sign(&httpsig.Message{
		Context:   req.Context(),
		Method:    methodOf(req),
		Authority: target.Host,
		URL:       target,
		Header:    http.Header{},
		Body:      reading(body),
		IsRequest: true,
	})
	if err != nil {
		return fmt.Errorf("sign %s %s: %w", req.Method, target, err)
	}
	for _, name := range []string{digestHeader, inputHeader, signatureHeader} {
		if values := signed.Values(name); len(values) > 0 {
			req.Header[name] = values
		} else {
			req.Header.Del(name)
		}
	}
	return nil
}

// methodOf knows that net/http sends an empty method as GET.
func methodOf(req *http.Request) string {
	if req.Method == "" {
		return http.MethodGet
	}
	return req.Method
}

func reading(body []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
}
