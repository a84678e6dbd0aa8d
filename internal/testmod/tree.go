package testmod

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"

	"olympus/internal/download"
)

// Tree writes modules to dir in the layout of a GOPROXY that is a file tree, and returns its file URL. It may be
// called again to add more; a list is written anew and keeps what it held.
func Tree(t testing.TB, dir string, modules ...Module) string {
	t.Helper()
	for path, content := range files(t, modules) {
		name := filepath.Join(dir, filepath.FromSlash(path))
		if filepath.Base(name) == "list" {
			if old, err := os.ReadFile(name); err == nil {
				content = mergeLists(content, old)
			}
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, content, 0o644))
	}
	dir, err := filepath.Abs(dir)
	require.NoError(t, err)
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(dir)}).String()
}

// files are the files of the download protocol for modules, by request path with its "!" escapes. There is no @latest,
// as in the module cache of the go command, which is such a tree too.
func files(t testing.TB, modules []Module) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	for _, m := range modules {
		path := func(ext download.Ext) string {
			return download.Request{Module: m.Path, Version: m.Version, Ext: ext}.Path()
		}
		files[path(download.Info)] = []byte(m.Info())
		files[path(download.Mod)] = []byte(m.Mod())
		files[path(download.Zip)] = Zip(t, m)
		line := ""
		if !module.IsPseudoVersion(m.Version) {
			line = m.Version + "\n"
		}
		list := path(download.List)
		files[list] = mergeLists(files[list], []byte(line))
	}
	return files
}

// mergeLists is one version list with the lines of both, sorted.
func mergeLists(a, b []byte) []byte {
	versions := strings.Fields(string(a) + "\n" + string(b))
	download.Sort(versions)
	versions = slices.Compact(versions)
	if len(versions) == 0 {
		return []byte{}
	}
	return []byte(strings.Join(versions, "\n") + "\n")
}

// Athens writes modules to dir as Athens does it on a disk.
func Athens(t testing.TB, dir string, modules ...Module) {
	t.Helper()
	for _, m := range modules {
		at := filepath.Join(dir, filepath.FromSlash(m.Path), m.Version)
		require.NoError(t, os.MkdirAll(at, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(at, "go.mod"), []byte(m.Mod()), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(at, "source.zip"), Zip(t, m), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(at, m.Version+".info"), []byte(m.Info()), 0o644))
	}
}
