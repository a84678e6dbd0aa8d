package upstream

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"olympus/internal/protocol"
)

// clientTileHeight is the height of the tiles that the go command reads. Others would be the same hashes cut in thirty ways.
const clientTileHeight = 8

// ChecksumName is the name of the checksum database that fills are checked against, empty if there is none.
func (u *Upstream) ChecksumName() string {
	if u.sums == nil {
		return ""
	}
	return u.sums.name
}

// Checksum returns what the checksum database has at a path, for a client that checks it itself: "latest", "lookup/MODULE@VERSION" or
// "tile/…". Lookups and full tiles are kept, and so is the last "latest": with them clients can go on while the database is out of reach.
// Private modules are never asked for.
func (u *Upstream) Checksum(ctx context.Context, path string) ([]byte, error) {
	db := u.sums
	if db == nil {
		return nil, &NotFoundError{Path: path, Reason: "there is no checksum database"}
	}
	keeps, err := u.checksumPath(path)
	if err != nil {
		return nil, err
	}
	// Apart from what this deployment's own client has proved: that what is signed here hangs together is for the client to check.
	file := "proxied/" + db.name + "/" + path
	if keeps {
		if data, ok := db.memory.Get(file); ok {
			return data, nil
		}
		if data, err := db.cache.Get(ctx, file); err == nil && len(data) > 0 {
			db.remember(file, data)
			return data, nil
		}
	}
	base, err := db.locate(ctx)
	var data []byte
	if err == nil {
		data, err = base.read(ctx, path, maxChecksum)
	}
	if err == nil && !db.isProxied(path, data) {
		err = &FailedError{URL: base.base.JoinPath(path).String(), Err: fmt.Errorf("not what a checksum database answers")}
	}
	switch {
	case isMissing(err):
		return nil, &NotFoundError{Path: path, Reason: fmt.Sprintf("the checksum database %s does not have it", db.name)}
	case err != nil && path == "latest":
		if old, _ := db.cache.Get(ctx, file); len(old) > 0 {
			return old, nil
		}
		return nil, err
	case err != nil:
		return nil, err
	}
	if keeps || path == "latest" {
		// The next one asks again if this fails.
		_ = db.cache.Put(ctx, file, data)
	}
	if keeps {
		db.remember(file, data)
	}
	return data, nil
}

// remember keeps an answer in memory, unless it is one of the rare large ones: tiles of records, which the go command does not read.
func (db *checksumDB) remember(file string, data []byte) {
	if len(data) <= tlog.HashSize<<clientTileHeight {
		db.memory.Add(file, data)
	}
}

// checksumPath checks a path, and reports whether what is there never changes.
func (u *Upstream) checksumPath(path string) (keeps bool, err error) {
	unknown := &NotFoundError{Path: path, Reason: "a checksum database has latest, lookup/MODULE@VERSION and tile/…"}
	switch {
	case path == "latest":
		return false, nil
	case strings.HasPrefix(path, "tile/"):
		tile, err := tlog.ParseTilePath(path)
		if err != nil || tile.H != clientTileHeight || tile.L*clientTileHeight > 63 {
			return false, unknown
		}
		return tile.W == 1<<tile.H, nil
	case strings.HasPrefix(path, "lookup/"):
		escapedPath, escapedVersion, ok := strings.Cut(strings.TrimPrefix(path, "lookup/"), "@")
		modulePath, err := module.UnescapePath(escapedPath)
		if err != nil || !ok {
			return false, unknown
		}
		version, err := module.UnescapeVersion(escapedVersion)
		if err != nil || len(modulePath) > protocol.MaxPathBytes || checkVersion(modulePath, version) != nil {
			return false, unknown
		}
		if u.isPrivate(modulePath) {
			return false, &NotFoundError{Path: path, Reason: "the module is private, and no checksum database is asked for it"}
		}
		return true, nil
	}
	return false, unknown
}

// isProxied is true if data has the form of what is at a path of the database, and its signature where there is one: what is kept for ever
// must not be the page, or half the answer, of whoever stands between.
func (db *checksumDB) isProxied(path string, data []byte) bool {
	if tile, err := tlog.ParseTilePath(path); err == nil {
		if tile.L < 0 {
			// Records, with an empty line after each.
			return bytes.Count(data, []byte("\n\n")) == tile.W && bytes.HasSuffix(data, []byte("\n\n"))
		}
		return len(data) == tile.W*tlog.HashSize
	}
	if path != "latest" {
		_, _, tree, err := tlog.ParseRecord(data)
		if err != nil {
			return false
		}
		data = tree
	}
	verifier, err := note.NewVerifier(db.key)
	if err != nil {
		return false
	}
	signed, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return false
	}
	_, err = tlog.ParseTree([]byte(signed.Text))
	return err == nil
}
