package signature_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/signature"
)

func TestSignIsWhatTheRFCDescribes(t *testing.T) {
	t.Parallel()
	om := newIdentity(t, sender, 'm')
	signer, err := signature.NewSigner(om.skey)
	require.NoError(t, err)
	require.Equal(t, om.name, signer.Name())
	require.Equal(t, om.keyID, signer.KeyID())
	require.Equal(t, om.vkey, signer.VerifierKey())

	params := regexp.MustCompile(`^olympus=(\("@method" "@target-uri"( "content-digest")?\)` +
		`;created=(\d+);expires=(\d+);keyid="` + regexp.QuoteMeta(om.keyID) + `";alg="ed25519";nonce="([^"]{16,128})";tag="olympus")$`)

	for name, test := range map[string]struct {
		method, url, target string
		body                []byte
	}{
		"get":         {method: "GET", url: "https://oa.example.com/eventlog?after=1&limit=2", target: "https://oa.example.com/eventlog?after=1&limit=2"},
		"post":        {method: "POST", url: "https://oa.example.com/push", target: "https://oa.example.com/push", body: []byte(event)},
		"empty body":  {method: "POST", url: "https://oa.example.com/push", target: "https://oa.example.com/push", body: []byte{}},
		"no method":   {url: "https://oa.example.com/peer", target: "https://oa.example.com/peer"},
		"no path":     {method: "GET", url: "https://oa.example.com", target: "https://oa.example.com/"},
		"normal form": {method: "GET", url: "https://u:p@OA.example.com:443/a%2Fb?#f", target: "https://oa.example.com/a%2Fb?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequest(test.method, test.url, nil)
			require.NoError(t, err)
			req.Method = test.method
			require.NoError(t, signer.Sign(req, test.body))

			match := params.FindStringSubmatch(req.Header.Get("Signature-Input"))
			require.NotNil(t, match, req.Header.Get("Signature-Input"))
			require.Equal(t, test.body != nil, match[2] != "")
			method := test.method
			if method == "" {
				method = "GET"
			}
			lines := []string{`"@method": ` + method, `"@target-uri": ` + test.target}
			if test.body != nil {
				digest := newRecipe(om, "POST", "/", string(test.body)).digest
				if len(test.body) == 0 {
					digest = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
				}
				require.Equal(t, digest, req.Header.Get("Content-Digest"))
				lines = append(lines, `"content-digest": `+digest)
			}
			lines = append(lines, `"@signature-params": `+match[1])

			value := req.Header.Get("Signature")
			require.Regexp(t, `^olympus=:[^:]+:$`, value)
			raw, err := base64.StdEncoding.DecodeString(strings.Trim(strings.TrimPrefix(value, "olympus="), ":"))
			require.NoError(t, err)
			require.True(t, ed25519.Verify(om.private.Public().(ed25519.PublicKey), []byte(strings.Join(lines, "\n")), raw))

			var created, expires int64
			_, err = fmt.Sscan(match[3], &created)
			require.NoError(t, err)
			_, err = fmt.Sscan(match[4], &expires)
			require.NoError(t, err)
			require.Equal(t, int64(120), expires-created)
			require.WithinDuration(t, time.Now(), time.Unix(created, 0), 30*time.Second)
		})
	}
}

func TestSignRefusesARelativeURL(t *testing.T) {
	t.Parallel()
	signer, err := signature.NewSigner(newIdentity(t, sender, 'm').skey)
	require.NoError(t, err)
	require.Error(t, signer.Sign(httptest.NewRequest("GET", "/peer", nil), nil))
}

// TestRetryIsSignedAnew signs one request three times over a real connection: with a body, again, and without.
func TestRetryIsSignedAnew(t *testing.T) {
	t.Parallel()
	om := newIdentity(t, sender, 'm')
	signer, err := signature.NewSigner(om.skey)
	require.NoError(t, err)

	var verifier *signature.Verifier
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		verified, err := verifier.Verify(r, body, om.lookup)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, verified.Nonce)
	}))
	t.Cleanup(server.Close)
	verifier, err = signature.NewVerifier(server.URL, nil)
	require.NoError(t, err)

	seen := map[string]bool{}
	header := http.Header{}
	for _, body := range []string{event, event, ""} {
		method, signed := http.MethodPost, []byte(body)
		if body == "" {
			method, signed = http.MethodGet, nil
		}
		req, err := http.NewRequest(method, server.URL+"/push?x=%20y", strings.NewReader(body))
		require.NoError(t, err)
		req.Header = header
		require.NoError(t, signer.Sign(req, signed))
		require.Len(t, header.Values("Signature"), 1)
		require.Len(t, header.Values("Signature-Input"), 1)

		res, err := server.Client().Do(req)
		require.NoError(t, err)
		answer, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode, string(answer))
		require.False(t, seen[string(answer)])
		seen[string(answer)] = true
	}
	require.Empty(t, header.Get("Content-Digest"))
}
