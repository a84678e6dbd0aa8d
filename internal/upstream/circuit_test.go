package upstream

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/circuit"
	"olympus/internal/testmod"
)

// A host that does not answer is left out; one that answers, whatever it says, is not: that may be about one module.
func TestHostIsLeftOut(t *testing.T) {
	t.Parallel()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc // nil: nobody listens
		open    bool
		timeout bool
	}{
		"nobody there":   {nil, true, false},
		"502":            {status(http.StatusBadGateway), true, false},
		"503":            {status(http.StatusServiceUnavailable), true, false},
		"504":            {status(http.StatusGatewayTimeout), true, true},
		"hangs":          {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, true, true},
		"hangs up":       {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true, false},
		"404":            {http.NotFound, false, false},
		"403":            {status(http.StatusForbidden), false, false},
		"429":            {status(http.StatusTooManyRequests), false, false},
		"500":            {status(http.StatusInternalServerError), false, false},
		"garbage":        {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, false, false},
		"a bad redirect": {http.RedirectHandler("ftp://example.com/", http.StatusFound).ServeHTTP, false, false},
		"is cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("{"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				test.handler(w, r)
			}))
			t.Cleanup(server.Close)
			if test.handler == nil {
				server.Close()
			}
			u := start(t, Options{Proxies: server.URL, Timeouts: Timeouts{Header: 200 * time.Millisecond, Pause: time.Hour}})
			for range hostFailures {
				_, err := u.Metadata(t.Context(), plain.Path, plain.Version)
				require.Error(t, err)
				var open *circuit.OpenError
				require.NotErrorAs(t, err, &open)
			}
			host := strings.TrimPrefix(server.URL, "http://")
			require.Equal(t, map[string]bool{host: test.open}, u.Circuits())
			before := asked.Load()
			_, err := u.List(t.Context(), "example.com/other")
			var open *circuit.OpenError
			if !test.open {
				require.NotErrorAs(t, err, &open)
				require.Greater(t, asked.Load(), before)
				return
			}
			require.ErrorAs(t, err, &open)
			require.Equal(t, before, asked.Load())
			failed := requireFailed(t, err)
			require.ErrorContains(t, err, host+" is left out")
			require.Equal(t, test.timeout, failed.Timeout())
		})
	}
}

// Who gives up tells nothing about whom he asked.
func TestImpatientQuestionsDoNotLeaveOut(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, plain)
	never := make(chan struct{})
	up.Set(infoPath, testmod.Behaviour{Hold: never})
	u := start(t, Options{Proxies: up.URL})
	for range 2 * hostFailures {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		_, err := u.Metadata(ctx, plain.Path, plain.Version)
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Equal(t, []bool{false}, values(u.Circuits()))
}

func values(m map[string]bool) (all []bool) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// With a host left out, the list goes on as it does after any of its failures.
func TestNextPlaceWhileOneIsLeftOut(t *testing.T) {
	t.Parallel()
	for separator, goesOn := range map[string]bool{"|": true, ",": false} {
		down := testmod.NewUpstream(t)
		down.Set(infoPath, testmod.Behaviour{Status: http.StatusBadGateway})
		up := testmod.NewUpstream(t, plain)
		u := start(t, Options{Proxies: down.URL + separator + up.URL, Timeouts: Timeouts{Pause: time.Hour}})
		for range 2 * hostFailures {
			md, err := u.Metadata(t.Context(), plain.Path, plain.Version)
			if !goesOn {
				requireFailed(t, err)
				continue
			}
			require.NoError(t, err)
			require.NoError(t, md.Close())
		}
		require.Equal(t, hostFailures, down.Count(infoPath), separator)
		require.Equal(t, goesOn, up.Count(infoPath) > 0)
		require.False(t, u.Circuits()[strings.TrimPrefix(up.URL, "http://")])
	}
}

// A host that is back is found by the first question after the pause.
func TestHostComesBack(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, plain)
	up.Set(listPath, testmod.Behaviour{Status: http.StatusServiceUnavailable})
	address := strings.TrimPrefix(up.URL, "http://")
	u := start(t, Options{Proxies: up.URL, Timeouts: Timeouts{Pause: 50 * time.Millisecond}})
	for range hostFailures {
		_, err := u.List(t.Context(), plain.Path)
		requireFailed(t, err)
	}
	require.True(t, u.Circuits()[address])
	up.Set(listPath, testmod.Behaviour{})
	require.Eventually(t, func() bool {
		versions, err := u.List(t.Context(), plain.Path)
		return err == nil && len(versions) == 1
	}, 10*time.Second, 5*time.Millisecond)
	require.False(t, u.Circuits()[address])
}
