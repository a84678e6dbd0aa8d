package worker

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"olympus/internal/transparency"
	"olympus/models"
)

// leaves compares the events with the hashes that the tree holds of them, one after the other.
type leaves struct {
	read   transparency.Tiles
	index  int64 // of the tile that hashes are of; -1: none
	hashes []byte
}

// holds reports whether the tree holds the leaf at a position of the log. Tiles are read one after the other.
func (l *leaves) holds(position int64, leaf tlog.Hash) (bool, error) {
	index, at := (position-1)/transparency.TileWidth, (position-1)%transparency.TileWidth*tlog.HashSize
	if index != l.index {
		read, err := l.read([]tlog.Tile{{H: transparency.TileHeight, N: index, W: 1}})
		if err != nil {
			return false, err
		}
		l.index, l.hashes = index, read[0]
	}
	return int64(len(l.hashes)) >= at+tlog.HashSize && bytes.Equal(l.hashes[at:at+tlog.HashSize], leaf[:]), nil
}

// tree checks that the tree is as large as the log, that each level of tiles follows from the one below, and that the log extends what is
// kept outside the database. That the leaves are the events has been checked with these.
func (v *verification) tree(ctx context.Context) error {
	db := v.db(ctx)
	tree, err := models.ReadTree(db)
	if err != nil {
		return err
	}
	if tree.Size != tree.Head {
		v.problem(Problem{What: fmt.Sprintf("the tree holds %d of %d events", tree.Size, tree.Head)})
	}
	expected, sound := int64(0), true
	for level, n := 0, tree.Size; n > 0; level, n = level+1, n>>transparency.TileHeight {
		expected += (n + transparency.TileWidth - 1) / transparency.TileWidth
		ok, err := v.level(ctx, level, n)
		if err != nil {
			return err
		}
		sound = sound && ok
	}
	stored, err := models.CountTiles(db)
	if err != nil {
		return err
	}
	if stored > expected {
		v.problem(Problem{What: fmt.Sprintf("there are %d tiles, the tree has %d", stored, expected)})
	}
	if !sound || tree.Size != tree.Head {
		return nil // the root would be none
	}
	kept, err := v.keptOutside(ctx)
	if err != nil || kept == nil {
		return err
	}
	c, err := v.checkpointOf(ctx, tree)
	if err != nil {
		return err
	}
	extends, err := v.extends(ctx, c, kept)
	if err == nil && !extends {
		v.problem(Problem{What: fmt.Sprintf("%d events of epoch %d have been signed that are not the beginning of this log of %d events of epoch %d",
			kept.Size, kept.Epoch, c.Size, c.Epoch)})
	}
	return err
}

// level checks the n hashes of a level of tiles: that they are there and, above the leaves, that each is the root of a full tile below.
func (v *verification) level(ctx context.Context, level int, n int64) (sound bool, err error) {
	read := models.Tiles(v.db(ctx))
	sound = true
	for index := int64(0); index*transparency.TileWidth < n; index++ {
		width := int(min(n-index*transparency.TileWidth, transparency.TileWidth))
		tile := tlog.Tile{H: transparency.TileHeight, L: level, N: index, W: width}
		data, err := read([]tlog.Tile{tile})
		if err != nil {
			return false, err
		}
		if len(data[0]) != width*tlog.HashSize {
			v.problem(Problem{What: fmt.Sprintf("tile %d of level %d of the tree has %d hashes, want %d", index, level, len(data[0])/tlog.HashSize, width)})
			sound = false
			continue
		}
		if level == 0 {
			continue
		}
		below := make([]tlog.Tile, width)
		for i := range below {
			below[i] = tlog.Tile{H: transparency.TileHeight, L: level - 1, N: index*transparency.TileWidth + int64(i), W: transparency.TileWidth}
		}
		tiles, err := read(below)
		if err != nil {
			return false, err
		}
		for i, hashes := range tiles {
			if root := transparency.RootOf(hashes); !bytes.Equal(root[:], data[0][i*tlog.HashSize:(i+1)*tlog.HashSize]) {
				v.problem(Problem{What: fmt.Sprintf("tile %d of level %d of the tree does not follow from tile %d below", index, level, below[i].N)})
				sound = false
			}
		}
	}
	return sound, nil
}
