package transparency

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// TileHeight is that of every tile: it holds the hashes of one level of the tree from which the next seven follow.
	TileHeight = 8
	// TileWidth is the number of hashes in a full tile.
	TileWidth = 1 << TileHeight

	fullTile = TileWidth * tlog.HashSize
)

// Tile is a stretch of up to TileWidth hashes of one level of tiles, side by side. Level 0 are the leaves; a hash of level n+1 is the
// root of a full tile of level n.
type Tile struct {
	Level  int    `db:"level"`
	Index  int64  `db:"index"`  // of the tile in its level, from 0
	Hashes []byte `db:"hashes"` // tlog.HashSize bytes each
}

// Levels is the number of levels of tiles that a tree of MaxSize has.
const Levels = 8

// RightTiles returns the tiles, without their hashes, that are not full in a tree of a size: appending to it begins with them.
func RightTiles(size int64) []Tile {
	var tiles []Tile
	for level, n := 0, size; n > 0; level, n = level+1, n>>TileHeight {
		if n%TileWidth != 0 {
			tiles = append(tiles, Tile{Level: level, Index: n >> TileHeight})
		}
	}
	return tiles
}

// Grow appends leaves to a tree of a size whose tiles that are not full are right, and returns every tile that is new or has grown. A
// batch of n leaves costs about 2n hashes and n/256 tiles, and one tile of each level.
func Grow(size int64, right []Tile, leaves []tlog.Hash) ([]Tile, error) {
	if size < 0 || size > MaxSize-int64(len(leaves)) {
		return nil, fmt.Errorf("grow a tree of size %d by %d: not in 0 to 2^62", size, len(leaves))
	}
	var current [Levels]Tile
	for level, n := 0, size; level < Levels; level, n = level+1, n>>TileHeight {
		current[level] = Tile{Level: level, Index: n >> TileHeight}
		width := int(n % TileWidth)
		if width == 0 {
			continue
		}
		for _, t := range right {
			if t.Level == level && t.Index == current[level].Index {
				current[level].Hashes = append(make([]byte, 0, fullTile), t.Hashes...)
			}
		}
		if have := len(current[level].Hashes); have != width*tlog.HashSize {
			return nil, fmt.Errorf("grow a tree of size %d: tile %d of level %d has %d bytes, want %d",
				size, current[level].Index, level, have, width*tlog.HashSize)
		}
	}
	var changed []Tile
	grown := [Levels]bool{}
	for _, leaf := range leaves {
		hash := leaf
		for level := 0; level < Levels; level++ {
			t := &current[level]
			t.Hashes = append(t.Hashes, hash[:]...)
			grown[level] = true
			if len(t.Hashes) < fullTile {
				break
			}
			changed = append(changed, *t)
			hash = RootOf(t.Hashes)
			*t = Tile{Level: level, Index: t.Index + 1, Hashes: make([]byte, 0, fullTile)}
			grown[level] = false
		}
	}
	for level := range current {
		if grown[level] {
			changed = append(changed, current[level])
		}
	}
	return changed, nil
}

// RootOf is the root of the hashes of a tile.
func RootOf(hashes []byte) tlog.Hash {
	var e Edge
	for ; len(hashes) > 0; hashes = hashes[tlog.HashSize:] {
		e.Append(tlog.Hash(hashes[:tlog.HashSize]))
	}
	return e.Root()
}

// Tiles reads tiles: for each that is named, at least so many hashes as its width. It makes a reader of the hashes of the tree.
type Tiles func(tiles []tlog.Tile) ([][]byte, error)

// ReadHashes implements tlog.HashReader.
func (read Tiles) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	type place struct {
		level int
		index int64
	}
	at := make(map[place]int) // in wanted
	var wanted []tlog.Tile
	for _, index := range indexes {
		t := tlog.TileForIndex(TileHeight, index)
		p := place{t.L, t.N}
		if i, ok := at[p]; ok {
			wanted[i].W = max(wanted[i].W, t.W)
			continue
		}
		at[p] = len(wanted)
		wanted = append(wanted, t)
	}
	data, err := read(wanted)
	if err != nil {
		return nil, err
	}
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		t := tlog.TileForIndex(TileHeight, index)
		d := data[at[place{t.L, t.N}]]
		if len(d) < t.W*tlog.HashSize {
			return nil, fmt.Errorf("tile %s has %d bytes, want %d", t.Path(), len(d), t.W*tlog.HashSize)
		}
		if hashes[i], err = tlog.HashFromTile(t, d[:t.W*tlog.HashSize], index); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}
