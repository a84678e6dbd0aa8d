package upstream

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testmod"
)

// TestFetch takes modules over HTTP and from a file tree, which must come out as they were put in.
func TestFetch(t *testing.T) {
	t.Parallel()
	modules := []testmod.Module{plain, next, upper, old, pseudo}
	for name, proxies := range map[string]string{
		"http": testmod.NewUpstream(t, modules...).URL,
		"file": testmod.Tree(t, t.TempDir(), modules...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := start(t, Options{Proxies: proxies + "/,off"})
			for _, m := range modules {
				md, zip, err := fetch(t, u, m)
				require.NoError(t, err)
				require.Equal(t, m.Info(), string(md.Info))
				require.Equal(t, m.Mod(), string(md.Mod))
				require.Equal(t, testmod.Zip(t, m), zip)

				zip, err = fetchZip(t, u, nil, m)
				require.NoError(t, err)
				require.Equal(t, testmod.Zip(t, m), zip, "without what is remembered")

				info, version, err := u.Query(t.Context(), m.Path, m.Version)
				require.NoError(t, err)
				require.Equal(t, m.Version, version)
				require.Equal(t, m.Info(), string(info))

				e := testmod.Event(t, m, "om.example.com")
				e.Info, e.Mod = string(md.Info), string(md.Mod)
				require.NoError(t, e.Validate())
			}
			versions, err := u.List(t.Context(), "example.com/m")
			require.NoError(t, err)
			require.Equal(t, []string{"v1.0.0", "v1.1.0"}, versions)
			versions, err = u.List(t.Context(), "example.com/p")
			require.NoError(t, err)
			require.Empty(t, versions)

			// The file tree has no @latest: its list stands in.
			info, version, err := u.Query(t.Context(), "example.com/m", "latest")
			require.NoError(t, err)
			require.Equal(t, "v1.1.0", version)
			require.Equal(t, next.Info(), string(info))

			for _, m := range []testmod.Module{{Path: "example.com/m", Version: "v1.2.0"}, {Path: "example.com/none", Version: "v1.0.0"}} {
				_, _, err = fetch(t, u, m)
				requireNotFound(t, err)
				_, err = fetchZip(t, u, nil, m)
				requireNotFound(t, err)
			}
			_, err = u.List(t.Context(), "example.com/none")
			requireNotFound(t, err)
			_, _, err = u.Query(t.Context(), "example.com/none", "latest")
			requireNotFound(t, err)
			_, _, err = u.Query(t.Context(), "example.com/m", "main")
			requireNotFound(t, err)
		})
	}
}

func TestQueryBranch(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, plain)
	info := `{"Version":"v0.0.0-20200102030405-abcdef123456","Origin":{"VCS":"git"}}`
	up.Set("/example.com/m/@v/50%.info", testmod.Behaviour{Body: []byte(info)})
	got, version, err := start(t, Options{Proxies: up.URL}).Query(t.Context(), "example.com/m", "50%")
	require.NoError(t, err)
	require.Equal(t, "v0.0.0-20200102030405-abcdef123456", version)
	require.Equal(t, info, string(got))
}

