package peer

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/signature"
)

func newSigner(t *testing.T) *signature.Signer {
	t.Helper()
	skey, _, err := signature.GenerateKey("om.example.com")
	require.NoError(t, err)
	signer, err := signature.NewSigner(skey)
	require.NoError(t, err)
	return signer
}

// TestSlowUploadIsNotCut takes longer for the request than the answer may take after it.
func TestSlowUploadIsNotCut(t *testing.T) {
	t.Parallel()
	const steps = 16
	body := make([]byte, steps<<22)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range steps {
			<-tick.C
			_, _ = io.CopyN(io.Discard, r.Body, 1<<22)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	client := NewClient(newSigner(t), Options{HeaderTimeout: time.Second})
	t.Cleanup(client.Close)

	resp, err := client.send(t.Context(), call{method: http.MethodPost, url: server.URL + "/push", body: body, unsigned: true})
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	require.NoError(t, resp.Body.Close())
}

func TestUploadThatStallsIsCut(t *testing.T) {
	t.Parallel()
	over := make(chan struct{}) // behind a body that is half read, the server cannot see that the client is gone
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 1<<10)
		<-over
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(over) })
	client := NewClient(newSigner(t), Options{HeaderTimeout: 500 * time.Millisecond})
	t.Cleanup(client.Close)

	_, err := client.send(t.Context(), call{method: http.MethodPost, url: server.URL, body: make([]byte, 64<<20), unsigned: true})
	require.ErrorIs(t, err, ErrSlow)
}

// TestEarlyAnswer is given while the request is still being sent, and then takes longer than headers may take.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	answered := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = control.Flush()
		<-answered
		_, _ = io.CopyN(io.Discard, r.Body, 32<<20)
		<-time.After(time.Second)
		_, _ = io.WriteString(w, "busy")
	}))
	t.Cleanup(server.Close)
	client := NewClient(newSigner(t), Options{HeaderTimeout: 500 * time.Millisecond})
	t.Cleanup(client.Close)

	resp, err := client.send(t.Context(), call{method: http.MethodPost, url: server.URL, body: make([]byte, 64<<20), unsigned: true})
	close(answered)
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "busy", string(text))
	require.NoError(t, resp.Body.Close())
}

// TestSilentRepetitionIsSignedAnew: the peer dies with a request in its hands, and the one that takes over remembers
// the nonce.
func TestSilentRepetitionIsSignedAnew(t *testing.T) {
	t.Parallel()
	var count atomic.Int64
	var seen string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch signed := r.Header.Get("Signature"); count.Add(1) {
		case 1: // leaves a connection that is kept
		case 2:
			seen = signed
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		default:
			if signed == seen {
				w.WriteHeader(http.StatusUnauthorized)
			}
		}
	}))
	t.Cleanup(server.Close)
	client := NewClient(newSigner(t), Options{})
	t.Cleanup(client.Close)

	for range 2 {
		resp, err := client.send(t.Context(), call{method: http.MethodGet, url: server.URL + "/eventlog"})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	require.Equal(t, int64(4), count.Load(), "kept, died, repeated, signed anew")
}

func TestUnauthorizedIsNotRepeated(t *testing.T) {
	t.Parallel()
	var count atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		count.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	client := NewClient(newSigner(t), Options{})
	t.Cleanup(client.Close)
	resp, err := client.send(t.Context(), call{method: http.MethodGet, url: server.URL})
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, int64(1), count.Load())
}

// TestEnvironmentProxyIsIgnored cannot set the environment of a parallel test: it looks at what decides.
func TestEnvironmentProxyIsIgnored(t *testing.T) {
	t.Parallel()
	require.Nil(t, NewClient(newSigner(t), Options{}).transport.Proxy)
}

func TestPeerThatDoesNotSpeakHTTP(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"banner":         "SSH-2.0-OpenSSH_9.2\r\n",
		"endless header": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20),
		"nothing":        "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { _ = listener.Close() })
			go func() {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Read(make([]byte, 1))
				_, _ = io.WriteString(conn, answer)
				_ = conn.Close()
			}()
			client := NewClient(newSigner(t), Options{})
			_, err = client.Describe(t.Context(), "http://"+listener.Addr().String())
			require.Error(t, err)
		})
	}
}
