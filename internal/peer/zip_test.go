package peer_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
)

const (
	zipBytes = "PK, more or less"
	sum      = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
)

var otherSum = strings.Repeat("f", 64)

func TestZip(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"plain":             status(http.StatusOK, zipBytes),
		"matching tag":      status(http.StatusOK, zipBytes, "ETag", `"`+sum+`"`),
		"tag in capitals":   status(http.StatusOK, zipBytes, "ETag", `"`+strings.ToUpper(sum)+`"`),
		"tag of other kind": status(http.StatusOK, zipBytes, "ETag", `"d41d8cd98f00b204e9800998ecf8427e"`),
		"weak tag":          status(http.StatusOK, zipBytes, "ETag", `W/"`+otherSum+`"`),
		"tag not quoted":    status(http.StatusOK, zipBytes, "ETag", otherSum),
		"redirect to itself": func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, "/blobs/") {
				http.Redirect(w, r, "/blobs/x?y=z", http.StatusFound)
				return
			}
			_, _ = io.WriteString(w, zipBytes)
		},
		"three redirects": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "xxx" {
				http.Redirect(w, r, "?x"+r.URL.RawQuery, http.StatusTemporaryRedirect)
				return
			}
			_, _ = io.WriteString(w, zipBytes)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The limit is met exactly.
			o, client := newOther(t, peer.Options{}, handler)
			var got bytes.Buffer
			require.NoError(t, client.Zip(t.Context(), o.target, "example.com/M", "v1.0.0-RC", sum, int64(len(zipBytes)), &got))
			require.Equal(t, zipBytes, got.String())
			for _, r := range o.requests {
				require.Equal(t, http.MethodGet, r.Method)
				require.Equal(t, "true", r.Header.Get("Disable-Module-Fetch"))
			}
			require.Equal(t, "/example.com/!m/@v/v1.0.0-!r!c.zip", o.requests[0].URL.String())
		})
	}
}

func TestZipRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    error
		says    string
		written string
	}{
		"unknown":          {handler: status(http.StatusNotFound, "no"), want: peer.ErrNotFound},
		"gone":             {handler: status(http.StatusGone, "no"), want: peer.ErrNotFound},
		"tombstone":        {handler: status(http.StatusForbidden, "leaked"), says: "403 Forbidden: leaked"},
		"other bytes":      {handler: status(http.StatusOK, zipBytes, "ETag", `"`+otherSum+`"`), want: peer.ErrOtherBytes},
		"announced larger": {handler: status(http.StatusOK, zipBytes+"!!"), want: peer.ErrTooLarge},
		"larger": {handler: func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, zipBytes)
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "!!")
		}, want: peer.ErrTooLarge, written: zipBytes + "!"},
		"broken off": {handler: status(http.StatusOK, zipBytes, "Content-Length", "17"), want: io.ErrUnexpectedEOF, written: zipBytes},
		"compressed": {handler: status(http.StatusOK, zipBytes, "Content-Encoding", "gzip"), says: "not asked for"},
		"partial":    {handler: status(http.StatusPartialContent, zipBytes), says: "206"},
		"four redirects": {handler: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "xxxx" {
				http.Redirect(w, r, "?x"+r.URL.RawQuery, http.StatusTemporaryRedirect)
			}
		}, says: "more than 3 redirects"},
		"redirect without a target": {handler: status(http.StatusFound, ""), says: "Location"},
		"redirect to a file":        {handler: status(http.StatusFound, "", "Location", "file:///etc/passwd"), says: "no plain http"},
		"redirect to a user":        {handler: status(http.StatusFound, "", "Location", "http://a:b@127.0.0.1/"), says: "no plain http"},
		"redirect to nonsense":      {handler: status(http.StatusFound, "", "Location", "http://[::1"), says: "Location"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, client := newOther(t, peer.Options{}, test.handler)
			var got bytes.Buffer
			err := client.Zip(t.Context(), o.target, modPath, "v1.0.0", sum, int64(len(zipBytes)+1), &got)
			require.ErrorContains(t, err, "GET "+o.URL)
			require.ErrorContains(t, err, test.says)
			if test.want != nil {
				require.ErrorIs(t, err, test.want)
			}
			require.Equal(t, test.written, got.String())
		})
	}
}

