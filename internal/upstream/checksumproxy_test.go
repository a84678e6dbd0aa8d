package upstream

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"olympus/internal/testmod"
)

const (
	lookupPath = "lookup/example.com/m@v1.0.0"
	fullTile   = "tile/8/0/000"
	dataTile   = "tile/8/data/000"
	partOfTile = "tile/8/0/001.p/1"
)

// longSumDB is a checksum database whose tree has more than a full tile. Record 0 is that of plain.
func longSumDB(t testing.TB) *sumDB {
	t.Helper()
	db := newSumDB(t, "sum.example.com", nil)
	db.history(func(path, version string) ([]byte, error) {
		if path == plain.Path && version != plain.Version {
			return nil, &fs.PathError{Op: "lookup", Path: path + "@" + version, Err: fs.ErrNotExist}
		}
		if path == plain.Path {
			return []byte(testmod.GoSum(t, plain)), nil
		}
		return fmt.Appendf(nil, "%[1]s %[2]s h1:x\n%[1]s %[2]s/go.mod h1:y\n", path, version), nil
	})
	modules := []testmod.Module{plain}
	for n := range 260 {
		modules = append(modules, testmod.Module{Path: fmt.Sprintf("example.com/long%d", n), Version: "v1.0.0"})
	}
	db.grow(t, modules)
	return db
}

// says is what the database itself answers.
func (db *sumDB) says(t testing.TB, path string) string {
	t.Helper()
	rec := httptest.NewRecorder()
	db.server.Load().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/"+path, nil))
	require.Equal(t, http.StatusOK, rec.Code, rec.Body)
	return rec.Body.String()
}

// passes requires that a path is answered, after so many requests to the database.
func passes(t testing.TB, u *Upstream, db *sumDB, path, want string, requests int64) {
	t.Helper()
	before := db.requests.Load()
	got, err := u.Checksum(t.Context(), path)
	require.NoError(t, err, path)
	require.Equal(t, want, string(got), path)
	require.Equal(t, requests, db.requests.Load()-before, "requests for %s", path)
}

// What never changes is asked for once, whichever process wants it, and is there when the database is not.
func TestChecksumProxyKeeps(t *testing.T) {
	t.Parallel()
	db, cache := longSumDB(t), newMemoryCache()
	opts := Options{Proxies: "off", ChecksumDB: db.serve(t), Cache: cache}
	u := start(t, opts)
	require.Equal(t, "sum.example.com", u.ChecksumName())
	kept := map[string]string{lookupPath: db.says(t, lookupPath), fullTile: db.says(t, fullTile), dataTile: db.says(t, dataTile)}
	for path, want := range kept {
		passes(t, u, db, path, want, 1)
		passes(t, u, db, path, want, 0)
		passes(t, start(t, opts), db, path, want, 0)
	}
	asked := []string{"latest", partOfTile, "tile/8/1/000.p/1", "tile/8/data/001.p/2"}
	for _, path := range asked {
		passes(t, u, db, path, db.says(t, path), 1)
		passes(t, u, db, path, db.says(t, path), 1)
	}
	latest := db.says(t, "latest")
	db.grow(t, []testmod.Module{{Path: "example.com/grown", Version: "v1.0.0"}})
	require.NotEqual(t, latest, db.says(t, "latest"))
	passes(t, u, db, "latest", db.says(t, "latest"), 1)

	db.status.Store(http.StatusServiceUnavailable)
	for _, u := range []*Upstream{u, start(t, opts)} {
		for path, want := range kept {
			passes(t, u, db, path, want, 0)
		}
		for _, path := range append(asked[1:], "lookup/example.com/m@v1.1.0", "tile/8/0/007") {
			_, err := u.Checksum(t.Context(), path)
			require.Equal(t, http.StatusServiceUnavailable, requireFailed(t, err).Status, path)
		}
	}
	require.NotContains(t, fmt.Sprint(cache.files), ".p/")
	for file, data := range cache.files {
		if data := string(data); strings.HasSuffix(file, dataTile) {
			_, remembered := u.sums.memory.Get(file)
			require.False(t, remembered, "a tile of records of %d bytes is kept in memory", len(data))
		}
	}
}

