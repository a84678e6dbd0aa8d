package peer

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"olympus/internal/protocol"
	"olympus/internal/transparency"
)

// Checkpoint asks a peer for the signed checkpoint of its whole log. Nothing about it has been checked but its length.
func (c *Client) Checkpoint(ctx context.Context, t Target) (string, error) {
	note, err := c.small(ctx, t, "/checkpoint", protocol.MaxCheckpointBytes)
	return string(note), err
}

// Witness asks a peer for the newest checkpoint that it has verified of the log of a deployment; ErrNotFound if it has none. Nothing
// about it has been checked but its length.
func (c *Client) Witness(ctx context.Context, t Target, name string) (string, error) {
	note, err := c.small(ctx, t, "/peer/witness/"+url.PathEscape(name), protocol.MaxCheckpointBytes)
	return string(note), err
}

// Tiles reads tiles of the tree over a peer's log. What they hold is for the caller to check (see tlog.TileHashReader); each has the
// length that was asked for.
func (c *Client) Tiles(ctx context.Context, t Target) transparency.Tiles {
	return func(tiles []tlog.Tile) ([][]byte, error) {
		data := make([][]byte, len(tiles))
		for i, tile := range tiles {
			// golang.org/x/mod names the height besides; C2SP tlog-tiles has but one.
			path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", transparency.TileHeight), "/tile/", 1)
			want := tile.W * tlog.HashSize
			hashes, err := c.small(ctx, t, path, want)
			if err != nil {
				return nil, err
			}
			if len(hashes) != want {
				return nil, fmt.Errorf("tile %s of %s has %d bytes, want %d", path, t.Name, len(hashes), want)
			}
			data[i] = hashes
		}
		return data, nil
	}
}

// small gets a file of at most limit bytes.
func (c *Client) small(ctx context.Context, t Target, path string, limit int) ([]byte, error) {
	base, err := ParseURL(t.URL)
	if err != nil {
		return nil, fmt.Errorf("ask %s for %s: %w", t.Name, path, err)
	}
	call := call{method: http.MethodGet, url: base + path, header: http.Header{}}
	resp, err := c.send(ctx, call)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch {
	case notFound(resp):
		return nil, fmt.Errorf("%s: %w", call, ErrNotFound)
	case resp.StatusCode != http.StatusOK:
		return nil, statusError(call, resp)
	}
	content, err := readAll(resp, int64(limit))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call, err)
	}
	return content, nil
}

// maxEntry is the longest that an entry can be, in bytes: its length is written in two.
const maxEntry = 1<<16 - 1

// Entries reads a bundle of entries of a peer's log: the texts of width leaves of its tree, from leaf 256·index on. What they say is for
// the caller to check.
func (c *Client) Entries(ctx context.Context, t Target, index int64, width int) ([][]byte, error) {
	tile := tlog.Tile{H: transparency.TileHeight, L: -1, N: index, W: width}
	path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/data/", transparency.TileHeight), "/tile/entries/", 1)
	bundle, err := c.small(ctx, t, path, width*(2+maxEntry))
	if err != nil {
		return nil, err
	}
	entries := make([][]byte, 0, width)
	for len(bundle) > 0 && len(entries) < width {
		if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
			return nil, fmt.Errorf("bundle %s of %s ends in the middle of entry %d", path, t.Name, len(entries))
		}
		n := int(binary.BigEndian.Uint16(bundle))
		entries = append(entries, bundle[2:2+n])
		bundle = bundle[2+n:]
	}
	if len(entries) < width || len(bundle) > 0 {
		return nil, fmt.Errorf("bundle %s of %s has not %d entries", path, t.Name, width)
	}
	return entries, nil
}
