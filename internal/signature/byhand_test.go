package signature_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"olympus/internal/signature"
)

const (
	audience = "https://oa.example.com"
	sender   = "om.example.com"
)

// noon is the receiver's clock.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// identity is a key pair made from a fixed seed, without the package under test.
type identity struct {
	private     ed25519.PrivateKey
	skey, vkey  string
	keyID, name string
}

func newIdentity(t testing.TB, name string, seed byte) identity {
	t.Helper()
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), ed25519.SeedSize)))
	vkey, err := note.NewEd25519VerifierKey(name, private.Public().(ed25519.PublicKey))
	require.NoError(t, err)
	keyID := vkey[:strings.Index(vkey, "+")+1+8]
	return identity{
		private: private,
		skey:    "PRIVATE+KEY+" + keyID + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, private.Seed()...)),
		vkey:    vkey,
		keyID:   keyID,
		name:    name,
	}
}

// lookup knows this one peer.
func (id identity) lookup(keyID string) (string, error) {
	if keyID != id.keyID {
		return "", signature.ErrUnknownKey
	}
	return id.vkey, nil
}

// recipe is a request and its signature, line by line as RFC 9421 section 2.5 builds it: an implementation of its own
// that shares no code with the package or its library. Tests change one ingredient.
type recipe struct {
	method  string
	target  string // what is signed
	request string // what is sent: a request target
	body    string

	components []string
	lines      map[string]string // values of further components
	params     []string
	label      string
	digest     string // Content-Digest header
	key        ed25519.PrivateKey
}

func newRecipe(id identity, method, requestTarget, body string) *recipe {
	r := &recipe{
		method:     method,
		target:     audience + requestTarget,
		request:    requestTarget,
		body:       body,
		components: []string{"@method", "@target-uri"},
		params: []string{
			fmt.Sprintf("created=%d", noon.Unix()),
			fmt.Sprintf("expires=%d", noon.Add(2*time.Minute).Unix()),
			`nonce="n-1"`,
			fmt.Sprintf("keyid=%q", id.keyID),
			`tag="olympus"`,
		},
		label: "olympus",
		key:   id.private,
	}
	if body != "" {
		sum := sha256.Sum256([]byte(body))
		r.digest = "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
		r.components = append(r.components, "content-digest")
	}
	return r
}

// set replaces, adds or (with an empty value) removes a parameter.
func (r *recipe) set(name, value string) {
	kept := r.params[:0]
	found := false
	for _, p := range r.params {
		if !strings.HasPrefix(p, name+"=") {
			kept = append(kept, p)
			continue
		}
		if found = true; value != "" {
			kept = append(kept, name+"="+value)
		}
	}
	if r.params = kept; !found && value != "" {
		r.params = append(r.params, name+"="+value)
	}
}

func (r *recipe) setTimes(created, expires time.Time) {
	r.set("created", fmt.Sprint(created.Unix()))
	r.set("expires", fmt.Sprint(expires.Unix()))
}

// headers returns the values of Signature-Input and Signature.
func (r *recipe) headers() (input, sig string) {
	values := map[string]string{"@method": r.method, "@target-uri": r.target, "content-digest": r.digest}
	for name, value := range r.lines {
		values[name] = value
	}
	var base strings.Builder
	quoted := make([]string, len(r.components))
	for i, name := range r.components {
		quoted[i] = `"` + name + `"`
		fmt.Fprintf(&base, "%s: %s\n", quoted[i], values[name])
	}
	params := "(" + strings.Join(quoted, " ") + ");" + strings.Join(r.params, ";")
	fmt.Fprintf(&base, "%q: %s", "@signature-params", params)
	raw := ed25519.Sign(r.key, []byte(base.String()))
	return r.label + "=" + params, r.label + "=:" + base64.StdEncoding.EncodeToString(raw) + ":"
}

// build makes the request as a server sees it.
func (r *recipe) build() *http.Request {
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	req := httptest.NewRequest(r.method, r.request, body)
	input, sig := r.headers()
	req.Header.Set("Signature-Input", input)
	req.Header.Set("Signature", sig)
	if r.digest != "" {
		req.Header.Set("Content-Digest", r.digest)
	}
	return req
}

func newVerifier(t testing.TB, base string, now time.Time) *signature.Verifier {
	t.Helper()
	v, err := signature.NewVerifier(base, func() time.Time { return now })
	require.NoError(t, err)
	return v
}