// TestUnusable are answers with status 200 that must not be taken.
func TestUnusable(t *testing.T) {
	t.Parallel()
	html := []byte("<!DOCTYPE html><html><body>Please log in</body></html>")
	for name, c := range map[string]struct {
		path string
		b    testmod.Behaviour
		want string
	}{
		"info is a page":            {infoPath, testmod.Behaviour{Body: html}, "not a JSON object"},
		"info is an array":          {infoPath, testmod.Behaviour{Body: []byte(`["v1.0.0"]`)}, "not a JSON object"},
		"info is null":              {infoPath, testmod.Behaviour{Body: []byte(`null`)}, "no version"},
		"info has no version":       {infoPath, testmod.Behaviour{Body: []byte(`{"Time":"2020-01-01T00:00:00Z"}`)}, "no version"},
		"info of another version":   {infoPath, testmod.Behaviour{Body: []byte(`{"Version":"v1.0.1"}`)}, `it is about version "v1.0.1"`},
		"info with two versions":    {infoPath, testmod.Behaviour{Body: []byte(`{"Version":"v1.0.1","Version":"v1.0.0"}`)}, "duplicate"},
		"info with a second Time":   {infoPath, testmod.Behaviour{Body: []byte(`{"Version":"v1.0.0","time":"x"}`)}, "misspelled"},
		"info with two values":      {infoPath, testmod.Behaviour{Body: []byte(`{"Version":"v1.0.0"}{}`)}, "not a JSON object"},
		"info cut off":              {infoPath, testmod.Behaviour{Sent: 10, Cut: true}, "unexpected EOF"},
		"info cut off at its start": {infoPath, testmod.Behaviour{Cut: true}, "EOF"},
		"info too large":            {infoPath, testmod.Behaviour{Body: padded(`{"Version":"v1.0.0"}`, protocol.MaxInfoBytes+1)}, "larger than the limit of 65536 bytes"},
		"mod is a page":             {modPath, testmod.Behaviour{Body: html}, "no module directive"},
		"mod is empty":              {modPath, testmod.Behaviour{Body: []byte{}}, "no module directive"},
		"mod is not UTF-8":          {modPath, testmod.Behaviour{Body: []byte("module example.com/m\n// \xff\n")}, "not a text"},
		"mod has a NUL":             {modPath, testmod.Behaviour{Body: []byte("module example.com/m\n// \x00\n")}, "not a text"},
		"mod cut off":               {modPath, testmod.Behaviour{Sent: 5, Cut: true}, "unexpected EOF"},
		"mod too large":             {modPath, testmod.Behaviour{Body: padded("module example.com/m\n", protocol.MaxModBytes+1)}, "larger than the limit of 2097152 bytes"},
		"zip cut off":               {zipPath, testmod.Behaviour{Sent: 50, Cut: true}, "unexpected EOF"},
		"zip too large":             {zipPath, testmod.Behaviour{Body: make([]byte, 4097)}, "larger than the limit of 4096 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := testmod.NewUpstream(t, plain)
			up.Set(c.path, c.b)
			_, _, err := fetch(t, start(t, Options{Proxies: up.URL, MaxZip: 4096}), plain)
			failed := requireFailed(t, err)
			require.ErrorContains(t, err, c.want)
			require.True(t, strings.HasPrefix(failed.URL, up.URL), failed.URL)
			require.False(t, failed.Timeout())
			require.Equal(t, strings.Contains(c.want, "larger"), errors.Is(err, ErrTooLarge))
		})
	}
}

func TestListAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"empty":               {"", []string{}},
		"empty lines":         {"\n \n", []string{}},
		"unsorted, twice":     {"v1.10.0\nv1.9.0\nv1.10.0\n", []string{"v1.9.0", "v1.10.0"}},
		"without last line":   {"v1.0.0\nv1.1.0", []string{"v1.0.0", "v1.1.0"}},
		"with Windows's ends": {"v1.0.0\r\nv1.1.0\r\n", []string{"v1.0.0", "v1.1.0"}},
		"with times":          {"v1.0.0 2020-01-01T00:00:00Z\n", []string{"v1.0.0"}},
		"pseudo-versions":     {"v0.0.0-20200102030405-abcdef123456\n", []string{}},
		"not for this path":   {"v1.0.0\nv2.0.0\nv2.0.0+incompatible\n", []string{"v1.0.0", "v2.0.0+incompatible"}},
		"not canonical":       {"v1\nv1.2\nv1.0.0+meta\nmain\nv1.0.0\nv1.0.1-" + strings.Repeat("x", 256) + "\n", []string{"v1.0.0"}},
		"a page":              {"<html>\n<body>v1.0.0</body>\n", nil},
		"JSON":                {`["v1.0.0"]`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := testmod.NewUpstream(t)
			up.Set(listPath, testmod.Behaviour{Status: 200, Body: []byte(c.body)})
			versions, err := start(t, Options{Proxies: up.URL}).List(t.Context(), "example.com/m")
			if c.want == nil {
				requireFailed(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, versions)
		})
	}
}

func TestBadQueryAnswers(t *testing.T) {
	t.Parallel()
	for query, body := range map[string]string{
		"v1.0.0": `{"Version":"v1.0.1"}`, "main": `{"Version":"main"}`, "v1": `{"Version":"v2.0.0"}`, "latest": `{"Version":"v1"}`,
	} {
		up := testmod.NewUpstream(t)
		up.Set("/example.com/m/@v/"+query+".info", testmod.Behaviour{Body: []byte(body)})
		up.Set("/example.com/m/@latest", testmod.Behaviour{Body: []byte(body)})
		_, _, err := start(t, Options{Proxies: up.URL}).Query(t.Context(), "example.com/m", query)
		requireFailed(t, err)
	}
}
