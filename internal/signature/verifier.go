package signature

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dadrus/httpsig"
	"github.com/dunglas/httpsfv"
)

// Verifier checks the signatures of requests to this deployment. It is safe for concurrent use.
type Verifier struct {
	base *url.URL
	now  func() time.Time
}

// Verified is what a good signature says. A nonce must be taken once only, by whichever process: the caller records
// it until Expires + [Tolerance].
type Verified struct {
	KeyID   string // name+hash
	Name    string // of the deployment whose key it is
	Nonce   string // 1 to 128 characters
	Expires time.Time
}

// NewVerifier makes a Verifier for the deployment that is reached at baseURL (see [BaseURL]). now is the clock; nil
// means time.Now.
func NewVerifier(baseURL string, now func() time.Time) (*Verifier, error) {
	base, err := parseBase(baseURL)
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	return &Verifier{base: base, now: now}, nil
}

// Verify checks that r was signed, for this deployment and about now, with the key that lookup has for the key ID it
// names. body is the whole body, which the caller has read within its own limits.
//
// The audience is this deployment's base URL followed by the path and query of r.URL. The Host header counts for
// nothing: it is a reverse proxy's or an attacker's. So where the base URL has a path, r.URL is expected without it, as
// a proxy or http.StripPrefix leaves it; and r.URL must not have been rewritten otherwise.
//
// lookup returns a peer's verifier key (name+hash+key), or [ErrUnknownKey]. It is asked only about well-formed
// signatures that are in time. Every refusal is an [*Error]; other errors of lookup are returned wrapped.
func (v *Verifier) Verify(r *http.Request, body []byte, lookup func(keyID string) (vkey string, err error)) (*Verified, error) {
	in, err := parseInput(r.Header)
	if err != nil {
		return nil, err
	}
	// A body that was announced and not handed over counts as a body: it must not slip by unsigned.
	hasBody := len(body) > 0 || r.ContentLength != 0
	if err := in.check(v.now(), hasBody); err != nil {
		return nil, err
	}
	if slices.Contains(in.components, digestComponent) {
		if err := checkDigestHeader(r.Header); err != nil {
			return nil, err
		}
	}

	vkey, err := lookup(in.keyID)
	if errors.Is(err, ErrUnknownKey) {
		return nil, refuse("unknown key %q", in.keyID)
	}
	if err != nil {
		return nil, fmt.Errorf("look up key %q: %w", in.keyID, err)
	}
	name, keyID, key, err := ParseVerifierKey(vkey)
	if err != nil {
		return nil, fmt.Errorf("look up key %q: %w", in.keyID, err)
	}
	if keyID != in.keyID {
		return nil, refuse("keyid %q is not the key of %s", in.keyID, name)
	}
	if err := v.verify(r, body, in, key); err != nil {
		return nil, err
	}
	return &Verified{KeyID: keyID, Name: name, Nonce: in.nonce, Expires: in.expires}, nil
}

// verify hands the library a message that is nothing but what was checked: our signature alone, our own URL, and the
// body as the caller has it.
func (v *Verifier) verify(r *http.Request, body []byte, in *input, key ed25519.PublicKey) error {
	target, err := v.target(r.URL)
	if err != nil {
		return err
	}
	header := maps.Clone(r.Header)
	for name, member := range map[string]httpsfv.Member{inputHeader: in.list, signatureHeader: in.signature} {
		dict := httpsfv.NewDictionary()
		dict.Add(label, member)
		value, err := httpsfv.Marshal(dict)
		if err != nil {
			return refuse("%s cannot be written in its normal form: %v", name, err)
		}
		header.Set(name, value)
	}

	trusted := httpsig.Key{KeyID: in.keyID, Algorithm: httpsig.Ed25519, Key: key}
	verifier, err := httpsig.NewVerifier(trusted,
		httpsig.WithValidateAllSignatures(),
		// Times are checked already, by a clock that the library does not know.
		httpsig.WithValidityTolerance(math.MaxInt64),
		httpsig.WithMaxAge(math.MaxInt64))
	if err != nil {
		return fmt.Errorf("make a verifier for key %q: %w", in.keyID, err)
	}
	err = verifier.Verify(&httpsig.Message{
		Context:   r.Context(),
		Method:    r.Method,
		Authority: target.Host,
		URL:       target,
		Header:    header,
		Body:      reading(body),
		IsRequest: true,
	})
	switch {
	case errors.Is(err, httpsig.ErrInvalidSignature):
		return refuse("the signature does not match %s %s with this key", r.Method, target)
	case errors.Is(err, httpsig.ErrContentDigestMismatch):
		return refuse("the body does not match its %s", digestHeader)
	case err != nil:
		return refuse("%v", err)
	}
	return nil
}

// target is base URL + request URI, whatever the request says about its host.
func (v *Verifier) target(u *url.URL) (*url.URL, error) {
	if !strings.HasPrefix(u.Path, "/") {
		return nil, refuse("the request target %q is not a path", u.RequestURI())
	}
	return &url.URL{
		Scheme:     v.base.Scheme,
		Host:       v.base.Host,
		Path:       v.base.Path + u.Path,
		RawPath:    v.base.EscapedPath() + u.EscapedPath(),
		RawQuery:   u.RawQuery,
		ForceQuery: u.ForceQuery,
	}, nil
}

// checkDigestHeader makes sure that the digest which the library compares is there in the algorithm we ask for.
func checkDigestHeader(h http.Header) error {
	dict, err := parseDictionary(digestHeader, strings.Join(h.Values(digestHeader), ","))
	if err != nil {
		return err
	}
	if _, ok := dict.Get(string(httpsig.Sha256)); !ok {
		return refuse("%s has no %s", digestHeader, httpsig.Sha256)
	}
	return nil
}
