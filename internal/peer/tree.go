package peer

import (
	"context"
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
