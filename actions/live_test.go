package actions_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/actions"
	"olympus/internal/protocol"
)

// listener reads a stream of /live.
type listener struct {
	t        *testing.T
	response *http.Response
	lines    *bufio.Scanner
}

func listen(t *testing.T, url string) *listener {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/live", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return &listener{t, response, bufio.NewScanner(response.Body)}
}

// message is the next message, and false if there is none because the stream has ended.
func (l *listener) message() (string, bool) {
	l.t.Helper()
	for l.lines.Scan() {
		if data, ok := strings.CutPrefix(l.lines.Text(), "data:"); ok {
			return strings.TrimSpace(data), true
		}
	}
	return "", false
}

func (l *listener) hears(topics string) {
	l.t.Helper()
	for {
		got, ok := l.message()
		require.True(l.t, ok, "the stream ended")
		if got == topics {
			return
		}
	}
}

// A page is told of what has changed, for as long as it listens: longer than a request may take to be read and answered.
func TestLive(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	s.knows("om.example.com", "https://om.example.com")
	ctx, cancel := context.WithCancel(t.Context())
	followed := make(chan struct{})
	go func() { s.Follower.Run(ctx, s.DB, func(error) {}); close(followed) }()
	t.Cleanup(func() { cancel(); <-followed })
	require.Eventually(t, func() bool { _, ok := s.Follower.Head(); return ok }, 10*time.Second, time.Millisecond)

	app, err := actions.New(s.Deployment, actions.Options{URL: s.url, Env: "test", Version: "v0.0.0-test"})
	require.NoError(t, err)
	ended := make(chan string, 10)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		app.ServeHTTP(w, r)
		ended <- r.URL.Path
	}))
	const limit = 50 * time.Millisecond
	server.Config.ReadTimeout, server.Config.WriteTimeout = limit, limit
	server.Start()
	t.Cleanup(server.Close)

	l := listen(t, server.URL)
	require.Equal(t, http.StatusOK, l.response.StatusCode)
	require.Equal(t, "text/event-stream", l.response.Header.Get("Content-Type"))
	require.Equal(t, "no-store", l.response.Header.Get("Cache-Control"))
	first, ok := l.message()
	require.True(t, ok)
	require.Empty(t, first)
	began := time.Now()
	s.exec(`UPDATE peers SET last_error = 'no route', last_error_at = now()`)
	l.hears("peers")
	require.NoError(t, s.Append(true, []protocol.Event{added("example.com/m", "v1.0.0", s.Name)}, nil))
	got, ok := l.message()
	require.True(t, ok)
	require.Contains(t, got, "log")
	if got == "log" {
		l.hears("jobs") // a push to the peer
	}
	require.Greater(t, time.Since(began), 2*limit, "or the test shows nothing")

	// However much happens, there is at most one message a second.
	began = time.Now()
	for i := range 30 {
		require.NoError(t, s.Append(false, []protocol.Event{added("example.com/m", fmt.Sprintf("v1.1.%d", i), "om.example.com")}, nil))
	}
	for range 2 {
		_, ok = l.message()
		require.True(t, ok)
	}
	require.GreaterOrEqual(t, time.Since(began), 900*time.Millisecond)

	// Whoever goes away leaves nothing behind; a process that is about to stop keeps nobody waiting.
	other := listen(t, server.URL)
	_, ok = other.message()
	require.True(t, ok)
	require.NoError(t, other.response.Body.Close())
	require.Equal(t, "/live", <-ended)
	app.Drain()
	for ok {
		_, ok = l.message()
	}
	require.NoError(t, l.lines.Err(), "it is ended, not cut")
	require.Equal(t, "/live", <-ended)
	refused := listen(t, server.URL)
	require.Equal(t, http.StatusServiceUnavailable, refused.response.StatusCode)
	require.Equal(t, "5", refused.response.Header.Get("Retry-After"))
}
