package upstream

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
)

func requireChecksum(t testing.TB, err error) {
	t.Helper()
	bad, ok := errors.AsType[*ChecksumError](err)
	require.True(t, ok, "%v", err)
	require.NotEmpty(t, bad.Reason)
	require.ErrorContains(t, err, "security error")
	_, ok = errors.AsType[*NotFoundError](err)
	require.False(t, ok)
	_, ok = errors.AsType[*FailedError](err)
	require.False(t, ok)
}

// several are modules enough to give the tree some branches.
func several() []testmod.Module {
	modules := []testmod.Module{plain, next, upper, old, pseudo}
	for _, letter := range "abcdefghij" {
		modules = append(modules, testmod.Module{Path: "example.com/" + string(letter), Version: "v1.0.0"})
	}
	return modules
}

func TestChecksum(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, several()...)
	db := newSumDB(t, "sum.example.com", several())
	u := start(t, Options{Proxies: up.URL, ChecksumDB: db.serve(t)})
	for _, m := range several() {
		_, _, err := fetch(t, u, m)
		require.NoError(t, err)
		require.NoError(t, u.CheckSum(t.Context(), m.Path, m.Version, testmod.Event(t, m, "om").ZipHash))
		requireChecksum(t, u.CheckSum(t.Context(), m.Path, m.Version, testmod.Event(t, next, "om").ModHash))
	}
	// A .mod that is not the one the database knows.
	up.Set(modPath, testmod.Behaviour{Body: []byte("module example.com/m\n\nrequire example.com/evil v1.0.0\n")})
	_, _, err := fetch(t, u, plain)
	requireChecksum(t, err)
	require.ErrorContains(t, err, testmod.Event(t, plain, "om").ModHash)
}

// TestChecksumNextPlace does not look for a place with better bytes: who serves wrong ones is to be noticed.
func TestChecksumNextPlace(t *testing.T) {
	t.Parallel()
	bad, good := testmod.NewUpstream(t, plain), testmod.NewUpstream(t, plain)
	bad.Set(modPath, testmod.Behaviour{Body: []byte("module example.com/m\n\ngo 1.0\n")})
	db := newSumDB(t, "sum.example.com", several())
	_, _, err := fetch(t, start(t, Options{Proxies: bad.URL + "|" + good.URL, ChecksumDB: db.serve(t)}), plain)
	requireChecksum(t, err)
	require.Zero(t, good.Total())
}

func TestChecksumUnknown(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, plain, next)
	db := newSumDB(t, "sum.example.com", []testmod.Module{plain})
	u := start(t, Options{Proxies: up.URL, ChecksumDB: db.serve(t)})
	_, _, err := fetch(t, u, next)
	requireNotFound(t, err)
	require.ErrorContains(t, err, "checksum database does not know it")
	requireNotFound(t, u.CheckSum(t.Context(), next.Path, next.Version, "h1:"))
}

// TestChecksumSkipped asks no database about private modules, nor if it is off.
func TestChecksumSkipped(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, plain, upper)
	db := newSumDB(t, "sum.example.com", nil)
	for _, opts := range []Options{
		{Proxies: up.URL, ChecksumDB: db.serve(t), Private: "example.com/m"},
		{Proxies: db.behind(t, up), ChecksumDB: db.key, Private: "*.com"},
		{Proxies: up.URL, ChecksumDB: "off"},
	} {
		u := start(t, opts)
		_, _, err := fetch(t, u, plain)
		require.NoError(t, err)
		require.NoError(t, u.CheckSum(t.Context(), plain.Path, plain.Version, "h1:whatever"))
	}
	require.Zero(t, db.requests.Load())

	// A pattern covers what is below it, not what begins alike.
	u := start(t, Options{Proxies: up.URL, ChecksumDB: db.serve(t), Private: "example.com/Up"})
	_, _, err := fetch(t, u, upper)
	requireNotFound(t, err)
	require.NotZero(t, db.requests.Load())
}

