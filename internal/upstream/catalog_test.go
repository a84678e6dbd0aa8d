package upstream

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
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

	// So is the number of pages, however small they are.
	c.left, c.pages, requests = 1<<20, 100, 0
	err = c.walk(t.Context(), func(string, string) error { return nil })
	require.ErrorContains(t, err, "its pages do not end")
	require.Equal(t, 100, requests)
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

// Whatever a server answers is a page or refused as none, and what is written as a page is read back.
func FuzzReadCatalog(f *testing.F) {
	for _, seed := range []string{
		`{"modules":[{"module":"example.com/m","version":"v1.0.0"}],"next":"x"}`, `{"modules":null}`, `{"next":1}`, `{`, `[]`, "", `{"modules":[{}],"x":{"y":[1]}}`,
	} {
		f.Add([]byte(seed), "example.com/m", "v1.0.0")
	}
	f.Fuzz(func(t *testing.T, page []byte, path, version string) {
		read := func(page []byte) (found []string, next string, err error) {
			file, err := os.CreateTemp(t.TempDir(), "")
			require.NoError(t, err)
			defer file.Close()
			_, err = file.Write(page)
			require.NoError(t, err)
			_, err = file.Seek(0, io.SeekStart)
			require.NoError(t, err)
			next, err = readCatalog(file, func(path, version string) error { found = append(found, path, version); return nil })
			return found, next, err
		}
		if _, _, err := read(page); err != nil {
			_, ok := errors.AsType[*catalogError](err)
			require.True(t, ok, "%v", err)
		}
		written, err := json.Marshal(map[string]any{"modules": []map[string]string{{"module": path, "version": version}}, "next": version})
		if err != nil || len(written) > maxCatalogEntry {
			return // not UTF-8
		}
		found, next, err := read(written)
		require.NoError(t, err)
		require.Equal(t, []string{path, version, version}, append(found, next))
	})
}
