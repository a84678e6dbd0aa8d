package federation

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/note"

	"olympus/actions"
	"olympus/internal/testmod"
	"olympus/internal/upstream"
	"olympus/worker"
)

// checksums is a checksum database of other modules than ours, whose tree has more than a full tile, and those it is asked about.
type checksums struct {
	*httptest.Server
	key string
	off atomic.Bool
	mu  sync.Mutex
	all []string // paths of all requests
}

func newChecksums(t *testing.T, modules ...testmod.Module) *checksums {
	t.Helper()
	skey, key, err := note.GenerateKey(rand.Reader, "sum.example.com")
	require.NoError(t, err)
	c := &checksums{key: key}
	records := make(map[string]string)
	for _, m := range modules {
		records[m.Path+"@"+m.Version] = testmod.GoSum(t, m)
	}
	ops := sumdb.NewTestServer(skey, func(path, version string) ([]byte, error) {
		if strings.HasPrefix(path, "example.com/before") {
			return fmt.Appendf(nil, "%s %s h1:x\n", path, version), nil
		}
		if record, ok := records[path+"@"+version]; ok {
			return []byte(record), nil
		}
		return nil, &fs.PathError{Op: "lookup", Path: path, Err: fs.ErrNotExist}
	})
	for n := range 257 {
		_, err := ops.Lookup(t.Context(), module.Version{Path: fmt.Sprintf("example.com/before%d", n), Version: "v1.0.0"})
		require.NoError(t, err)
	}
	server := sumdb.NewServer(ops)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.all = append(c.all, r.URL.Path)
		c.mu.Unlock()
		if c.off.Load() {
			http.Error(w, "switched off", http.StatusServiceUnavailable)
			return
		}
		defer func() {
			if recover() != nil { // the test server's answer to tiles that it does not have
				http.NotFound(w, r)
			}
		}()
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *checksums) asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

// The checksum database of fills is passed on to the go command, which checks it itself, and what can be kept of it outlives it.
func TestSumdbOfFills(t *testing.T) {
	t.Parallel()
	evil := two
	evil.Files = map[string]string{"m.go": "package many // evil\n"}
	sums := newChecksums(t, one, two, upper)
	om := start(t, "om.example.com", options{upstream: testmod.NewUpstream(t, one, two, upper).URL, checksums: sums.key + " " + sums.URL})
	g := newGo(t, om.url).checks(sums.key)
	for _, m := range []testmod.Module{one, two, upper} {
		g.downloads(m)
	}
	require.Contains(t, g.sumdbFile("GOPATH", "pkg/sumdb/sum.example.com/latest"), "go.sum database tree\n260\n")
	tampered := before(t, om, map[string]string{fileOf(two, "zip"): string(testmod.Zip(t, evil))})
	said := newGo(t, tampered.url).checks(sums.key).refused("mod", "download", two.Path+"@"+two.Version)
	require.Contains(t, said, "example.com/many@v1.1.0: verifying module: checksum mismatch")
	newSumdbClient(om.url+"/sumdb/sum.example.com", sums.key).gives(t, upper.Path, upper.Version, testmod.GoSum(t, upper))

	const at = "/sumdb/sum.example.com/"
	kept := make(map[string]string)
	for _, path := range []string{"latest", "lookup/example.com/many@v1.1.0", "lookup/example.com/!upper/!case@v1.0.0-!r!c1", "tile/8/0/000"} {
		kept[path] = om.mustGet(at + path)
	}
	twin := om.another(nil)
	sums.off.Store(true)
	for _, d := range []*deployment{om, twin} {
		for path, content := range kept {
			require.Equal(t, content, d.mustGet(at+path), path)
		}
		for _, path := range []string{"lookup/example.com/many@v1.9.0", "tile/8/0/001.p/1"} {
			got := d.ask("GET", at+path)
			require.Equal(t, http.StatusBadGateway, got.status, path)
			require.Len(t, lines(got.body), 1, path)
		}
		require.Equal(t, http.StatusOK, d.ask("GET", at+"supported").status)
	}
	// And a go command that has seen so much of it before goes on.
	require.NoError(t, os.RemoveAll(filepath.Join(strings.TrimSpace(g.run("env", "GOMODCACHE")), "example.com")))
	g.downloads(two)
}

// Private modules are served, and their names are told to nobody; databases that are not offered here are not found.
func TestSumdbNotOffered(t *testing.T) {
	t.Parallel()
	sums := newChecksums(t, one)
	up := testmod.NewUpstream(t, one, upper)
	om := start(t, "om.example.com", options{noJobs: true})
	plain := om.url
	private := *om.Deployment
	var err error
	private.Upstream, err = upstream.New(upstream.Options{
		Proxies: up.URL, ChecksumDB: sums.key + " " + sums.URL, Private: "example.com/Upper", Cache: worker.ChecksumCache{DB: om.DB},
	})
	require.NoError(t, err)
	app, err := actions.New(&private, actions.Options{URL: om.url, Env: "test", Version: "test"})
	require.NoError(t, err)
	server := httptest.NewServer(app)
	defer server.Close()
	om.url = server.URL

	for _, m := range []string{"example.com/!upper/!case@v1.0.0-!r!c1", "example.com/!upper@v1.0.0", "example.com/!upper/sub/dir@v1.0.0"} {
		got := om.ask("GET", "/sumdb/sum.example.com/lookup/"+m)
		require.Equal(t, http.StatusNotFound, got.status, m)
		require.Contains(t, got.body, "private", m)
	}
	om.mustGet("/example.com/!upper/!case/@v/v1.0.0-!r!c1.zip")
	require.Empty(t, sums.asked(), "a private name was told")
	om.mustGet(fileOf(one, "zip"))
	require.NotEmpty(t, sums.asked())
	require.NotContains(t, strings.ToLower(strings.Join(sums.asked(), " ")), "upper")
	// Our own log does have them: who may read it may read the modules.
	newSumdbClient(om.url+"/sumdb/om.example.com", om.signer.VerifierKey()).gives(t, upper.Path, upper.Version, testmod.GoSum(t, upper))

	asked := len(sums.asked())
	for _, url := range []string{plain, om.url} {
		om.url = url
		for _, name := range []string{"og.example.com", "om.example.com.evil", "om.example.co", "om.example.com/eu", "OM.example.com", "sum.example.com/x", "127.0.0.1"} {
			for _, path := range []string{"supported", "latest", "lookup/example.com/many@v1.0.0", "tile/8/0/000.p/1"} {
				got := om.ask("GET", "/sumdb/"+name+"/"+path)
				require.Equal(t, http.StatusNotFound, got.status, "%s/%s: %s", name, path, got.body)
				require.Len(t, lines(got.body), 1)
			}
		}
		for _, path := range []string{"/sumdb/", "/sumdb/om.example.com", "/sumdb/sum.example.com", "/sumdb/latest"} {
			require.Equal(t, http.StatusNotFound, om.ask("GET", path).status, path)
		}
	}
	om.url = plain
	require.Equal(t, http.StatusNotFound, om.ask("GET", "/sumdb/sum.example.com/supported").status, "where no database is set")
	require.Len(t, sums.asked(), asked)
}
