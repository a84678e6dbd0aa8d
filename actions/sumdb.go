package actions

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/tlog"

	"olympus/internal/protocol"
	"olympus/internal/transparency"
	"olympus/models"
)

// sumdbFresh is how long lookups and tiles are kept. They stay true in their epoch.
const sumdbFresh = 30 * time.Second

// sumdb answers the requests that the go command makes of checksum databases through its proxy. For this deployment's own name the event
// log is the database; that of fills is passed through; nobody else's.
func (a *App) sumdb(w http.ResponseWriter, r *http.Request) {
	path := r.PathValue("path")
	if rest, ok := strings.CutPrefix(path, a.Deployment.Name+"/"); ok {
		a.ownSumdb(w, r, rest)
		return
	}
	name := a.Deployment.Upstream.ChecksumName()
	rest, ok := strings.CutPrefix(path, name+"/")
	if !ok || name == "" {
		a.fail(w, r, notFound("no checksum database is offered here under /sumdb/%.200q", path))
		return
	}
	if rest == "supported" {
		a.writeSumdb(w, rest, nil)
		return
	}
	content, err := a.Deployment.Checksum(r.Context(), rest)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.writeSumdb(w, rest, content)
}

// ownSumdb answers from the event log.
func (a *App) ownSumdb(w http.ResponseWriter, r *http.Request, path string) {
	if path == "supported" {
		a.writeSumdb(w, path, nil)
		return
	}
	at, err := a.answers.catchUp(r.Context(), a.Deployment)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	lookup, isLookup := strings.CutPrefix(path, "lookup/")
	kept := r.URL.Path
	if isLookup {
		// Kept until the next event, which may delete the version. No path of a version ends in a space and a number.
		kept = fmt.Sprintf("%s %d", kept, at.head)
	}
	if hit := a.answers.get(kept); hit != nil {
		a.writeSumdb(w, path, hit.body)
		return
	}
	switch {
	case isLookup:
		err = a.lookedUp(r.Context(), lookup)
	case strings.HasPrefix(path, "tile/"):
		_, err = parseTile(path)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	// The library answers through a writer of ours, so that errors look like all others.
	caught := &caughtResponse{header: make(http.Header)}
	request := r.Clone(r.Context())
	request.URL.Path = "/" + path
	ops := &sumdbOps{App: a}
	sumdb.NewServer(ops).ServeHTTP(caught, request)
	if caught.status != 0 && caught.status != http.StatusOK {
		err := ops.failed
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = &statusError{status: caught.status, message: "checksum database: " + strings.TrimSpace(string(caught.body))}
		}
		a.fail(w, r, err)
		return
	}
	if isLookup || strings.HasPrefix(path, "tile/") {
		a.answers.put(kept, &answer{body: caught.body, until: time.Now().Add(sumdbFresh)}, at)
	}
	a.writeSumdb(w, path, caught.body)
}

func (a *App) writeSumdb(w http.ResponseWriter, path string, content []byte) {
	w.Header()["Content-Type"] = plainText
	if strings.HasPrefix(path, "tile/") {
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	if isFullTile(path) {
		w.Header()["Cache-Control"] = immutable
	} else {
		w.Header().Set("Cache-Control", "no-store")
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(content)
}

func isFullTile(path string) bool {
	tile, err := tlog.ParseTilePath(path)
	return err == nil && tile.W == 1<<tile.H
}

// lookedUp makes a version known before its record is looked up: one that nobody has asked for yet is filled, as Go's public checksum
// database does. For versions that are deleted here there is no record.
func (a *App) lookedUp(ctx context.Context, lookup string) error {
	escapedPath, escapedVersion, ok := strings.Cut(lookup, "@")
	path, err1 := module.UnescapePath(escapedPath)
	version, err2 := module.UnescapeVersion(escapedVersion)
	if !ok || errors.Join(err1, err2) != nil || len(path) > protocol.MaxPathBytes || len(version) > protocol.MaxVersionBytes ||
		module.Check(path, version) != nil || module.CanonicalVersion(version) != version {
		return badRequest("lookup of %.300q: want MODULE@VERSION, canonical and escaped as in the module download protocol", lookup)
	}
	ctx, cancel := context.WithTimeout(ctx, fillWait)
	defer cancel()
	v, err := models.FindVersion(a.Deployment.DB.WithContext(ctx), path, version)
	if err == nil && (v.Known() || v.Deleted) {
		return nil
	}
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return err
	}
	return a.Deployment.Fill(path, version).Wait(ctx)
}

// sumdbOps is the event log as golang.org/x/mod/sumdb.Server sees a checksum database. It keeps the error that the server only shows as
// text.
type sumdbOps struct {
	*App
	failed error
}

func (o *sumdbOps) note(err error) error {
	if err != nil {
		o.failed = err
	}
	return err
}

// Signed returns the signed tree of the whole log.
func (o *sumdbOps) Signed(ctx context.Context) ([]byte, error) {
	tree, err := o.Deployment.GoSumTree(ctx)
	return tree, o.note(err)
}

// ReadRecords returns the texts of n events from number id on; the first event is number 0.
func (o *sumdbOps) ReadRecords(ctx context.Context, id, n int64) ([][]byte, error) {
	records, err := o.records(ctx, id, n)
	if err == nil && int64(len(records)) < n {
		err = fs.ErrNotExist
	}
	return records, o.note(err)
}

// Lookup returns the number of the event that added a version: of several, the one that is served here.
func (o *sumdbOps) Lookup(ctx context.Context, m module.Version) (int64, error) {
	v, err := models.FindVersion(o.Deployment.DB.WithContext(ctx), m.Path, m.Version)
	if err == nil && v.Known() {
		v, err = o.pinned(ctx, v)
	}
	if errors.Is(err, models.ErrNotFound) || err == nil && !v.Known() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return 0, o.note(err)
	}
	return v.AddPosition - 1, nil
}

// ReadTileData returns the hashes of a tile.
func (o *sumdbOps) ReadTileData(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if t.H != transparency.TileHeight || t.L < 0 {
		return nil, o.note(fs.ErrNotExist)
	}
	data, err := o.readTile(ctx, t)
	if statusOf(err) == http.StatusNotFound {
		err = fs.ErrNotExist
	}
	return data, o.note(err)
}

// caughtResponse is a response that is looked at before it is sent.
type caughtResponse struct {
	header http.Header
	status int
	body   []byte
}

func (c *caughtResponse) Header() http.Header    { return c.header }
func (c *caughtResponse) WriteHeader(status int) { c.status = status }
func (c *caughtResponse) Write(b []byte) (int, error) {
	c.body = append(c.body, b...)
	return len(b), nil
}