// Without the database the last signed tree is told, however old; who never had one has nothing to tell.
func TestChecksumProxyStaleLatest(t *testing.T) {
	t.Parallel()
	db, cache := longSumDB(t), newMemoryCache()
	opts := Options{Proxies: "off", ChecksumDB: db.serve(t), Cache: cache}
	u := start(t, opts)
	db.status.Store(http.StatusBadGateway)
	_, err := u.Checksum(t.Context(), "latest")
	requireFailed(t, err)

	db.status.Store(0)
	latest := db.says(t, "latest")
	passes(t, u, db, "latest", latest, 1)
	for _, status := range []int64{500, 502, 429, 403} {
		db.status.Store(status)
		passes(t, u, db, "latest", latest, 1)
		passes(t, start(t, opts), db, "latest", latest, 1)
	}
	db.status.Store(0)
	html := func(path, body string) string { return "<html>Please log in</html>" }
	db.alter.Store(&html)
	passes(t, u, db, "latest", latest, 1)
	db.alter.Store(nil)
	db.grow(t, []testmod.Module{{Path: "example.com/grown", Version: "v1.0.0"}})
	passes(t, u, db, "latest", db.says(t, "latest"), 1)
	require.NotEqual(t, latest, db.says(t, "latest"))
}

// The names of private modules do not leave the house, however they are spelled.
func TestChecksumProxyPrivate(t *testing.T) {
	t.Parallel()
	db := newSumDB(t, "sum.example.com", several())
	u := start(t, Options{Proxies: "off", ChecksumDB: db.serve(t), Private: "example.com/m,*.corp.example,example.com/Upper"})
	for _, path := range []string{
		lookupPath, "lookup/example.com/m/v2@v2.0.0", "lookup/example.com/m/sub/sub@v1.0.0", "lookup/git.corp.example/x@v1.0.0",
		"lookup/example.com/!upper/v2@v2.0.0-!r!c1", "lookup/example.com/m@v0.0.0-20200102030405-abcdef123456",
	} {
		_, err := u.Checksum(t.Context(), path)
		requireNotFound(t, err)
		require.ErrorContains(t, err, "private", path)
	}
	require.Zero(t, db.requests.Load())
	passes(t, u, db, "lookup/example.com/a@v1.0.0", db.says(t, "lookup/example.com/a@v1.0.0"), 1)
	require.NotContains(t, fmt.Sprint(u.sums.memory.Keys()), "example.com/m")
}

// What no checksum database has is not asked for: it would be somebody else's server that is asked anything by anybody.
func TestChecksumProxyPaths(t *testing.T) {
	t.Parallel()
	db := newSumDB(t, "sum.example.com", several())
	u := start(t, Options{Proxies: "off", ChecksumDB: db.serve(t)})
	for _, path := range []string{
		"", "/", "latest/", "/latest", "Latest", "supported", "lookup", "lookup/", "lookup/@", "lookup/example.com/m", "lookup/example.com/m@",
		"lookup/@v1.0.0", "lookup/example.com/m@main", "lookup/example.com/m@latest", "lookup/example.com/m@v1", "lookup/example.com/m@v1.0",
		"lookup/example.com/m@v1.0.0+meta", "lookup/example.com/m@v2.0.0", "lookup/example.com/m/v2@v1.0.0", "lookup/example.com/M@v1.0.0",
		"lookup/example.com/m@v1.0.0-RC1", "lookup/example.com/!M@v1.0.0", "lookup/example.com/m!@v1.0.0", "lookup/../latest@v1.0.0",
		"lookup/example.com/../m@v1.0.0", "lookup//m@v1.0.0", "lookup/m@v1.0.0", "lookup/example.com/m@v1.0.0/../../latest",
		"lookup/example.com/m@v1.0.0?x=y", "lookup/example.com/m@v1.0.0 ", "lookup/example.com/m@v1.0.0\n", "lookup/example.com/m@v1.0.0@v1.0.0",
		"lookup/example.com/m@v1.0.0-" + strings.Repeat("1", 250), "lookup/example.com" + strings.Repeat("/m", 600) + "@v1.0.0",
		"tile", "tile/", "tile/8", "tile/8/0", "tile/8/0/0", "tile/8/0/0000", "tile/8/0/000/", "tile/8/0/x000/000", "tile/8/0/000.p/0",
		"tile/8/0/000.p/256", "tile/8/0/000.p/01", "tile/8/0/000.p", "tile/8/-1/000", "tile/8/0/-01", "tile/8/data/data/000", "tile/0/0/000",
		"tile/7/0/000", "tile/9/0/000", "tile/30/0/000", "tile/30/data/000", "tile/31/0/000", "tile/8/8/000", "tile/8/99999/000", "tile/8/0/../../../latest", "tile/8/entries/000",
	} {
		_, err := u.Checksum(t.Context(), path)
		requireNotFoundPath(t, err, path)
	}
	require.Zero(t, db.requests.Load())
}

// requireNotFoundPath is requireNotFound for a path that may be empty.
func requireNotFoundPath(t testing.TB, err error, path string) {
	t.Helper()
	require.ErrorIs(t, err, fs.ErrNotExist, "%q", path)
	require.IsType(t, &NotFoundError{}, err, "%q", path)
}

