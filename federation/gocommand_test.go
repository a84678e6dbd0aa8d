package federation

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
)

// goCommand is the real go command with a cache and a main module of its own, at proxies of the test.
type goCommand struct {
	t   *testing.T
	dir string // of the main module
	env []string
}

// newGo prepares a go command with a list of proxies.
func newGo(t *testing.T, proxies ...string) *goCommand {
	t.Helper()
	dir, home := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/client\n\ngo 1.21\n"), 0o600))
	return &goCommand{t, dir, []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GOPATH=" + filepath.Join(home, "go"), "GOMODCACHE=" + filepath.Join(home, "mod"),
		"GOCACHE=" + filepath.Join(home, "build"), "GOENV=off", "GOWORK=off", "GOTOOLCHAIN=local", "GO111MODULE=on",
		"GOFLAGS=-mod=mod -modcacherw", "GOPROXY=" + strings.Join(proxies, ","), "GONOPROXY=none", "GOSUMDB=off",
	}}
}

// try runs the go command and returns what it wrote.
func (g *goCommand) try(args ...string) (stdout, stderr string, err error) {
	g.t.Helper()
	cmd := exec.CommandContext(g.t.Context(), "go", args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = g.dir, g.env, &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// run runs a go command that must succeed, and returns its standard output.
func (g *goCommand) run(args ...string) string {
	g.t.Helper()
	stdout, stderr, err := g.try(args...)
	require.NoError(g.t, err, "go %s: %s%s", strings.Join(args, " "), stdout, stderr)
	return stdout
}

// refused runs a go command that must fail, and returns all that it wrote.
func (g *goCommand) refused(args ...string) string {
	g.t.Helper()
	stdout, stderr, err := g.try(args...)
	require.Error(g.t, err, "go %s: %s", strings.Join(args, " "), stdout)
	return stdout + stderr
}

// downloads requires that go mod download brings a module with the right sums and bytes.
func (g *goCommand) downloads(m testmod.Module) {
	g.t.Helper()
	var got struct{ Version, Info, GoMod, Zip, Sum, GoModSum string }
	require.NoError(g.t, json.Unmarshal([]byte(g.run("mod", "download", "-json", m.Path+"@"+m.Version)), &got))
	require.Equal(g.t, testmod.GoSum(g.t, m), m.Path+" "+got.Version+" "+got.Sum+"\n"+m.Path+" "+got.Version+"/go.mod "+got.GoModSum+"\n")
	for name, want := range map[string]string{got.Info: m.Info(), got.GoMod: m.Mod(), got.Zip: string(testmod.Zip(g.t, m))} {
		content, err := os.ReadFile(name)
		require.NoError(g.t, err)
		require.Equal(g.t, want, string(content), name)
	}
}

func (g *goCommand) read(name string) string {
	g.t.Helper()
	content, err := os.ReadFile(filepath.Join(g.dir, name))
	require.NoError(g.t, err)
	return string(content)
}

var (
	one    = testmod.Module{Path: "example.com/many", Version: "v1.0.0"}
	two    = testmod.Module{Path: "example.com/many", Version: "v1.1.0", Files: map[string]string{"m.go": "package many\n"}}
	next   = testmod.Module{Path: "example.com/many", Version: "v1.2.0-rc.1"}
	commit = testmod.Module{Path: "example.com/many", Version: "v1.1.1-0.20260203040506-abcdef123456"}
	alone  = testmod.Module{Path: "example.com/untagged", Version: "v0.0.0-20260203040506-abcdef123456"}
	upper  = testmod.Module{Path: "example.com/Upper/Case", Version: "v1.0.0-RC1", Files: map[string]string{"c.go": "package Case\n"}}
	plus   = testmod.Module{Path: "example.com/old", Version: "v2.3.4+incompatible", Files: map[string]string{"o.go": "package old\n"}}
	major  = testmod.Module{Path: "example.com/major/v2", Version: "v2.1.0", Files: map[string]string{"m.go": "package major\n"}}
	bad    = testmod.Module{Path: "example.com/sorry", Version: "v1.0.0", Files: map[string]string{"s.go": "package sorry\n"}}
	better = testmod.Module{Path: "example.com/sorry", Version: "v1.0.1", Files: map[string]string{
		"go.mod": "module example.com/sorry\n\ngo 1.21\n\nretract v1.0.0 // loses data\n",
	}}
)

// Everything that the go command asks of a proxy, asked by the go command.
func TestGoCommand(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, one, two, next, commit, alone, upper, plus, major, bad, better)
	up.Set("/example.com/many/@v/main.info", testmod.Behaviour{Body: []byte(commit.Info())})
	om := start(t, "om.example.com", options{upstream: up.URL})
	g := newGo(t, om.url)

	require.Equal(t, "example.com/many v1.0.0 v1.1.0 v1.2.0-rc.1\n", g.run("list", "-m", "-versions", "example.com/many"))
	for query, want := range map[string]string{
		"example.com/many@latest":     "example.com/many v1.1.0",
		"example.com/many@upgrade":    "example.com/many v1.1.0",
		"example.com/many@v1.0":       "example.com/many v1.0.0",
		"example.com/many@>v1.1.0":    "example.com/many v1.2.0-rc.1",
		"example.com/many@main":       "example.com/many " + commit.Version,
		"example.com/untagged@latest": "example.com/untagged " + alone.Version,
		"example.com/major/v2@latest": "example.com/major/v2 v2.1.0",
		"example.com/old@latest":      "example.com/old v2.3.4+incompatible",
	} {
		require.Equal(t, want+"\n", g.run("list", "-m", query), query)
	}
	for _, m := range []testmod.Module{one, two, next, commit, alone, upper, plus, major} {
		g.downloads(m)
	}

	g.run("get", "example.com/Upper/Case@v1.0.0-RC1", "example.com/old", "example.com/major/v2@latest", "example.com/many@v1.1.0")
	for _, m := range []testmod.Module{upper, plus, major, two} {
		require.Contains(t, g.read("go.mod"), m.Path+" "+m.Version)
		require.Contains(t, g.read("go.sum"), testmod.GoSum(t, m))
	}
}

// A retracted version stays listed, because it is the go command that judges retraction: it must be able to say why.
func TestGoCommandRetracted(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{upstream: testmod.NewUpstream(t, bad, better).URL})
	g := newGo(t, om.url)
	require.Equal(t, "v1.0.0\nv1.0.1\n", om.mustGet("/example.com/sorry/@v/list"))
	require.Equal(t, "example.com/sorry v1.0.1\n", g.run("list", "-m", "-versions", "example.com/sorry"))
	require.Equal(t, "example.com/sorry v1.0.0 v1.0.1\n", g.run("list", "-m", "-versions", "-retracted", "example.com/sorry"))
	_, warning, err := g.try("get", "example.com/sorry@v1.0.0")
	require.NoError(t, err)
	require.Contains(t, warning, "example.com/sorry@v1.0.0: retracted by module author: loses data")
}

