package transparency

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"
)

// reference is a tree as golang.org/x/mod keeps one: all hashes, by their index.
type reference []tlog.Hash

func (r *reference) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = (*r)[index]
	}
	return hashes, nil
}

func leafOf(n int64) tlog.Hash {
	return tlog.RecordHash(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// store keeps tiles as the database does.
type store map[string][]byte

func nameOf(level int, index int64) string { return fmt.Sprintf("%d/%d", level, index) }

func (s store) right(size int64) []Tile {
	tiles := RightTiles(size)
	for i := range tiles {
		tiles[i].Hashes = s[nameOf(tiles[i].Level, tiles[i].Index)]
	}
	return tiles
}

func (s store) put(tiles []Tile) {
	for _, tile := range tiles {
		s[nameOf(tile.Level, tile.Index)] = tile.Hashes
	}
}

func (s store) read(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		data[i] = s[nameOf(tile.L, tile.N)]
	}
	return data, nil
}

// Edges, tiles and golang.org/x/mod agree on every root, whatever the batches in which leaves came.
func TestTreeIsTheReferences(t *testing.T) {
	t.Parallel()
	const most = 66_000 // more than 256 tiles, so that there are three levels
	var all reference
	edge, tiles := &Edge{}, store{}
	random := rand.New(rand.NewPCG(1, 2))
	for size := int64(0); size < most; {
		n := min(most-size, []int64{1, 2, 255, 256, 257, 1000, 1 + random.Int64N(3000)}[random.IntN(7)])
		leaves := make([]tlog.Hash, n)
		for i := range leaves {
			leaves[i] = leafOf(size + int64(i))
			hashes, err := tlog.StoredHashesForRecordHash(size+int64(i), leaves[i], &all)
			require.NoError(t, err)
			all = append(all, hashes...)
			edge.Append(leaves[i])
		}
		changed, err := Grow(size, tiles.right(size), leaves)
		require.NoError(t, err)
		require.LessOrEqual(t, int64(len(changed)), n/TileWidth+2*Levels, "a batch writes few tiles")
		tiles.put(changed)
		size += n

		want, err := tlog.TreeHash(size, &all)
		require.NoError(t, err)
		require.Equal(t, want, edge.Root(), "size %d", size)
		got, err := tlog.TreeHash(size, Tiles(tiles.read))
		require.NoError(t, err)
		require.Equal(t, want, got, "size %d", size)
	}
	for _, size := range []int64{0, 1, 2, 3, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, most} {
		want, err := tlog.TreeHash(size, &all)
		require.NoError(t, err)
		edge, err := ReadEdge(size, Tiles(tiles.read))
		require.NoError(t, err)
		require.Equal(t, want, edge.Root(), "edge at %d", size)
		again, err := ParseEdge(edge.Size(), edge.Bytes())
		require.NoError(t, err)
		require.Equal(t, edge, again)
		copied := edge.Clone()
		copied.Append(leafOf(size))
		require.Equal(t, want, edge.Root(), "a copy is a copy")
	}
	for _, index := range []int64{0, 1, 255, 256, 65_535, 65_536, most - 1} {
		proof, err := tlog.ProveRecord(most, index, Tiles(tiles.read))
		require.NoError(t, err)
		require.NoError(t, tlog.CheckRecord(proof, most, edge.Root(), index, leafOf(index)))
	}
}

func TestGrowRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		size  int64
		right []Tile
	}{
		"no right tile":      {1, nil},
		"another tile":       {1, []Tile{{Level: 0, Index: 1, Hashes: make([]byte, 32)}}},
		"too short":          {2, []Tile{{Level: 0, Index: 0, Hashes: make([]byte, 32)}}},
		"too long":           {1, []Tile{{Level: 0, Index: 0, Hashes: make([]byte, 64)}}},
		"no tile above":      {257, []Tile{{Level: 0, Index: 1, Hashes: make([]byte, 32)}}},
		"negative":           {-1, nil},
		"more than can be":   {MaxSize, nil},
		"half a hash":        {1, []Tile{{Level: 0, Index: 0, Hashes: make([]byte, 31)}}},
		"of the wrong level": {1, []Tile{{Level: 1, Index: 0, Hashes: make([]byte, 32)}}},
	} {
		_, err := Grow(test.size, test.right, []tlog.Hash{leafOf(0)})
		require.Error(t, err, name)
	}
	for _, test := range []struct {
		size  int64
		bytes int
	}{{-1, 0}, {0, 32}, {1, 0}, {1, 31}, {2, 64}, {3, 32}, {MaxSize + 1, 32}} {
		_, err := ParseEdge(test.size, make([]byte, test.bytes))
		require.Error(t, err, "%d with %d bytes", test.size, test.bytes)
	}
}
