package federation

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb"

	"olympus/internal/protocol"
	"olympus/internal/testmod"
)

// front is a proxy that has some files of its own and passes all other requests to a deployment, which may change.
type front struct {
	url   string
	files map[string]string
	to    atomic.Pointer[deployment]
}

func before(t *testing.T, to *deployment, files map[string]string) *front {
	f := &front{files: files}
	f.to.Store(to)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if content, ok := f.files[r.URL.Path]; ok {
			_, _ = io.WriteString(w, content)
			return
		}
		f.to.Load().app.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// checks makes a go command check what it downloads against a checksum database, which its proxy has to offer.
func (g *goCommand) checks(key string) *goCommand {
	g.env = append(g.env, "GOSUMDB="+key)
	return g
}

// sumdbFile is a file that the go command keeps of a checksum database below one of its directories.
func (g *goCommand) sumdbFile(variable, name string) string {
	g.t.Helper()
	content, err := os.ReadFile(filepath.Join(strings.TrimSpace(g.run("env", variable)), name))
	require.NoError(g.t, err)
	return string(content)
}

// The go command takes the log of a deployment for a checksum database, and what it downloads is what the log says.
func TestSumdbGoCommand(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{upstream: testmod.NewUpstream(t, one, two, commit, upper, plus, major).URL})
	g := newGo(t, om.url).checks(om.signer.VerifierKey())
	for _, m := range []testmod.Module{one, two, commit, upper, plus} {
		g.downloads(m)
	}
	g.run("get", "example.com/major/v2@latest", "example.com/Upper/Case@v1.0.0-RC1")
	require.Contains(t, g.read("go.sum"), testmod.GoSum(t, major))
	// It did check: this is what it remembers of the log, and what it has proved.
	require.Contains(t, g.sumdbFile("GOPATH", "pkg/sumdb/om.example.com/latest"), "go.sum database tree\n6\n")
	require.Contains(t, g.sumdbFile("GOMODCACHE", "cache/download/sumdb/om.example.com/lookup/example.com/!upper/!case@v1.0.0-!r!c1"), testmod.GoSum(t, upper))
}

// Whoever stands between and serves other files, with or without a record to match, is found out.
func TestSumdbGoCommandTampered(t *testing.T) {
	t.Parallel()
	evil := two
	evil.Files = map[string]string{"m.go": "package many // evil\n", "go.mod": "module example.com/many\n\ngo 1.20\n"}
	om := start(t, "om.example.com", options{upstream: testmod.NewUpstream(t, one, two).URL})
	lookup := "/sumdb/om.example.com/lookup/" + two.Path + "@" + two.Version
	record := om.mustGet(lookup)
	for what, test := range map[string]struct {
		files map[string]string
		says  string
	}{
		"zip":  {map[string]string{fileOf(two, "zip"): string(testmod.Zip(t, evil))}, "example.com/many@v1.1.0: verifying module: checksum mismatch"},
		".mod": {map[string]string{fileOf(two, "mod"): evil.Mod()}, "example.com/many@v1.1.0: verifying go.mod: checksum mismatch"},
		"record": {map[string]string{
			fileOf(two, "zip"): string(testmod.Zip(t, evil)), fileOf(two, "mod"): evil.Mod(),
			lookup: strings.Replace(record, testmod.GoSum(t, two), testmod.GoSum(t, evil), 1),
		}, "cannot authenticate record data"},
		"record of another version": {map[string]string{lookup: om.mustGet("/sumdb/om.example.com/lookup/" + one.Path + "@" + one.Version)},
			"checksum missing from sumdb response"},
		"signature": {map[string]string{lookup: strings.Replace(record, "— om.example.com ", "— om.example.com AAAA", 1)}, "reading tree note"},
	} {
		g := newGo(t, before(t, om, test.files).url).checks(om.signer.VerifierKey())
		require.Regexp(t, test.says, g.refused("mod", "download", two.Path+"@"+two.Version), what)
		require.NotContains(t, g.refused("get", two.Path+"@"+two.Version), "go: added", what)
		if what != "signature" {
			g.downloads(one) // there is nothing wrong with this one
		}
	}
}

// A deployment that shows one history to some and another to others, under one name and key, is found out by whoever sees both.
func TestSumdbGoCommandForked(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, one, two, commit, upper, plus, major)
	om := start(t, "om.example.com", options{upstream: up.URL})
	for _, m := range []testmod.Module{one, two} {
		om.mustGet(fileOf(m, "zip"))
	}
	for what, history := range map[string][]testmod.Module{"shorter": nil, "as long": {commit}, "longer": {commit, one, plus}} {
		fork := start(t, "om.example.com", options{upstream: up.URL, key: om.made.key})
		for _, m := range history {
			fork.mustGet(fileOf(m, "zip"))
		}
		between := before(t, om, nil)
		g := newGo(t, between.url).checks(om.signer.VerifierKey())
		g.downloads(one)
		remembered := g.sumdbFile("GOPATH", "pkg/sumdb/om.example.com/latest")
		require.Contains(t, remembered, "go.sum database tree\n2\n")

		between.to.Store(fork)
		said := g.refused("mod", "download", major.Path+"@"+major.Version)
		require.Contains(t, said, "go.sum database server misbehavior detected!", what)
		require.Contains(t, said, "proof of misbehavior", what)
		require.Equal(t, remembered, g.sumdbFile("GOPATH", "pkg/sumdb/om.example.com/latest"), what)
		between.to.Store(om)
		g.downloads(two)
	}
}