// What we do not know the go command may ask others for. What we refuse or cannot find out it may not.
func TestGoCommandNextProxy(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, one, two)
	om := start(t, "om.example.com", options{upstream: up.URL})
	second := testmod.NewUpstream(t, one, two, major, upper)
	proxies := []string{om.url, second.URL}

	require.Regexp(t, "not found|404 Not Found", newGo(t, om.url).refused("mod", "download", "example.com/major/v2@v2.1.0"))
	require.Regexp(t, "not found|404 Not Found", newGo(t, om.url).refused("list", "-m", "-versions", "example.com/major/v2@latest"))
	newGo(t, proxies...).downloads(major)
	require.Equal(t, "example.com/major/v2 v2.1.0\n", newGo(t, proxies...).run("list", "-m", "-versions", "example.com/major/v2"))
	require.NotZero(t, second.Total())

	// Deleted: also before anybody had it, and after it was served.
	newGo(t, om.url).downloads(one)
	for _, m := range []testmod.Module{one, upper} {
		_, err := om.Delete("test", m.Path, m.Version, "leaks a key")
		require.NoError(t, err)
		before, asked := second.Total(), up.Count(filePath(m, "zip"))
		said := newGo(t, proxies...).refused("mod", "download", m.Path+"@"+m.Version)
		require.Contains(t, said, "403 Forbidden")
		require.Contains(t, said, "leaks a key")
		require.Contains(t, newGo(t, proxies...).refused("get", m.Path+"@"+m.Version), "403 Forbidden")
		require.Equal(t, before, second.Total(), "the next proxy was asked for a deleted version")
		require.Equal(t, asked, up.Count(filePath(m, "zip")), "upstream was asked for a deleted version")
	}
	require.Equal(t, "example.com/many v1.1.0\n", newGo(t, proxies...).run("list", "-m", "-versions", "example.com/many"))

	// Upstream fails: asked again at once, too.
	fails := testmod.Behaviour{Status: http.StatusInternalServerError}
	for _, path := range []string{"/example.com/major/v2/@v/list", "/example.com/major/v2/@latest", filePath(major, "info")} {
		up.Set(path, fails)
	}
	down := start(t, "down.example.com", options{upstream: up.URL})
	before := second.Total()
	for range 2 {
		for _, query := range []string{"@v2.1.0", "@latest"} {
			said := newGo(t, down.url, second.URL).refused("list", "-m", major.Path+query)
			require.Contains(t, said, "502 Bad Gateway")
		}
	}
	require.Equal(t, before, second.Total(), "the next proxy was asked although nothing was found out")
}

