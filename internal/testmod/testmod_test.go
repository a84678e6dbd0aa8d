package testmod

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

var (
	plain        = Module{Path: "example.com/m", Version: "v1.0.0"}
	upper        = Module{Path: "example.com/Upper/m/v2", Version: "v2.0.0-RC1", Files: map[string]string{"m.go": "package m\n", "sub/s.go": "package sub\n"}}
	incompatible = Module{Path: "example.com/old", Version: "v3.0.0+incompatible"}
	pseudo       = Module{Path: "example.com/p", Version: "v0.0.0-20200102030405-abcdef123456"}
)

func TestZip(t *testing.T) {
	t.Parallel()
	for _, m := range []Module{plain, upper, incompatible, pseudo} {
		name := filepath.Join(t.TempDir(), "m.zip")
		require.NoError(t, os.WriteFile(name, Zip(t, m), 0o600))
		files, err := zip.CheckZip(module.Version{Path: m.Path, Version: m.Version}, name)
		require.NoError(t, err)
		require.NotEmpty(t, files.Valid)
		require.Equal(t, Zip(t, m), Zip(t, m), "not the same bytes twice")
	}
}

func TestEvent(t *testing.T) {
	t.Parallel()
	for _, m := range []Module{plain, upper, incompatible, pseudo} {
		e := Event(t, m, "om.example.com")
		require.NoError(t, e.Validate())
		require.Contains(t, GoSum(t, m), m.Path+" "+m.Version+" "+e.ZipHash+"\n")
		require.Contains(t, GoSum(t, m), m.Path+" "+m.Version+"/go.mod "+e.ModHash+"\n")
	}
}

// TestTree lets the go command, which has the last word on the layout, download every module from a tree.
func TestTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tree := Tree(t, dir, plain, upper)
	require.Equal(t, tree, Tree(t, dir, Module{Path: plain.Path, Version: "v1.1.0"}, incompatible, pseudo))
	list, err := os.ReadFile(filepath.Join(dir, "example.com/m/@v/list"))
	require.NoError(t, err)
	require.Equal(t, "v1.0.0\nv1.1.0\n", string(list))
	list, err = os.ReadFile(filepath.Join(dir, "example.com/p/@v/list"))
	require.NoError(t, err)
	require.Empty(t, list)

	for _, m := range []Module{plain, upper, incompatible, pseudo} {
		cache := t.TempDir()
		cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-modcacherw", "-json", m.Path+"@"+m.Version)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "GOPROXY="+tree, "GONOSUMDB=*", "GONOPROXY=", "GOPRIVATE=", "GOMODCACHE="+cache, "GOFLAGS=-modcacherw")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), Event(t, m, "om").ZipHash)
	}
}

func TestUpstream(t *testing.T) {
	t.Parallel()
	u := NewUpstream(t, plain, Module{Path: "example.com/m", Version: "v1.1.0-rc.1"})
	// A kept connection that breaks makes the client ask again by itself, which would be counted.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (int, string, error) {
		resp, err := client.Get(u.URL + (&url.URL{Path: path}).EscapedPath())
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body), err
	}
	want := func(path string, status int, body string) {
		t.Helper()
		s, b, err := get(path)
		require.NoError(t, err)
		require.Equal(t, status, s)
		require.Equal(t, body, b)
	}
	const info = "/example.com/m/@v/v1.0.0.info"
	want("/example.com/m/@v/list", 200, "v1.0.0\nv1.1.0-rc.1\n")
	want("/example.com/m/@latest", 200, plain.Info())
	want(info, 200, plain.Info())
	want("/example.com/m/@v/v1.0.0.zip", 200, string(Zip(t, plain)))
	want("/example.com/m/@v/v2.0.0.zip", 404, "not found: /example.com/m/@v/v2.0.0.zip\n")
	u.Add(upper)
	want("/example.com/!upper/m/v2/@v/v2.0.0-!r!c1.mod", 200, upper.Mod())

	u.Set(info, Behaviour{Status: 500, Body: []byte("no")})
	want(info, 500, "no")
	u.Set(info, Behaviour{Body: []byte("other")})
	want(info, 200, "other")
	for _, sent := range []int{0, 5} {
		u.Set(info, Behaviour{Sent: sent, Cut: true})
		_, body, err := get(info)
		require.Error(t, err)
		require.Equal(t, plain.Info()[:sent], body)

		hold := make(chan struct{})
		u.Set(info, Behaviour{Sent: sent, Hold: hold})
		done := make(chan string)
		go func() {
			_, body, _ := get(info)
			done <- body
		}()
		select {
		case <-done:
			require.Fail(t, "answered before it was released")
		default:
			close(hold)
		}
		require.Equal(t, plain.Info(), <-done)
	}
	u.Set(info, Behaviour{})
	want(info, 200, plain.Info())
	require.Equal(t, 8, u.Count(info))
	require.Equal(t, 13, u.Total())
}
