package federation

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gobuffalo/pop/v6"

	"olympus/internal/protocol"
	"olympus/models"
)

// fact is what makes an event the same event, whoever sends it.
type fact struct {
	kind                     protocol.Kind
	module, version, zipHash string
}

func factOf(e *protocol.Event) fact { return fact{e.Kind, e.Module, e.Version, e.ZipHash} }

func (f fact) String() string {
	return fmt.Sprintf("%s %s@%s %s", f.kind, f.module, f.version, f.zipHash)
}

// row is what the row of a version says that follows from the log, beside what it is pinned to.
type row struct {
	Module     string `db:"module"`
	Version    string `db:"version"`
	Add        int64  `db:"add_position"`
	Deprecated bool   `db:"deprecated"`
	Deleted    bool   `db:"deleted"`
	Conflict   bool   `db:"conflict"`
	Due        bool   `db:"due"`
	Pinned     bool   `db:"pinned"`
}

// snapshot is what a database holds at one moment.
type snapshot struct {
	head, treeSize int64
	events         []protocol.Logged
	rows           []row
	pointers       map[string]int64 // by peer
	states         map[string]string
}

// look takes a snapshot.
func look(db *pop.Connection) (*snapshot, error) {
	s := &snapshot{pointers: make(map[string]int64), states: make(map[string]string)}
	return s, db.Transaction(func(tx *pop.Connection) error {
		if err := tx.RawQuery("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").Exec(); err != nil {
			return err
		}
		tree, err := models.ReadTree(tx)
		if err != nil {
			return err
		}
		s.head, s.treeSize = tree.Head, tree.Size
		if s.events, err = models.Events(tx, 0, 100_000, 1<<40); err != nil {
			return err
		}
		peers, err := models.Peers(tx)
		if err != nil {
			return err
		}
		for _, p := range peers {
			s.pointers[p.Name], s.states[p.Name] = p.PullPosition, p.State
		}
		return tx.RawQuery(`
			SELECT module, version, coalesce(add_position, 0) AS add_position, deprecated, deleted, conflict, fetch_due_at IS NOT NULL AS due, pinned
			FROM versions ORDER BY module, version`).All(&s.rows)
	})
}

// facts are the events of a log as a set.
func facts(events []protocol.Logged) map[fact]bool {
	set := make(map[fact]bool, len(events))
	for i := range events {
		set[factOf(&events[i].Event)] = true
	}
	return set
}

// lacking returns an event that a set lacks, nil if it has them all.
func lacking(set map[fact]bool, events []protocol.Logged) *fact {
	for i := range events {
		if f := factOf(&events[i].Event); !set[f] {
			return &f
		}
	}
	return nil
}

// follows is what a log means: the rows of the versions that nobody has asked for yet. Nothing in it depends on the order of the events.
func follows(events []protocol.Logged) map[[2]string]row {
	adds := make(map[[2]string][]protocol.Logged)
	rows := make(map[[2]string]row)
	for _, e := range events {
		key := [2]string{e.Module, e.Version}
		r := rows[key]
		r.Module, r.Version = e.Module, e.Version
		switch e.Kind {
		case protocol.KindAdd:
			adds[key] = append(adds[key], e)
		case protocol.KindDeprecate:
			r.Deprecated = true
		case protocol.KindDelete:
			r.Deleted = true
		}
		rows[key] = r
	}
	for key, of := range adds {
		first := slices.MinFunc(of, func(a, b protocol.Logged) int {
			return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ZipHash, b.ZipHash))
		})
		r := rows[key]
		r.Add, r.Conflict, r.Due = first.Position, len(of) > 1 && !r.Deleted, !r.Deleted
		rows[key] = r
	}
	return rows
}

// check looks for what can be wrong with a snapshot by itself.
func (s *snapshot) check() error {
	if s.head != int64(len(s.events)) || s.treeSize != s.head {
		return fmt.Errorf("the head is %d and the tree holds %d of %d events", s.head, s.treeSize, len(s.events))
	}
	seen := make(map[fact]bool)
	for i := range s.events {
		e := &s.events[i]
		if e.Position != int64(i+1) {
			return fmt.Errorf("position %d where %d belongs", e.Position, i+1)
		}
		if seen[factOf(&e.Event)] {
			return fmt.Errorf("position %d repeats %s", e.Position, factOf(&e.Event))
		}
		seen[factOf(&e.Event)] = true
	}
	want := follows(s.events)
	for _, got := range s.rows {
		key := [2]string{got.Module, got.Version}
		r, ok := want[key]
		if !ok {
			return fmt.Errorf("no event speaks of row %+v", got)
		}
		delete(want, key)
		if got.Pinned { // to any of its adds
			if got.Add < 1 || got.Add > s.head {
				return fmt.Errorf("row %+v is pinned to nothing", got)
			}
			e := s.events[got.Add-1]
			if e.Kind != protocol.KindAdd || e.Module != got.Module || e.Version != got.Version {
				return fmt.Errorf("row %+v is pinned to %s", got, factOf(&e.Event))
			}
			r.Add, r.Pinned = got.Add, true
		}
		if got != r {
			return fmt.Errorf("row %+v does not follow from the log, which says %+v", got, r)
		}
	}
	for _, r := range want {
		return fmt.Errorf("row %+v is missing", r)
	}
	return nil
}
