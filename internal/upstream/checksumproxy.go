package upstream

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

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
	// Apart from what this deployment's own client has proved: nobody has checked these.
	file := "proxied/" + db.name + "/" + path
	if keeps {
		if data, ok := db.memory.Get(file); ok {
			return data, nil
		}
		if data, err := db.cache.Get(ctx, file); err == nil && len(data) > 0 {
			db.memory.Add(file, data)
			return data, nil
		}
	}
	base, err := db.locate(ctx)
	var data []byte
	if err == nil {
		data, err = base.read(ctx, path, maxChecksum)
	}
	if err == nil && !isProxied(path, data) {
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
		db.memory.Add(file, data)
	}
	return data, nil
}

// checksumPath checks a path, and reports whether what is there never changes.
func (u *Upstream) checksumPath(path string) (keeps bool, err error) {
	unknown := &NotFoundError{Path: path, Reason: "a checksum database has latest, lookup/MODULE@VERSION and tile/…"}
	switch {
	case path == "latest":
		return false, nil
	case strings.HasPrefix(path, "tile/"):
		tile, err := tlog.ParseTilePath(path)
		if err != nil {
			return false, unknown
		}
		return tile.W == 1<<tile.H, nil
	case strings.HasPrefix(path, "lookup/"):
		escapedPath, escapedVersion, ok := strings.Cut(strings.TrimPrefix(path, "lookup/"), "@")
		modulePath, err := module.UnescapePath(escapedPath)
		if err != nil || !ok {
			return false, unknown
		}
		if _, err := module.UnescapeVersion(escapedVersion); err != nil {
			return false, unknown
		}
		if u.isPrivate(modulePath) {
			return false, &NotFoundError{Path: path, Reason: "the module is private, and no checksum database is asked for it"}
		}
		return true, nil
	}
	return false, unknown
}

// isProxied is isAnswer for all paths of a checksum database.
func isProxied(path string, data []byte) bool {
	if path == "latest" {
		_, err := note.Open(data, note.VerifierList())
		_, unverified := err.(*note.UnverifiedNoteError)
		return unverified
	}
	if tile, err := tlog.ParseTilePath(path); err == nil && tile.L < 0 {
		return bytes.Count(data, []byte("\n")) >= tile.W // records, of at least a line each
	}
	return isAnswer(path, data)
}
