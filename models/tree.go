package models

import (
	"fmt"
	"time"

	"github.com/gobuffalo/pop/v6"
	"golang.org/x/mod/sumdb/tlog"

	"olympus/internal/protocol"
	"olympus/internal/transparency"
)

// growBatch is how many events are read at once when the tree has to catch up with the log.
const growBatch = 1000

// growTree appends the leaves of newly appended events to the tree. The caller's transaction holds the head, which stood at end before
// it appended. Events that the tree does not hold yet, because a release that knew no tree appended them, come first.
func growTree(tx *pop.Connection, end locked, appended []protocol.Logged) error {
	size := end.TreeSize
	for size < end.Head {
		events, err := LeafEvents(tx, size, int(min(growBatch, end.Head-size)))
		if err != nil {
			return err
		}
		if len(events) == 0 {
			return fmt.Errorf("grow the tree: there is no event after %d of %d", size, end.Head)
		}
		if err := growBy(tx, size, events); err != nil {
			return err
		}
		size += int64(len(events))
	}
	if len(appended) == 0 {
		return nil
	}
	return growBy(tx, size, appended)
}

func growBy(tx *pop.Connection, size int64, events []protocol.Logged) error {
	leaves := make([]tlog.Hash, len(events))
	for i := range events {
		leaves[i] = transparency.Leaf(&events[i].Event)
	}
	right := transparency.RightTiles(size)
	if len(right) > 0 {
		hashes, err := readTiles(tx, right)
		if err != nil {
			return err
		}
		for i := range right {
			right[i].Hashes = hashes[i]
		}
	}
	changed, err := transparency.Grow(size, right, leaves)
	if err != nil {
		return err
	}
	levels, indexes, hashes := make([]int, len(changed)), make([]int64, len(changed)), make([][]byte, len(changed))
	for i, t := range changed {
		levels[i], indexes[i], hashes[i] = t.Level, t.Index, t.Hashes
	}
	_, err = exec(tx, fmt.Sprintf("grow the tree to %d", size+int64(len(events))), `
		WITH written AS (
			INSERT INTO tiles (level, index, hashes)
			SELECT level, index, hashes FROM unnest(?::smallint[], ?::bigint[], ?::bytea[]) AS batch (level, index, hashes)
			ON CONFLICT (level, index) DO UPDATE SET hashes = excluded.hashes
		)
		UPDATE event_log SET tree_size = ?`, levels, indexes, hashes, size+int64(len(events)))
	return err
}

// readTiles returns the hashes of tiles, in their order; nil for one that is not there.
func readTiles(tx *pop.Connection, tiles []transparency.Tile) ([][]byte, error) {
	levels, indexes := make([]int, len(tiles)), make([]int64, len(tiles))
	for i, t := range tiles {
		levels[i], indexes[i] = t.Level, t.Index
	}
	var rows []struct {
		Number int    `db:"number"`
		Hashes []byte `db:"hashes"`
	}
	err := all(tx, &rows, "read tiles", `
		SELECT wanted.number::int AS number, tiles.hashes
		FROM unnest(?::smallint[], ?::bigint[]) WITH ORDINALITY AS wanted (level, index, number)
		JOIN tiles USING (level, index)`, levels, indexes)
	if err != nil {
		return nil, err
	}
	hashes := make([][]byte, len(tiles))
	for _, r := range rows {
		hashes[r.Number-1] = r.Hashes
	}
	return hashes, nil
}

// Tiles reads the tiles of the tree. Each comes with all hashes that it has, which may be more than were asked for.
func Tiles(tx *pop.Connection) transparency.Tiles {
	return func(tiles []tlog.Tile) ([][]byte, error) {
		rows := make([]transparency.Tile, len(tiles))
		for i, t := range tiles {
			rows[i] = transparency.Tile{Level: t.L, Index: t.N}
		}
		return readTiles(tx, rows)
	}
}

// CountTiles returns the number of tiles of all levels.
func CountTiles(tx *pop.Connection) (int64, error) {
	var row struct {
		Count int64 `db:"count"`
	}
	err := one(tx, &row, "count tiles", `SELECT count(*) AS count FROM tiles`)
	return row.Count, err
}

// Tree is what is to be signed: how far the tree has grown, in which epoch.
type Tree struct {
	Head      int64  `db:"head"`
	Size      int64  `db:"tree_size"` // behind Head only until GrowTree
	Epoch     int64  `db:"epoch"`
	AfterSize *int64 `db:"after_size"` // nil in epoch 1
	AfterRoot []byte `db:"after_root"`
	// LoggedAt is when the last event was logged here.
	LoggedAt time.Time `db:"logged_at"`
}

// ReadTree returns the present state of the tree.
func ReadTree(tx *pop.Connection) (*Tree, error) {
	var t Tree
	err := one(tx, &t, "read the tree", `SELECT head, tree_size, epoch, after_size, after_root, logged_at FROM event_log`)
	return &t, err
}

// GrowTree makes the tree catch up with a log that an earlier release has appended to, a batch of events at a time, each in a transaction
// of its own. It does nothing when the tree holds all events.
func GrowTree(db *pop.Connection) error {
	for {
		done := false
		err := db.Transaction(func(tx *pop.Connection) error {
			tree, err := ReadTree(tx)
			if err != nil || tree.Size == tree.Head {
				done = err == nil
				return err
			}
			end, err := lockHead(tx)
			if err != nil {
				return err
			}
			end.Head = min(end.Head, end.TreeSize+growBatch)
			return growTree(tx, end, nil)
		})
		if err != nil || done {
			return err
		}
	}
}

// BeginEpoch ends the present epoch of the log, if it still is the given one, and begins a later one after what was signed last.
func BeginEpoch(tx *pop.Connection, present, next, afterSize int64, afterRoot tlog.Hash) (bool, error) {
	n, err := exec(tx, fmt.Sprintf("begin epoch %d", next),
		`UPDATE event_log SET epoch = ?, after_size = ?, after_root = ? WHERE epoch = ?`, next, afterSize, afterRoot[:], present)
	return n == 1, err
}