// What the database says it does not have is unknown; that is not kept, because it may come.
func TestChecksumProxyUnknown(t *testing.T) {
	t.Parallel()
	db := newSumDB(t, "sum.example.com", []testmod.Module{plain})
	u := start(t, Options{Proxies: "off", ChecksumDB: db.serve(t)})
	for _, path := range []string{"lookup/example.com/m@v1.1.0", "tile/8/0/099", "tile/8/0/099.p/3", "tile/8/7/000.p/1"} {
		_, err := u.Checksum(t.Context(), path)
		requireNotFound(t, err)
		require.ErrorContains(t, err, "sum.example.com does not have it")
	}
	db.rewrite(t, []testmod.Module{plain, next})
	passes(t, u, db, "lookup/example.com/m@v1.1.0", db.says(t, "lookup/example.com/m@v1.1.0"), 1)
}

// What is not the answer of a checksum database is neither passed on nor kept.
func TestChecksumProxyMalformed(t *testing.T) {
	t.Parallel()
	db := longSumDB(t)
	setting := db.serve(t)
	other := newSumDB(t, db.name, []testmod.Module{plain})
	skipped := func(body string) string { return body[strings.Index(body, "\n\n")+2:] }
	signedBy := func(db *sumDB, text string) string {
		signer, err := note.NewSigner(db.skey)
		require.NoError(t, err)
		signed, err := note.Sign(&note.Note{Text: text}, signer)
		require.NoError(t, err)
		return string(signed)
	}
	for name, alter := range map[string]func(path, body string) string{
		"page":                    func(_, body string) string { return "<html>Please log in</html>\n" },
		"empty":                   func(_, body string) string { return "" },
		"cut":                     func(_, body string) string { return body[:len(body)/2] },
		"without its last byte":   func(_, body string) string { return body[:len(body)-1] },
		"with more after its end": func(_, body string) string { return body + "x" },
		"tree of another key": func(path, body string) string {
			switch {
			case path == "/latest":
				return other.says(t, "latest")
			case strings.HasPrefix(path, "/lookup/"):
				return strings.TrimSuffix(body, skipped(body)) + other.says(t, "latest")
			}
			return body[:len(body)-tlog.HashSize]
		},
		"signed, but no tree": func(path, body string) string {
			note := signedBy(db, "a note about something else\n")
			switch {
			case path == "/latest":
				return note
			case strings.HasPrefix(path, "/lookup/"):
				return strings.TrimSuffix(body, skipped(body)) + note
			}
			return body + body
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache := newMemoryCache()
			altered := &sumDB{name: db.name, key: db.key, skey: db.skey}
			altered.server.Store(db.server.Load())
			altered.alter.Store(&alter)
			u := start(t, Options{Proxies: "off", ChecksumDB: altered.serve(t), Cache: cache})
			for _, path := range []string{lookupPath, "latest", fullTile, partOfTile, dataTile} {
				_, err := u.Checksum(t.Context(), path)
				require.ErrorContains(t, requireFailed(t, err), "not what a checksum database answers", path)
				require.NotContains(t, err.Error(), "\n")
			}
			require.Empty(t, cache.files)
			altered.alter.Store(nil)
			for _, path := range []string{lookupPath, "latest", fullTile, partOfTile, dataTile} {
				passes(t, u, altered, path, db.says(t, path), 1)
			}
		})
	}
	// More signatures than one are a matter of course: witnesses add theirs.
	witnessed := func(path, body string) string {
		text, _, _ := strings.Cut(db.says(t, "latest"), "\n\n")
		a, _ := note.NewSigner(db.skey)
		b, _ := note.NewSigner(newSumDB(t, "witness.example.com", nil).skey)
		signed, err := note.Sign(&note.Note{Text: text + "\n"}, b, a)
		require.NoError(t, err)
		return string(signed)
	}
	db.alter.Store(&witnessed)
	got, err := start(t, Options{Proxies: "off", ChecksumDB: setting}).Checksum(t.Context(), "latest")
	require.NoError(t, err)
	require.Contains(t, string(got), "witness.example.com")
}

func TestChecksumProxyOff(t *testing.T) {
	t.Parallel()
	u := start(t, Options{Proxies: "off", ChecksumDB: "off"})
	require.Empty(t, u.ChecksumName())
	for _, path := range []string{"latest", lookupPath, fullTile, ""} {
		_, err := u.Checksum(t.Context(), path)
		requireNotFoundPath(t, err, path)
	}
	db := newSumDB(t, "sum.example.com", several())
	u = start(t, Options{Proxies: "off", ChecksumDB: db.serve(t)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := u.Checksum(ctx, lookupPath)
	require.ErrorIs(t, err, context.Canceled)
}
