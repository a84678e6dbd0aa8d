package source_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/source"
	"olympus/internal/testmod"
)

// modules are of every sort that a path and a version can be.
var modules = []testmod.Module{
	{Path: "example.com/plain", Version: "v1.0.0"},
	{Path: "example.com/plain", Version: "v1.1.0-rc.1"},
	{Path: "example.com/UPPER/Case", Version: "v1.0.0-RC.1"},
	{Path: "example.com/pseudo", Version: "v0.0.0-20200102030405-abcdefabcdef"},
	{Path: "example.com/old", Version: "v2.0.0+incompatible"},
	{Path: "example.com/major/v2", Version: "v2.1.0"},
	{Path: "example.com/plain/below", Version: "v0.1.0"},
}

func names(of []testmod.Module) []string {
	var names []string
	for _, m := range of {
		names = append(names, m.Path+"@"+m.Version)
	}
	slices.Sort(names)
	return names
}

// walked is what a walk over a source finds, both sorted.
func walked(t *testing.T, s source.Source) (found, bad []string, versions map[string]source.Version) {
	t.Helper()
	found, bad, versions = []string{}, []string{}, make(map[string]source.Version)
	require.NoError(t, s.Walk(t.Context(), func(v source.Version) error {
		found = append(found, v.String())
		versions[v.String()] = v
		return nil
	}, func(e *source.Error) { bad = append(bad, e.Error()) }))
	slices.Sort(found)
	slices.Sort(bad)
	return found, bad, versions
}

func open(t *testing.T, dir string) *source.Directory {
	t.Helper()
	d, err := source.OpenDirectory(dir, 1<<20)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func TestDirectoryOfEitherLayout(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(dir string){
		"GOPROXY": func(dir string) { testmod.Tree(t, dir, modules...) },
		"Athens":  func(dir string) { testmod.Athens(t, dir, modules...) },
		"both":    func(dir string) { testmod.Tree(t, dir, modules[:3]...); testmod.Athens(t, dir, modules[3:]...) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(dir)
			// What is there besides: a checksum database's tiles, a version without its zip, one that is being written, a lock.
			for _, name := range []string{"sumdb/example.com/tile/8/0/000", "example.com/plain/@v/v1.2.0.mod", "example.com/plain/@v/.v1.3.0.zip.tmp.1", "lock"} {
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644))
			}
			d := open(t, dir)
			require.True(t, d.Countable())
			found, bad, versions := walked(t, d)
			require.Equal(t, names(modules), found)
			require.Empty(t, bad)
			for _, m := range modules {
				v := versions[m.Path+"@"+m.Version]
				info, mod, err := d.Metadata(t.Context(), &v)
				require.NoError(t, err)
				require.Equal(t, []string{m.Info(), m.Mod()}, []string{string(info), string(mod)})
				zip, err := content(t, d, &v)
				require.NoError(t, err)
				require.Equal(t, testmod.Zip(t, m), zip)
			}
		})
	}
}

func content(t *testing.T, s source.Source, v *source.Version) ([]byte, error) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "zip"))
	require.NoError(t, err)
	defer f.Close()
	if err := s.Zip(t.Context(), v, f); err != nil {
		return nil, err
	}
	return os.ReadFile(f.Name())
}

func TestDirectoryNamesThatAreNoVersions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ file, want string }{
		{"example.com/Upper/@v/v1.0.0.zip", `"example.com/Upper/@v": invalid escaped module path`},
		{"example.com/!Upper/@v/v1.0.0.zip", `"example.com/!Upper/@v": invalid escaped module path`},
		{"nodots/m/@v/v1.0.0.zip", `"nodots/m/@v": invalid escaped module path`},
		{"@v/v1.0.0.zip", `"@v": `},
		{"example.com/m/@v/V1.0.0.zip", `"example.com/m/@v/V1.0.0.zip": invalid escaped version`},
		{"example.com/m/@v/v1.0.zip", `not canonical`},
		{"example.com/m/@v/v2.0.0.zip", `should be v0 or v1, not v2`},
		{"example.com/m/@v/master.zip", `not a semantic version`},
		{"example.com/m/@v/v1.0.0\x1b[2J.zip", `"example.com/m/@v/v1.0.0\x1b[2J.zip": `},
		{"example.com/!m/v1.0.0/source.zip", `malformed module path`},
		{"example.com/m/latest/source.zip", `not a semantic version`},
		{"source.zip", `"source.zip": `},
		{"example.com/" + strings.Repeat("m", 250) + strings.Repeat("/"+strings.Repeat("m", 250), 4) + "/@v/v1.0.0.zip", "too long"},
	} {
		dir := t.TempDir()
		name := filepath.Join(dir, filepath.FromSlash(test.file))
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte("x"), 0o644))
		testmod.Tree(t, dir, modules[0])
		found, bad, _ := walked(t, open(t, dir))
		require.Equal(t, names(modules[:1]), found, test.file)
		require.Len(t, bad, 1, test.file)
		require.Contains(t, bad[0], test.want)
		require.NotContains(t, bad[0], "\x1b")
	}
}

