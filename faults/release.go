package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing/fstest"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"olympus/internal/download"
)

// release is one version of one module. Its files follow from its name alone, so that nobody has to keep them to compare.
type release struct{ module, version string }

func (r release) String() string { return r.module + "@" + r.version }

// path is where a file of it is asked for, on every deployment and below the upstream.
func (r release) path(ext download.Ext) string {
	return download.Request{Module: r.module, Version: r.version, Ext: ext}.Path()
}

const (
	smallest = 200
	largest  = 6 << 10
	// One release in so many is of a size that a connection can break in the middle of.
	bigEvery = 25
	big      = 700 << 10
)

// files are the three files of a release.
type files struct {
	info, mod string
	zip       []byte
}

func (f *files) of(ext download.Ext) []byte {
	switch ext {
	case download.Info:
		return []byte(f.info)
	case download.Mod:
		return []byte(f.mod)
	}
	return f.zip
}

// files makes the files of a release. The same release always has the same bytes.
func (r release) files() (*files, error) {
	sum := sha256.Sum256([]byte(r.String()))
	rng := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])))
	size := smallest + rng.IntN(largest-smallest)
	if rng.IntN(bigEvery) == 0 {
		size = big
	}
	noise := make([]byte, size) // which no compression makes smaller
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	f := &files{
		info: fmt.Sprintf(`{"Version":%q,"Time":"2026-01-02T03:%02d:%02dZ"}`, r.version, rng.IntN(60), rng.IntN(60)),
		mod:  "module " + r.module + "\n\ngo 1.21\n",
	}
	var b bytes.Buffer
	err := zip.Create(&b, module.Version{Path: r.module, Version: r.version}, []zip.File{file{"go.mod", []byte(f.mod)}, file{"noise.bin", noise}})
	if err != nil {
		return nil, fmt.Errorf("make the zip of %s: %w", r, err)
	}
	f.zip = b.Bytes()
	return f, nil
}

// file is a file in memory, as zip.Create takes it.
type file struct {
	name    string
	content []byte
}

func (f file) Path() string                 { return f.name }
func (f file) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(f.content)), nil }
func (f file) Lstat() (fs.FileInfo, error) {
	return fstest.MapFS{f.name: {Data: f.content, Mode: 0o644}}.Lstat(f.name)
}

// expected is what is kept of the files of a release, to compare with.
type expected struct {
	info, mod string
	zipSHA256 string // 64 hexadecimal digits
	zipSize   int
}

func (f *files) expected() expected {
	return expected{info: f.info, mod: f.mod, zipSHA256: hexSHA256(f.zip), zipSize: len(f.zip)}
}

// difference says in what a body differs from the file, or nothing.
func (e *expected) difference(ext download.Ext, body []byte) string {
	want := e.info
	switch ext {
	case download.Mod:
		want = e.mod
	case download.Zip:
		if got := hexSHA256(body); got != e.zipSHA256 {
			return fmt.Sprintf("%d bytes with sha256 %s, not %d with %s", len(body), got, e.zipSize, e.zipSHA256)
		}
		return ""
	}
	if string(body) != want {
		return fmt.Sprintf("%.200q, not %q", body, want)
	}
	return ""
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func compareReleases(a, b release) int {
	return cmp.Or(strings.Compare(a.module, b.module), strings.Compare(a.version, b.version))
}