// That nobody gives a zip at the moment is no reason to go elsewhere, whichever file is asked for first.
func TestGoCommandZipOutOfReach(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{upstream: testmod.NewUpstream(t, two).URL, wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Signature") != "" && r.URL.Path == filePath(two, "zip") {
				http.Error(w, "no disk", http.StatusInternalServerError)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	newGo(t, om.url).downloads(two)
	og := start(t, "og.example.com", options{})
	befriend(om, og)
	status, body := og.get(filePath(two, "zip"))
	require.Equal(t, http.StatusBadGateway, status, body)
	second := testmod.NewUpstream(t, two)
	require.Contains(t, newGo(t, og.url, second.URL).refused("mod", "download", two.Path+"@"+two.Version), "502 Bad Gateway")
	require.Zero(t, second.Total())
}

// A deprecated version is not offered any more, and builds that have it go on.
func TestGoCommandDeprecated(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{upstream: testmod.NewUpstream(t, one, two).URL})
	newGo(t, om.url).downloads(two)
	_, err := om.Deprecate("test", two.Path, two.Version, "use v1.0.0")
	require.NoError(t, err)
	g := newGo(t, om.url)
	require.Equal(t, "example.com/many v1.0.0\n", g.run("list", "-m", "-versions", "example.com/many"))
	require.Equal(t, "example.com/many v1.0.0\n", g.run("list", "-m", "example.com/many@latest"))
	g.downloads(two)
	g.run("get", "example.com/many@v1.1.0")
	require.Contains(t, g.read("go.mod"), "example.com/many v1.1.0")
}

// A version that was fetched once anywhere is there everywhere, also when upstream and the deployment that fetched it are gone.
func TestGoCommandInFederation(t *testing.T) {
	t.Parallel()
	for _, lazy := range []bool{false, true} {
		up := testmod.NewUpstream(t, two, upper, plus)
		om := start(t, "om.example.com", options{upstream: up.URL})
		oa, og := start(t, "oa.example.com", options{lazy: lazy}), start(t, "og.example.com", options{lazy: lazy})
		befriend(om, oa)
		befriend(oa, og)
		modules := []testmod.Module{two, upper, plus}
		for _, m := range modules {
			newGo(t, om.url).downloads(m)
		}
		oa.pull(om)
		for _, m := range modules {
			require.NoError(t, oa.FetchNow(context.Background(), m.Path, m.Version))
			require.True(t, oa.held(m.Path, m.Version))
		}
		om.server.Close()
		asked := up.Total()
		og.pull(oa)
		g := newGo(t, og.url)
		for _, m := range modules {
			g.downloads(m)
			require.Equal(t, m.Path+" "+m.Version+"\n", g.run("list", "-m", "-versions", m.Path))
		}
		require.Equal(t, asked, up.Total())
	}
}
