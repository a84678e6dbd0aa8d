// Package testmod makes small, real modules for tests: their zips, events, trees in the layout of GOPROXY, and an
// upstream that serves them over HTTP and misbehaves on demand. Only tests may import it.
package testmod

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// Module is a module version. Its files are all that it needs; the rest follows from them.
type Module struct {
	Path    string
	Version string
	// Files are the contents by slash-separated name. A go.mod is added unless there is one, except to
	// "+incompatible" versions, which must have none.
	Files map[string]string
	// Time is the time in .info; zero stands for a fixed time.
	Time time.Time
}

// Mod is what .mod serves: the module's go.mod, or for a module without one the line that the go command puts in its
// place.
func (m Module) Mod() string {
	if mod, ok := m.Files["go.mod"]; ok {
		return mod
	}
	if m.isIncompatible() {
		return "module " + m.Path + "\n"
	}
	return "module " + m.Path + "\n\ngo 1.21\n"
}

// Info is what .info serves.
func (m Module) Info() string {
	t := m.Time
	if t.IsZero() {
		t = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{m.Version, t.UTC()})
	if err != nil {
		panic(err) // only for a year of five digits
	}
	return string(info)
}

func (m Module) isIncompatible() bool { return strings.HasSuffix(m.Version, "+incompatible") }

// Zip is the module's zip. The same module always has the same bytes.
func Zip(t testing.TB, m Module) []byte {
	t.Helper()
	var files []zip.File
	for name, content := range m.Files {
		files = append(files, file{name, content})
	}
	if _, ok := m.Files["go.mod"]; !ok && !m.isIncompatible() {
		files = append(files, file{"go.mod", m.Mod()})
	}
	if len(files) == 0 {
		files = append(files, file{"README", m.Path + "\n"}) // a zip without files is none
	}
	slices.SortFunc(files, func(a, b zip.File) int { return strings.Compare(a.Path(), b.Path()) })

	var b bytes.Buffer
	require.NoError(t, zip.Create(&b, module.Version{Path: m.Path, Version: m.Version}, files))
	return b.Bytes()
}

// file is a file in memory, as zip.Create takes it.
type file struct{ name, content string }

func (f file) Path() string                 { return f.name }
func (f file) Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(f.content)), nil }
func (f file) Lstat() (fs.FileInfo, error) {
	return fstest.MapFS{f.name: {Data: []byte(f.content), Mode: 0o644}}.Lstat(f.name)
}