// TestZipFromStorage goes to a host that is not the peer, and must leave everything of ours behind.
func TestZipFromStorage(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		for _, name := range []string{"Signature", "Signature-Input", "Content-Digest", "Disable-Module-Fetch", "Referer"} {
			if r.Header.Get(name) != "" {
				http.Error(w, name+" forwarded", http.StatusTeapot)
				return
			}
		}
		switch r.URL.String() {
		case "/bucket/zip?credential=secret":
			// Its tags are not ours.
			w.Header().Set("ETag", `"`+otherSum+`"`)
			_, _ = io.WriteString(w, zipBytes)
		case "/bucket/next?credential=secret":
			http.Redirect(w, r, "zip?credential=secret", http.StatusSeeOther)
		default:
			http.Error(w, "no such key", http.StatusForbidden)
		}
	}))
	t.Cleanup(storage.Close)
	host := strings.TrimPrefix(storage.URL, "http://")

	for name, test := range map[string]struct {
		storageHost, path string
		says              string
		refused           bool // before storage is asked
	}{
		"configured":          {storageHost: host, path: "/bucket/zip"},
		"sent on inside":      {storageHost: host, path: "/bucket/next"},
		"gone there":          {storageHost: host, path: "/bucket/gone", says: "403 Forbidden: no such key"},
		"not configured":      {path: "/bucket/zip", says: "neither the peer nor its storage host", refused: true},
		"another port":        {storageHost: "127.0.0.1", path: "/bucket/zip", says: "neither", refused: true},
		"another host":        {storageHost: "storage.example.com", path: "/bucket/zip", says: "neither", refused: true},
		"part of a host name": {storageHost: strings.TrimPrefix(host, "127."), path: "/bucket/zip", says: "neither", refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			before := asked.Load()
			o, client := newOther(t, peer.Options{}, status(http.StatusFound, "", "Location", storage.URL+test.path+"?credential=secret"))
			o.target.StorageHost = test.storageHost
			var got bytes.Buffer
			err := client.Zip(t.Context(), o.target, modPath, "v1.0.0", sum, zipLimit, &got)
			held, headErr := client.HasZip(t.Context(), o.target, modPath, "v1.0.0")
			if test.refused {
				require.Equal(t, before, asked.Load())
				require.Error(t, headErr)
				require.NotContains(t, headErr.Error(), "secret")
			} else {
				require.NoError(t, headErr)
				require.True(t, held)
			}
			if test.says != "" {
				require.ErrorContains(t, err, test.says)
				require.NotContains(t, err.Error(), "secret")
				require.Empty(t, got.String())
				return
			}
			require.NoError(t, err)
			require.Equal(t, zipBytes, got.String())
		})
	}
}

func TestHasZip(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		held    bool
		says    string
	}{
		"held":         {handler: status(http.StatusOK, ""), held: true},
		"not held":     {handler: status(http.StatusNotFound, "")},
		"gone":         {handler: status(http.StatusGone, "")},
		"at storage":   {handler: status(http.StatusFound, "", "Location", "/blobs/x"), held: true},
		"elsewhere":    {handler: status(http.StatusFound, "", "Location", "http://login.example.com/"), says: "neither"},
		"tombstone":    {handler: status(http.StatusForbidden, ""), says: "403"},
		"server error": {handler: status(http.StatusBadGateway, ""), says: "502"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, client := newOther(t, peer.Options{}, test.handler)
			held, err := client.HasZip(t.Context(), o.target, modPath, "v1.0.0")
			if test.says == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.says)
			}
			require.Equal(t, test.held, held)
			r, _ := o.last(t)
			require.Equal(t, http.MethodHead, r.Method)
			require.Equal(t, "true", r.Header.Get("Disable-Module-Fetch"))
			require.Equal(t, 1, o.count())
		})
	}
}