// An early release of Athens kept versions as they were escaped.
func TestDirectoryOfEarlyAthens(t *testing.T) {
	t.Parallel()
	dir, m := t.TempDir(), modules[2]
	testmod.Athens(t, dir, m)
	at := filepath.Join(dir, filepath.FromSlash(m.Path))
	require.NoError(t, os.Rename(filepath.Join(at, m.Version), filepath.Join(at, "v1.0.0-!r!c.1")))
	require.NoError(t, os.Rename(filepath.Join(at, "v1.0.0-!r!c.1", m.Version+".info"), filepath.Join(at, "v1.0.0-!r!c.1", "v1.0.0-!r!c.1.info")))
	d := open(t, dir)
	found, _, versions := walked(t, d)
	require.Equal(t, names([]testmod.Module{m}), found)
	v := versions[found[0]]
	info, _, err := d.Metadata(t.Context(), &v)
	require.NoError(t, err)
	require.Equal(t, m.Info(), string(info))
}

func TestDirectoryFollowsNoLinks(t *testing.T) {
	t.Parallel()
	outside, dir, m := t.TempDir(), t.TempDir(), modules[0]
	testmod.Tree(t, outside, m)
	testmod.Tree(t, dir, modules[3])
	at := filepath.Join(outside, filepath.FromSlash(m.Path))
	require.NoError(t, os.Symlink(at, filepath.Join(dir, "example.com/linked")))
	require.NoError(t, os.Symlink(filepath.Join(dir, "example.com"), filepath.Join(dir, "example.com/loop")))
	v1 := filepath.Join(dir, "example.com/m/@v")
	require.NoError(t, os.MkdirAll(v1, 0o755))
	require.NoError(t, os.Symlink(filepath.Join(at, "@v/v1.0.0.zip"), filepath.Join(v1, "v1.0.0.zip")))
	d := open(t, dir)
	found, bad, _ := walked(t, d)
	require.Equal(t, names(modules[3:4]), found)
	require.Equal(t, []string{
		`"example.com/linked": a symbolic link, which is not followed`,
		`"example.com/loop": a symbolic link, which is not followed`,
		`"example.com/m/@v/v1.0.0.zip": a symbolic link, which is not followed`,
	}, bad)

	// Nor those that come to be later, in the place of a file or of a directory.
	testmod.Tree(t, dir, m)
	_, _, versions := walked(t, d)
	v := versions[m.Path+"@"+m.Version]
	within := filepath.Join(dir, filepath.FromSlash(m.Path))
	for _, ext := range []string{".info", ".mod", ".zip"} {
		require.NoError(t, os.Remove(filepath.Join(within, "@v", "v1.0.0"+ext)))
		require.NoError(t, os.Symlink(filepath.Join(at, "@v", "v1.0.0"+ext), filepath.Join(within, "@v", "v1.0.0"+ext)))
		_, _, err := d.Metadata(t.Context(), &v)
		require.ErrorContains(t, err, "not a regular file")
	}
	_, err := content(t, d, &v)
	require.ErrorContains(t, err, "not a regular file")
	require.NoError(t, os.RemoveAll(within))
	require.NoError(t, os.Symlink(at, within))
	_, err = content(t, d, &v)
	require.ErrorContains(t, err, "escapes")
}

func TestDirectoryFilesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	m := modules[0]
	for _, test := range []struct {
		name, file string
		change     func(name string) error
		want       string
	}{
		{"no .info", "v1.0.0.info", os.Remove, `"example.com/plain/@v/v1.0.0.info": no such file`},
		{"no .mod", "v1.0.0.mod", os.Remove, `v1.0.0.mod": no such file`},
		{"a directory", "v1.0.0.zip", func(name string) error { return becomes(name, func() error { return os.Mkdir(name, 0o755) }) }, "not a regular file"},
		{"a pipe", "v1.0.0.info", func(name string) error { return becomes(name, func() error { return syscall.Mkfifo(name, 0o644) }) }, "not a regular file"},
		{"a huge zip", "v1.0.0.zip", func(name string) error { return os.Truncate(name, 1<<20+1) }, "more than the limit"},
		{"a huge .mod", "v1.0.0.mod", func(name string) error { return os.Truncate(name, 1<<30) }, "more than the limit"},
		{"another version", "v1.0.0.info", func(name string) error { return os.WriteFile(name, []byte(`{"Version":"v1.0.1"}`), 0o644) }, "it is about version"},
		{"no .mod file", "v1.0.0.mod", func(name string) error { return os.WriteFile(name, []byte("hello"), 0o644) }, "no module directive"},
	} {
		dir := t.TempDir()
		testmod.Tree(t, dir, m)
		require.NoError(t, test.change(filepath.Join(dir, filepath.FromSlash(m.Path), "@v", test.file)))
		d := open(t, dir)
		_, _, versions := walked(t, d)
		v := versions[m.Path+"@"+m.Version]
		_, _, err := d.Metadata(t.Context(), &v)
		if err == nil {
			_, err = content(t, d, &v)
		}
		var broken *source.Error
		require.ErrorAs(t, err, &broken, test.name)
		require.ErrorContains(t, err, test.want, test.name)
	}
}

func becomes(name string, make func() error) error {
	if err := os.Remove(name); err != nil {
		return err
	}
	return make()
}

func TestDirectoryThatIsNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := source.OpenDirectory(filepath.Join(dir, "nothing"), 1)
	require.ErrorContains(t, err, "no such file")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "cache/download"), 0o755))
	_, err = source.OpenDirectory(dir, 1)
	require.ErrorContains(t, err, "give its cache/download")
}

func TestDirectoryWalkEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	testmod.Tree(t, dir, modules...)
	d := open(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := d.Walk(ctx, func(source.Version) error { n++; cancel(); return ctx.Err() }, func(e *source.Error) { t.Error(e) })
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, n)
}
