package actions

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"olympus/internal/transparency"
	"olympus/models"
)

// The log as a transparency log for third parties, as C2SP tlog-tiles has it: a checkpoint, tiles of hashes, and bundles of entries.

// checkpoint answers the signed checkpoint of the whole log.
func (a *App) checkpoint(w http.ResponseWriter, r *http.Request) {
	note, err := a.Deployment.Checkpoint(r.Context(), -1)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeNote(w, note)
}

// witness answers the newest checkpoint that this deployment has verified of the log of a peer: whoever was shown another finds out.
func (a *App) witness(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	p, err := models.FindPeer(a.Deployment.DB.WithContext(r.Context()), name)
	if err == nil && p.Checkpoint == "" {
		err = notFound("nothing has been verified of the log of %.200q", name)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeNote(w, []byte(p.Checkpoint))
}

func writeNote(w http.ResponseWriter, note []byte) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(note)
}

// tile answers a tile of hashes, or a bundle of entries.
func (a *App) tile(w http.ResponseWriter, r *http.Request) {
	if err := a.writeTile(w, r); err != nil {
		a.fail(w, r, err)
	}
}

func (a *App) writeTile(w http.ResponseWriter, r *http.Request) error {
	path := r.PathValue("path")
	// Nearly the paths of golang.org/x/mod, which name the height besides and call entries data.
	t, err := parseTile(fmt.Sprintf("tile/%d/%s", transparency.TileHeight, strings.Replace(path, "entries/", "data/", 1)))
	if strings.HasPrefix(path, "data/") || statusOf(err) == http.StatusBadRequest {
		err = badRequest("tile %.200q: want LEVEL/INDEX or entries/INDEX, and .p/WIDTH if it is not full", path)
	}
	if err != nil {
		return err
	}
	content, err := a.readTile(r.Context(), t)
	if err != nil {
		return err
	}
	if t.W == transparency.TileWidth {
		w.Header()["Cache-Control"] = immutable
	} else {
		w.Header().Set("Cache-Control", "no-store")
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content)
	return nil
}

// parseTile reads the path of a tile as golang.org/x/mod writes it, and refuses those that no tree of ours has: what is large enough to
// overflow when it is multiplied would name another tile, and one tile of height 30 is the whole log.
func parseTile(path string) (tlog.Tile, error) {
	t, err := tlog.ParseTilePath(path)
	if err != nil {
		return t, badRequest("tile %.200q: want tile/%d/LEVEL/INDEX, and .p/WIDTH if it is not full", path, transparency.TileHeight)
	}
	if t.H != transparency.TileHeight || t.L >= transparency.Levels || t.N > transparency.MaxSize/transparency.TileWidth {
		return t, notFound("the tree has no tile %s", path)
	}
	return t, nil
}

// readTile returns the hashes of a tile, or the entries that a tile of level -1 stands for.
func (a *App) readTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	db := a.Deployment.DB.WithContext(ctx)
	missing := notFound("the tree has no tile %s", t.Path())
	if t.L >= 0 {
		data, err := models.Tiles(db)([]tlog.Tile{t})
		if err != nil {
			return nil, err
		}
		if len(data[0]) < t.W*tlog.HashSize {
			return nil, missing
		}
		return data[0][:t.W*tlog.HashSize], nil
	}
	records, err := a.records(ctx, t.N*transparency.TileWidth, int64(t.W))
	if err != nil {
		return nil, err
	}
	if len(records) < t.W {
		return nil, missing
	}
	var bundle []byte
	for _, record := range records {
		bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(record)))
		bundle = append(bundle, record...)
	}
	return bundle, nil
}

// records returns the texts of n leaves of the tree, or of fewer where it ends.
func (a *App) records(ctx context.Context, first, n int64) ([][]byte, error) {
	done, err := a.shares.page(ctx, readerOf(ctx))
	if err != nil {
		return nil, err
	}
	defer done()
	events, err := models.LeafEvents(a.Deployment.DB.WithContext(ctx), first, int(n))
	if err != nil {
		return nil, err
	}
	records := make([][]byte, len(events))
	for i := range events {
		records[i] = transparency.Record(&events[i].Event)
	}
	return records, nil
}