// TestChecksumWay checks how the database is reached.
func TestChecksumWay(t *testing.T) {
	t.Parallel()
	modules := testmod.NewUpstream(t, several()...)
	db := newSumDB(t, "sum.example.com/go", several())
	const supported = "/sumdb/sum.example.com/go/supported"

	t.Run("the first proxy that offers it", func(t *testing.T) {
		t.Parallel()
		without := testmod.NewUpstream(t)
		u := start(t, Options{Proxies: without.URL + "," + db.behind(t, modules), ChecksumDB: db.key})
		for range 3 {
			require.NoError(t, u.CheckSum(t.Context(), plain.Path, plain.Version, testmod.Event(t, plain, "om").ZipHash))
		}
		require.Equal(t, 1, without.Count(supported), "asked again")
	})
	t.Run("file tree without it", func(t *testing.T) {
		t.Parallel()
		u := start(t, Options{Proxies: testmod.Tree(t, t.TempDir(), plain) + "," + db.behind(t, modules), ChecksumDB: db.key})
		require.NoError(t, u.CheckSum(t.Context(), plain.Path, plain.Version, testmod.Event(t, plain, "om").ZipHash))
	})
	t.Run("a failing proxy keeps it from being reached, until it recovers", func(t *testing.T) {
		t.Parallel()
		failing := testmod.NewUpstream(t)
		failing.Set(supported, testmod.Behaviour{Status: 503})
		u := start(t, Options{Proxies: failing.URL + "," + db.behind(t, modules), ChecksumDB: db.key})
		for range 2 {
			err := u.CheckSum(t.Context(), plain.Path, plain.Version, "h1:")
			require.Equal(t, 503, requireFailed(t, err).Status)
		}
		require.Equal(t, 2, failing.Count(supported))
		failing.Set(supported, testmod.Behaviour{Status: 404})
		require.NoError(t, u.CheckSum(t.Context(), plain.Path, plain.Version, testmod.Event(t, plain, "om").ZipHash))
	})
	t.Run("past a failing proxy with a bar", func(t *testing.T) {
		t.Parallel()
		failing := testmod.NewUpstream(t)
		failing.Set(supported, testmod.Behaviour{Status: 503})
		u := start(t, Options{Proxies: failing.URL + "|" + db.behind(t, modules), ChecksumDB: db.key})
		require.NoError(t, u.CheckSum(t.Context(), plain.Path, plain.Version, testmod.Event(t, plain, "om").ZipHash))
	})
	t.Run("directly after direct or off", func(t *testing.T) {
		t.Parallel()
		after := testmod.NewUpstream(t)
		for _, list := range []string{"off,", modules.URL + ",off,", modules.URL + ",direct,", modules.URL + ","} {
			u := start(t, Options{Proxies: list + after.URL, ChecksumDB: db.key})
			if strings.HasSuffix(list, modules.URL+",") {
				u = start(t, Options{Proxies: list, ChecksumDB: db.key})
			}
			base, err := u.sums.locate(t.Context())
			require.NoError(t, err)
			require.Equal(t, "https://sum.example.com/go", base.base.String())
		}
		require.Zero(t, after.Total())
	})
	t.Run("by the URL in the setting, past all proxies", func(t *testing.T) {
		t.Parallel()
		offering := testmod.NewUpstream(t)
		u := start(t, Options{Proxies: offering.URL, ChecksumDB: db.serve(t)})
		require.NoError(t, u.CheckSum(t.Context(), plain.Path, plain.Version, testmod.Event(t, plain, "om").ZipHash))
		require.Zero(t, offering.Total())
	})
}

// TestChecksumRecovers checks that a failure is forgotten.
func TestChecksumRecovers(t *testing.T) {
	t.Parallel()
	db := newSumDB(t, "sum.example.com", several())
	u := start(t, Options{Proxies: "off", ChecksumDB: db.serve(t)})
	check := func(m testmod.Module) error {
		return u.CheckSum(t.Context(), m.Path, m.Version, testmod.Event(t, m, "om").ZipHash)
	}
	db.status.Store(502)
	require.Equal(t, 502, requireFailed(t, check(plain)).Status)
	db.status.Store(404)
	requireNotFound(t, check(plain))
	db.status.Store(0)
	html := func(path, body string) string { return "<html>Please log in</html>" }
	db.alter.Store(&html)
	requireFailed(t, check(plain))
	page := func(path, body string) string {
		if strings.HasPrefix(path, "/tile/") {
			return "<html>Please log in</html>"
		}
		return body
	}
	db.alter.Store(&page)
	requireFailed(t, check(plain))
	db.alter.Store(nil)
	require.NoError(t, check(plain))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, u.CheckSum(ctx, next.Path, next.Version, "h1:"), context.Canceled)
	require.NoError(t, check(next))
}

