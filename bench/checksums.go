package main

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/sumdb/note"

	"olympus/internal/protocol"
)

// checksums is a local checksum database over the modules of a tree.
type checksums struct {
	*httptest.Server
	key string
}

func newChecksums(tree string, files []string) (*checksums, error) {
	signer, key, err := note.GenerateKey(rand.Reader, "sums.example.com")
	if err != nil {
		return nil, err
	}
	lines := make(map[module.Version]string)
	for _, zip := range having(files, ".zip") {
		path, version, _ := strings.Cut(strings.TrimSuffix(zip, ".zip"), "/@v/")
		var m module.Version
		if m.Path, err = module.UnescapePath(path); err != nil {
			return nil, err
		}
		if m.Version, err = module.UnescapeVersion(version); err != nil {
			return nil, err
		}
		h1, err := dirhash.HashZip(filepath.Join(tree, zip), dirhash.Hash1)
		if err != nil {
			return nil, err
		}
		mod, err := os.ReadFile(filepath.Join(tree, strings.TrimSuffix(zip, ".zip")+".mod"))
		if err != nil {
			return nil, err
		}
		lines[m] = fmt.Sprintf("%s %s %s\n%s %s/go.mod %s\n", m.Path, m.Version, h1, m.Path, m.Version, protocol.ModHash(mod))
	}
	server := sumdb.NewServer(sumdb.NewTestServer(signer, func(path, version string) ([]byte, error) {
		if line, ok := lines[module.Version{Path: path, Version: version}]; ok {
			return []byte(line), nil
		}
		return nil, fs.ErrNotExist
	}))
	c := &checksums{httptest.NewServer(server), key}
	for m := range lines { // all are in the log before anybody measures
		path, err := module.EscapePath(m.Path)
		if err != nil {
			return nil, err
		}
		version, err := module.EscapeVersion(m.Version)
		if err != nil {
			return nil, err
		}
		if _, err := fetch(c.URL + "/lookup/" + path + "@" + version); err != nil {
			return nil, err
		}
	}
	return c, nil
}
