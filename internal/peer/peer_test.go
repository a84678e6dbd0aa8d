package peer_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/internal/signature"
)

const (
	sender  = "om.example.com"
	modPath = "example.com/m"
	modFile = "module example.com/m\n"
)

// impatient are limits that let a test of a hostile peer end soon.
var impatient = peer.Options{
	HeaderTimeout: 500 * time.Millisecond,
	IdleTimeout:   500 * time.Millisecond,
	MinRateAfter:  time.Second,
}

// other is a peer for tests: a server that, like a real one, lets nobody in without a fresh signature.
type other struct {
	*httptest.Server
	target peer.Target

	mu       sync.Mutex
	requests []*http.Request // that were verified, in order
	bodies   [][]byte
}

// newOther starts a peer that answers with handler, and a client that may speak to it.
func newOther(t *testing.T, options peer.Options, handler http.HandlerFunc) (*other, *peer.Client) {
	t.Helper()
	skey, vkey, err := signature.GenerateKey(sender)
	require.NoError(t, err)
	signer, err := signature.NewSigner(skey)
	require.NoError(t, err)
	lookup := func(keyID string) (string, error) {
		if keyID != signer.KeyID() {
			return "", signature.ErrUnknownKey
		}
		return vkey, nil
	}

	o := &other{}
	var verifier *signature.Verifier
	nonces := map[string]bool{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if r.URL.Path != "/peer" {
			verified, err := verifier.Verify(r, body, lookup)
			if err != nil {
				http.Error(w, err.Error(), http.StatusUnauthorized)
				return
			}
			o.mu.Lock()
			replayed := nonces[verified.Nonce]
			nonces[verified.Nonce] = true
			o.mu.Unlock()
			if replayed {
				http.Error(w, "replayed", http.StatusUnauthorized)
				return
			}
		}
		o.mu.Lock()
		o.requests = append(o.requests, r)
		o.bodies = append(o.bodies, body)
		o.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(o.Close)
	verifier, err = signature.NewVerifier(o.URL, nil)
	require.NoError(t, err)
	o.target = peer.Target{Name: "oa.example.com", URL: o.URL}

	client := peer.NewClient(signer, options)
	t.Cleanup(client.Close)
	return o, client
}

// last is the request that was verified last.
func (o *other) last(t *testing.T) (*http.Request, []byte) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	require.NotEmpty(t, o.requests)
	return o.requests[len(o.requests)-1], o.bodies[len(o.bodies)-1]
}

func (o *other) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.requests)
}

// status answers every request in the same way.
func status(code int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// drip writes text every 20 ms until the client has had enough.
func drip(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			if _, err := io.WriteString(w, text); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
		}
	}
}

// hang never answers. With begin it has sent the headers and those bytes before.
func hang(begin string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if begin != "" {
			_, _ = io.WriteString(w, begin)
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}
}

// endless writes as fast as it can until the client has had enough.
func endless(header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		chunk := make([]byte, 64<<10)
		for i := range chunk {
			chunk[i] = ' '
		}
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
}

func added(version string) protocol.Event {
	return protocol.Event{
		Kind:      protocol.KindAdd,
		Module:    modPath,
		Version:   version,
		Origin:    sender,
		Time:      time.Date(2026, 11, 22, 12, 0, 0, 1000, time.UTC),
		ZipHash:   "h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
		ZipSHA256: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		ZipSize:   1234,
		ModHash:   protocol.ModHash([]byte(modFile)),
		Info:      `{"Version":"` + version + `"}`,
		Mod:       modFile,
	}
}

func deleted(version, reason string) protocol.Event {
	return protocol.Event{
		Kind: protocol.KindDelete, Module: modPath, Version: version, Origin: sender, Reason: reason,
		Time: time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC),
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	got, err := peer.ParseURL("https://OA.example.com:443/olympus/")
	require.NoError(t, err)
	require.Equal(t, "https://oa.example.com/olympus", got)
	_, err = peer.ParseURL("oa.example.com")
	require.ErrorContains(t, err, "http://")
}