// TestChecksumForged are answers that only a liar gives.
func TestChecksumForged(t *testing.T) {
	t.Parallel()
	good := testmod.Event(t, plain, "om").ZipHash
	for name, alter := range map[string]func(db *sumDB, t *testing.T){
		"record": func(db *sumDB, t *testing.T) {
			db.onLookup(func(body string) string { return strings.Replace(body, good, testmod.Event(t, next, "om").ZipHash, 1) })
		},
		"signature": func(db *sumDB, t *testing.T) {
			other := newSumDB(t, db.name, several())
			db.server.Store(other.server.Load())
		},
		"tree": func(db *sumDB, t *testing.T) {
			db.onLookup(func(body string) string { return strings.Replace(body, "\n1\n", "\n7\n", 1) })
		},
		"tile": func(db *sumDB, t *testing.T) {
			f := func(path, body string) string {
				if strings.HasPrefix(path, "/tile/") {
					return strings.Repeat("x", len(body))
				}
				return body
			}
			db.alter.Store(&f)
		},
		"record of another module": func(db *sumDB, t *testing.T) {
			db.history(func(string, string) ([]byte, error) { return []byte(testmod.GoSum(t, next)), nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newSumDB(t, "sum.example.com", several())
			u := start(t, Options{Proxies: "off", ChecksumDB: db.serve(t)})
			alter(db, t)
			requireChecksum(t, u.CheckSum(t.Context(), plain.Path, plain.Version, good))
		})
	}
}

// TestChecksumFork catches a database that denies what it once signed, also after a restart and in another process.
func TestChecksumFork(t *testing.T) {
	t.Parallel()
	cache := newMemoryCache()
	db := newSumDB(t, "sum.example.com", several())
	setting := db.serve(t)
	check := func(u *Upstream, m testmod.Module) error {
		return u.CheckSum(t.Context(), m.Path, m.Version, testmod.Event(t, m, "om").ZipHash)
	}
	first := start(t, Options{Proxies: "off", ChecksumDB: setting, Cache: cache})
	for _, m := range several()[:6] {
		require.NoError(t, check(first, m))
	}
	require.NotEmpty(t, cache.files["sum.example.com/latest"])
	for file := range cache.files {
		require.True(t, file == "sum.example.com/latest" || strings.HasPrefix(file, "sum.example.com/tile/"), file)
		require.NotContains(t, file, ".p/")
	}

	// The denial of a longer tree: without its tiles nothing can be told, so nothing is accepted.
	restarted := func() *Upstream { return start(t, Options{Proxies: "off", ChecksumDB: setting, Cache: cache}) }
	db.rewrite(t, several())
	requireFailed(t, check(restarted(), several()[7]))

	// Another tree, grown past the old one: here is the proof.
	db.grow(t, several()[6:])
	err := check(first, several()[7])
	requireChecksum(t, err)
	require.ErrorContains(t, err, "misbehavior")
	requireChecksum(t, check(restarted(), several()[7])) // it has the old head, but not the tiles to prove it with
	// Who has no memory believes the new one: the cache is what the check rests on.
	require.NoError(t, check(start(t, Options{Proxies: "off", ChecksumDB: setting}), several()[7]))
}

// TestChecksumMany looks up many versions at once, over two clients that share a cache.
func TestChecksumMany(t *testing.T) {
	t.Parallel()
	db := newSumDB(t, "sum.example.com", several())
	setting, cache := db.serve(t), newMemoryCache()
	var wg sync.WaitGroup
	var bad atomic.Int64
	for range 2 {
		u := start(t, Options{Proxies: "off", ChecksumDB: setting, Cache: cache})
		for _, m := range several() {
			hash := testmod.Event(t, m, "om").ZipHash
			wg.Go(func() {
				if err := u.CheckSum(t.Context(), m.Path, m.Version, hash); err != nil {
					t.Log(err)
					bad.Add(1)
				}
			})
		}
	}
	wg.Wait()
	require.Zero(t, bad.Load())
	require.Contains(t, string(cache.files["sum.example.com/latest"]), "\n15\n")
}

// brokenCache fails like a database that is down.
type brokenCache struct{ memoryCache }

var errBroken = errors.New("cache is down")

func (*brokenCache) Get(context.Context, string) ([]byte, error) { return nil, errBroken }

// TestChecksumCacheDown accepts nothing: without the old tree head a fork could not be seen.
func TestChecksumCacheDown(t *testing.T) {
	t.Parallel()
	db := newSumDB(t, "sum.example.com", several())
	u := start(t, Options{Proxies: "off", ChecksumDB: db.serve(t), Cache: &brokenCache{}})
	err := u.CheckSum(t.Context(), plain.Path, plain.Version, testmod.Event(t, plain, "om").ZipHash)
	require.ErrorIs(t, err, errBroken)
	_, isFailed := errors.AsType[*FailedError](err)
	require.False(t, isFailed)
}
