package upstream

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A body is cut off at what all pages may have together, whatever it declares; that of the pages before counts.
func TestCatalogIsBoundedInAll(t *testing.T) {
	t.Parallel()
	const page = `{"modules":[{"module":"example.com/m","version":"v1.0.0"}],"next":`
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		_, _ = io.WriteString(w, page+`"`+strings.Repeat("x", requests)+`"}`)
	}))
	defer server.Close()
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	c := &catalog{remote: newWebClient(Options{}).at(base), left: 5 * int64(len(page)), pages: 100}
	entries := 0
	err = c.walk(t.Context(), func(string, string) error { entries++; return nil })
	require.ErrorIs(t, err, ErrTooLarge)
	require.Equal(t, 4, entries)
	require.Equal(t, 5, requests)
}

// A large page is read without keeping it in memory, and an error of each ends it.
func TestCatalogReadsEntryByEntry(t *testing.T) {
	t.Parallel()
	file, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer file.Close()
	const n = 50_000
	_, err = file.WriteString(`{"modules":[` + strings.Repeat(`{"module":"example.com/m","version":"v1.0.0"},`, n) + `{}],"next":"x"}`)
	require.NoError(t, err)
	_, err = file.Seek(0, io.SeekStart)
	require.NoError(t, err)
	seen := 0
	next, err := readCatalog(file, func(path, version string) error {
		if seen++; seen <= n {
			require.Equal(t, "example.com/m@v1.0.0", path+"@"+version)
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, "x", next)
	require.Equal(t, n+1, seen)

	_, err = file.Seek(0, io.SeekStart)
	require.NoError(t, err)
	_, err = readCatalog(file, func(string, string) error { return io.ErrUnexpectedEOF })
	require.Equal(t, io.ErrUnexpectedEOF, err)
}
