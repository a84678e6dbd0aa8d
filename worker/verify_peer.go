package worker

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"olympus/internal/transparency"
	"olympus/models"
)

// VerifiedPeer is what VerifyPeer found.
type VerifiedPeer struct {
	Name     string    `json:"name"`
	Epoch    int64     `json:"epoch"`
	Events   int64     `json:"events"`
	Problems []Problem `json:"problems"`
}

// VerifyPeer reads the whole log of a peer as any third party can: its checkpoint, the entries and the tiles. It reports entries that are
// not those of the tiles, and a tree that is not the one that the peer signs, or has signed before.
func (d *Deployment) VerifyPeer(ctx context.Context, name string) (*VerifiedPeer, error) {
	p, err := models.FindPeer(d.db(ctx), name)
	if err != nil {
		return nil, err
	}
	if p.State == models.PeerPending {
		return nil, errPending(name) // nobody goes to its address before it is approved
	}
	note, err := d.Peers.Checkpoint(ctx, target(p))
	if err != nil {
		return nil, err
	}
	c, err := openCheckpoint(p, note)
	if err != nil {
		return nil, err
	}
	result := &VerifiedPeer{Name: name, Epoch: c.Epoch, Events: c.Size, Problems: []Problem{}}
	problem := func(format string, args ...any) {
		result.Problems = append(result.Problems, Problem{What: fmt.Sprintf(format, args...)})
	}
	var remembered *transparency.Checkpoint
	if p.Checkpoint != "" {
		if remembered, err = rememberedCheckpoint(p); err != nil {
			return nil, err
		}
	}
	if remembered != nil && !c.Extends(remembered) {
		problem("it signs %d events of epoch %d, and had signed %d of epoch %d", c.Size, c.Epoch, remembered.Size, remembered.Epoch)
	}
	edge := &transparency.Edge{}
	compare := func() {
		if remembered != nil && remembered.Epoch == c.Epoch && edge.Size() == remembered.Size && edge.Root() != remembered.Root {
			problem("its first %d events are not those that it had signed", remembered.Size)
		}
	}
	compare()
	for index := int64(0); index*transparency.TileWidth < c.Size; index++ {
		tile := tlog.Tile{
			H: transparency.TileHeight, N: index, W: int(min(c.Size-index*transparency.TileWidth, transparency.TileWidth)),
		}
		hashes, err := d.Peers.Tiles(ctx, target(p))([]tlog.Tile{tile})
		if err != nil {
			return nil, err
		}
		records, err := d.Peers.Entries(ctx, target(p), index, tile.W)
		if err != nil {
			return nil, err
		}
		for i, record := range records {
			leaf := tlog.RecordHash(record)
			if leaf != tlog.Hash(hashes[0][i*tlog.HashSize:(i+1)*tlog.HashSize]) {
				problem("position %d: the entry is not the one that its tree holds", index*transparency.TileWidth+int64(i)+1)
			}
			edge.Append(leaf)
			compare()
		}
	}
	if edge.Root() != c.Root {
		problem("its %d events have the root %s, and it signs %s", c.Size, edge.Root(), c.Root)
	}
	if len(result.Problems) > 0 {
		return result, errors.New("the log of " + name + " is not what it signs")
	}
	return result, nil
}