// sumdbClient is what the client of golang.org/x/mod/sumdb needs: a database over HTTP, and a memory.
type sumdbClient struct {
	*sumdb.Client
	base, key string
	mu        sync.Mutex
	config    map[string][]byte
	cache     map[string][]byte
}

func newSumdbClient(base, key string) *sumdbClient {
	c := &sumdbClient{base: base, key: key, config: make(map[string][]byte), cache: make(map[string][]byte)}
	c.Client = sumdb.NewClient(c)
	return c
}

func (c *sumdbClient) ReadRemote(path string) ([]byte, error) {
	resp, err := client.Get(c.base + path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return body, err
}

func (c *sumdbClient) ReadConfig(file string) ([]byte, error) {
	if file == "key" {
		return []byte(c.key), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.config[file], nil
}

func (c *sumdbClient) WriteConfig(file string, old, new []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !bytes.Equal(c.config[file], old) {
		return sumdb.ErrWriteConflict
	}
	c.config[file] = new
	return nil
}

func (c *sumdbClient) ReadCache(file string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if data, ok := c.cache[file]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

func (c *sumdbClient) WriteCache(file string, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cache[file] = data
}

func (c *sumdbClient) Log(string)               {}
func (c *sumdbClient) SecurityError(msg string) { panic(msg) }

// gives requires that the database has these lines of go.sum, and no others, for a version.
func (c *sumdbClient) gives(t testing.TB, path, version, lines string) {
	t.Helper()
	zip, err := c.Lookup(path, version)
	require.NoError(t, err)
	mod, err := c.Lookup(path, version+"/go.mod")
	require.NoError(t, err)
	require.Equal(t, lines, strings.Join(append(zip, mod...), "\n")+"\n")
}

// Every version that is known here, or can be had, has a record that proves itself; no other has one.
func TestSumdbLookup(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, one, two, next, commit, alone, upper, plus, major)
	om := start(t, "om.example.com", options{upstream: up.URL})
	base, key := om.url+"/sumdb/om.example.com", om.signer.VerifierKey()
	c := newSumdbClient(base, key)
	for _, m := range []testmod.Module{two, next, commit, alone, upper, plus, major} {
		c.gives(t, m.Path, m.Version, testmod.GoSum(t, m)) // nobody had asked for any of them
		require.True(t, om.held(m.Path, m.Version))
	}
	require.Len(t, om.log(), 7)
	require.Equal(t, 1, up.Count(fileOf(two, "zip")))

	// Known from a peer, and nobody gives its zip; then other bytes are told of for the same version.
	remote := added("example.com/remote", "v1.0.0", "oa.example.com", "1", now())
	om.hears(remote)
	line := func(e protocol.Event) string {
		return fmt.Sprintf("%[1]s %[2]s %[3]s\n%[1]s %[2]s/go.mod %[4]s\n", e.Module, e.Version, e.ZipHash, e.ModHash)
	}
	newSumdbClient(base, key).gives(t, remote.Module, remote.Version, line(remote))
	earlier := added("example.com/remote", "v1.0.0", "og.example.com", "2", remote.Time.AddDate(-1, 0, 0))
	require.NotEqual(t, remote.ZipHash, earlier.ZipHash)
	om.hears(earlier)
	newSumdbClient(base, key).gives(t, remote.Module, remote.Version, line(remote))
	require.Equal(t, remote.Info, om.mustGet("/example.com/remote/@v/v1.0.0.info"), "the files that belong to this record")
	_, err := om.Deprecate("test", next.Path, next.Version, "")
	require.NoError(t, err)
	newSumdbClient(base, key).gives(t, next.Path, next.Version, testmod.GoSum(t, next))

	// A client that remembers the tree of the beginning follows it to here.
	c.gives(t, one.Path, one.Version, testmod.GoSum(t, one))
	require.Contains(t, string(c.config["om.example.com/latest"]), "go.sum database tree\n11\n")

	absent := testmod.Module{Path: "example.com/absent", Version: "v1.0.0"}
	for range 2 {
		_, err = newSumdbClient(base, key).Lookup(absent.Path, absent.Version)
		require.ErrorContains(t, err, "404 Not Found")
	}
	require.Equal(t, 1, up.Count(fileOf(absent, "info")))
	// Deleted: whether it was looked up a moment ago, in any process, or nobody ever had it.
	twin := om.another(nil)
	lookup := "/sumdb/om.example.com/lookup/" + two.Path + "@" + two.Version
	for range 2 {
		require.Equal(t, om.mustGet(lookup), twin.mustGet(lookup))
	}
	for _, m := range []testmod.Module{two, {Path: "example.com/barred", Version: "v1.0.0"}} {
		_, err = om.Delete("test", m.Path, m.Version, "leaks a key")
		require.NoError(t, err)
		for _, d := range []*deployment{om, twin} {
			gone := func() bool {
				d.mustGet("/sumdb/om.example.com/lookup/" + one.Path + "@" + one.Version)
				return d.ask("GET", "/sumdb/om.example.com/lookup/"+m.Path+"@"+m.Version).status == http.StatusNotFound
			}
			if d == om {
				require.True(t, gone(), m.Path)
			}
			// Sooner than a kept answer grows old.
			require.Eventually(t, gone, 10*time.Second, time.Millisecond, m.Path)
		}
	}
	require.Zero(t, up.Count("/example.com/barred/@v/v1.0.0.info"))
}
