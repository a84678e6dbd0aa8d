package upstream

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testmod"
)

// TestLimits takes what just fits.
func TestLimits(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, plain)
	up.Set(infoPath, testmod.Behaviour{Body: padded(`{"Version":"v1.0.0"}`, protocol.MaxInfoBytes)})
	up.Set(modPath, testmod.Behaviour{Body: padded("module example.com/m\n", protocol.MaxModBytes)})
	up.Set(zipPath, testmod.Behaviour{Body: make([]byte, 4096)})
	md, zip, err := fetch(t, start(t, Options{Proxies: up.URL, MaxZip: 4096}), plain)
	require.NoError(t, err)
	require.Len(t, md.Info, protocol.MaxInfoBytes)
	require.Len(t, md.Mod, protocol.MaxModBytes)
	require.Len(t, zip, 4096)
}

// TestEndless takes no more than the limit of a body whose length nobody declared.
func TestEndless(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	u := start(t, Options{Proxies: server.URL, MaxZip: 1 << 20})
	_, err := fetchZip(t, u, nil, plain)
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = u.Metadata(t.Context(), plain.Path, plain.Version)
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = u.List(t.Context(), plain.Path)
	require.ErrorIs(t, err, ErrTooLarge)
}

func TestSlow(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	timeouts := Timeouts{Header: 200 * time.Millisecond, Stall: 200 * time.Millisecond}
	for name, sent := range map[string]int{"no answer": 0, "answer stops": 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := testmod.NewUpstream(t, plain)
			up.Set(infoPath, testmod.Behaviour{Hold: never, Sent: sent})
			_, _, err := fetch(t, start(t, Options{Proxies: up.URL, Timeouts: timeouts}), plain)
			require.True(t, requireFailed(t, err).Timeout(), "%v", err)
			require.ErrorContains(t, err, "no progress")
		})
	}
	t.Run("drip", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for range tick.C {
				if _, err := w.Write([]byte("x")); err != nil {
					return
				}
				w.(http.Flusher).Flush()
			}
		}))
		t.Cleanup(server.Close)
		_, err := fetchZip(t, start(t, Options{Proxies: server.URL, Timeouts: timeouts}), nil, plain)
		require.True(t, requireFailed(t, err).Timeout(), "%v", err)
	})
	t.Run("slow but steady", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for range 30 {
				<-tick.C
				w.Write(make([]byte, progress))
				w.(http.Flusher).Flush()
			}
		}))
		t.Cleanup(server.Close)
		zip, err := fetchZip(t, start(t, Options{Proxies: server.URL, Timeouts: timeouts}), nil, plain)
		require.NoError(t, err)
		require.Len(t, zip, 30*progress)
	})
	t.Run("504", func(t *testing.T) {
		t.Parallel()
		up := testmod.NewUpstream(t, plain)
		up.Set(infoPath, testmod.Behaviour{Status: 504})
		_, _, err := fetch(t, start(t, Options{Proxies: up.URL}), plain)
		require.True(t, requireFailed(t, err).Timeout())
	})
}

// TestLostTree tells a file tree that went away from one that lacks a module.
func TestLostTree(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "tree")
	u := start(t, Options{Proxies: testmod.Tree(t, dir, plain)})
	_, _, err := fetch(t, u, next)
	requireNotFound(t, err)
	require.NoError(t, os.RemoveAll(dir))
	_, _, err = fetch(t, u, plain)
	failed := requireFailed(t, err)
	require.Contains(t, failed.Error(), dir)
}

// TestCredentials sends them to the server, and to nobody else.
func TestCredentials(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, plain)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Empty(t, r.Header.Get("Authorization"))
		up.ServeHTTP(w, r)
	}))
	t.Cleanup(elsewhere.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "tokenname" || password != "secret" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		if r.URL.Path == zipPath {
			// Another host by name, as far as credentials go.
			http.Redirect(w, r, strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)+zipPath+"?signature=secret", http.StatusFound)
			return
		}
		up.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	with, err := url.Parse(server.URL)
	require.NoError(t, err)
	with.User = url.UserPassword("tokenname", "secret")

	u := start(t, Options{Proxies: with.String()})
	_, zip, err := fetch(t, u, plain)
	require.NoError(t, err)
	require.Equal(t, testmod.Zip(t, plain), zip)

	_, _, err = fetch(t, start(t, Options{Proxies: server.URL}), plain)
	require.Equal(t, 401, requireFailed(t, err).Status)
	require.ErrorContains(t, err, "who are you?")

	silent := func(err error) {
		t.Helper()
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secret")
		require.NotContains(t, err.Error(), "tokenname")
	}
	elsewhere.Close()
	_, err = fetchZip(t, u, nil, plain)
	requireFailed(t, err)
	silent(err)
	up.Set(infoPath, testmod.Behaviour{Body: []byte("{}")})
	_, _, err = fetch(t, u, plain)
	requireFailed(t, err)
	silent(err)
	_, _, err = fetch(t, u, next)
	requireNotFound(t, err)
	silent(err)
	server.Close()
	_, _, err = fetch(t, u, plain)
	requireFailed(t, err)
	silent(err)
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, plain)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hops := r.URL.Query().Get("hops")
		switch {
		case r.URL.Path == modPath:
			http.Redirect(w, r, modPath, http.StatusFound)
		case len(hops) < 5:
			http.Redirect(w, r, r.URL.Path+"?hops="+hops+"x", http.StatusFound)
		default:
			up.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	_, err := start(t, Options{Proxies: server.URL}).Metadata(t.Context(), plain.Path, plain.Version)
	requireFailed(t, err)
	require.ErrorContains(t, err, modPath)
	require.ErrorContains(t, err, "more than 5 redirects")

	tls := httptest.NewTLSServer(http.RedirectHandler(server.URL, http.StatusFound))
	t.Cleanup(tls.Close)
	_, err = start(t, Options{Proxies: tls.URL, Transport: tls.Client().Transport}).Metadata(t.Context(), plain.Path, plain.Version)
	requireFailed(t, err)
	require.ErrorContains(t, err, "redirected from https to http")
}

// TestHTTPProxy goes through the HTTP proxy that the options name, and through none otherwise.
func TestHTTPProxy(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, plain)
	used := false
	u := start(t, Options{Proxies: "http://unreachable.example.com", ProxyFunc: func(*http.Request) (*url.URL, error) {
		used = true
		return url.Parse(up.URL)
	}})
	_, _, err := fetch(t, u, plain)
	require.NoError(t, err)
	require.True(t, used)
}
