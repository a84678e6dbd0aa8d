package models

import (
	"fmt"
	"time"

	"github.com/gobuffalo/pop/v6"

	"olympus/internal/protocol"
)

// Merged is what a merge did.
type Merged struct {
	// Head is the position of the last event after the merge.
	Head int64
	// Appended are the events that were new, with their positions in this log, in order.
	Appended []protocol.Logged
	// Taken are their places among the events that were given.
	Taken []int
	// Deleted are the versions that they speak of and that are deleted now, whichever of them came first.
	Deleted []ModuleAtVersion
}

// Merge is the one way into the event log, for own fills, administrators' changes, pushes, pulls and replays alike. It locks
// the head, leaves out what the log already holds, appends the rest in the order given and brings the version rows up to
// date, so that each is the same function of the set of its events whatever the order they came in.
//
// The caller's transaction holds the head from here to its end: it must not wait for the network or a disk in between. Events
// must have been validated.
func Merge(tx *pop.Connection, events []protocol.Event) (*Merged, error) {
	end, err := lockHead(tx)
	if err != nil {
		return nil, err
	}
	logged, err := loggedAlready(tx, events)
	if err != nil {
		return nil, err
	}
	merged := &Merged{Head: end.Head}
	seen := make(map[identity]bool, len(events))
	for i := range events {
		id := identify(&events[i])
		if seen[id] || logged.events[id] {
			continue
		}
		seen[id] = true
		merged.Head++
		merged.Appended = append(merged.Appended, protocol.Logged{Position: merged.Head, Event: events[i]})
		merged.Taken = append(merged.Taken, i)
	}
	if len(merged.Appended) == 0 {
		return merged, nil
	}
	if err := appendEvents(tx, merged.Appended, end.Next); err != nil {
		return nil, err
	}
	if err := growTree(tx, end, merged.Appended); err != nil {
		return nil, err
	}
	merged.Deleted, err = updateVersions(tx, merged.Appended, logged.versions)
	return merged, err
}

// identity is what makes an event the same event, whoever sends it.
type identity struct {
	kind                     protocol.Kind
	module, version, zipHash string
}

func identify(e *protocol.Event) identity { return identity{e.Kind, e.Module, e.Version, e.ZipHash} }

type moduleVersion struct{ module, version string }

// known is what the log holds of the versions in a batch.
type known struct {
	events   map[identity]bool
	versions map[moduleVersion]bool
}

// loggedAlready returns what the log holds of the versions that the events speak of. It looks at logged events, never at the
// present state of a version: an echo of an add must not bring a deleted version back. The head is locked, so what it finds
// stays true.
func loggedAlready(tx *pop.Connection, events []protocol.Event) (*known, error) {
	n := len(events)
	modules, versions := make([]string, n), make([]string, n)
	for i := range events {
		modules[i], versions[i] = events[i].Module, events[i].Version
	}
	var rows []struct {
		Index   int           `db:"index"`
		Kind    protocol.Kind `db:"kind"`
		ZipHash string        `db:"zip_hash"`
	}
	err := all(tx, &rows, "look for events already logged", `
		SELECT batch.index::int AS index, e.kind, e.zip_hash
		FROM unnest(?::text[], ?::text[]) WITH ORDINALITY AS batch (module, version, index),
			LATERAL (
				SELECT kind, zip_hash FROM events
				WHERE events.module = batch.module AND events.version = batch.version OFFSET 0 -- a look-up each, never a scan of the log
			) e`, modules, versions)
	if err != nil {
		return nil, err
	}
	k := &known{events: make(map[identity]bool, len(rows)), versions: make(map[moduleVersion]bool, len(rows))}
	for _, r := range rows {
		e := &events[r.Index-1]
		k.events[identity{r.Kind, e.Module, e.Version, r.ZipHash}] = true
		k.versions[moduleVersion{e.Module, e.Version}] = true
	}
	return k, nil
}

// appendEvents inserts rows whose positions follow the locked head; the trigger on events moves the head and refuses anything that
// does not follow it. They are logged at the given time and a microsecond after each other.
func appendEvents(tx *pop.Connection, events []protocol.Logged, at time.Time) error {
	n := len(events)
	strs := func(of func(*protocol.Logged) string) []string {
		column := make([]string, n)
		for i := range events {
			column[i] = of(&events[i])
		}
		return column
	}
	positions, sizes, times, logged := make([]int64, n), make([]int64, n), make([]time.Time, n), make([]time.Time, n)
	for i := range events {
		positions[i], sizes[i], times[i] = events[i].Position, events[i].ZipSize, events[i].Time.UTC()
		logged[i] = at.Add(time.Duration(i) * time.Microsecond)
	}
	_, err := exec(tx, fmt.Sprintf("append events %d to %d", positions[0], positions[n-1]), `
		INSERT INTO events (`+eventColumns+`, logged_at)
		SELECT `+eventColumns+`, logged_at
		FROM unnest(?::bigint[], ?::text[], ?::text[], ?::text[], ?::text[], ?::timestamptz[], ?::text[], ?::text[], ?::bigint[], ?::text[],
			?::text[], ?::text[], ?::text[], ?::timestamptz[]) AS batch (`+eventColumns+`, logged_at)`,
		positions,
		strs(func(e *protocol.Logged) string { return string(e.Kind) }),
		strs(func(e *protocol.Logged) string { return e.Module }),
		strs(func(e *protocol.Logged) string { return e.Version }),
		strs(func(e *protocol.Logged) string { return e.Origin }),
		times,
		strs(func(e *protocol.Logged) string { return e.ZipHash }),
		strs(func(e *protocol.Logged) string { return e.ZipSHA256 }),
		sizes,
		strs(func(e *protocol.Logged) string { return e.ModHash }),
		strs(func(e *protocol.Logged) string { return e.Info }),
		strs(func(e *protocol.Logged) string { return e.Mod }),
		strs(func(e *protocol.Logged) string { return e.Reason }),
		logged)
	return err
}

// stateOfEvents are the columns of versions that follow from the set of events of one version. The add to serve is the one
// with the earliest time, ties broken by the smaller zip hash; a tombstone ends a conflict.
const stateOfEvents = `
	(array_agg(position ORDER BY time, zip_hash COLLATE "C") FILTER (WHERE kind = 'add'))[1] AS add_position,
	bool_or(kind = 'deprecate') AS deprecated,
	bool_or(kind = 'delete') AS deleted,
	count(*) FILTER (WHERE kind = 'add') > 1 AND NOT bool_or(kind = 'delete') AS conflict`

// applyState writes rows of (module, version, stateOfEvents) over versions. What is pinned keeps the add that it has been
// serving; the rest of the row is as the events say. A version that has something to fetch becomes due at once.
const applyState = `
	INSERT INTO versions AS v (module, version, add_position, deprecated, deleted, conflict, fetch_due_at)
	SELECT module, version, add_position, deprecated, deleted, conflict,
		CASE WHEN add_position IS NOT NULL AND NOT deleted THEN now() END
	FROM state
	ON CONFLICT (module, version) DO UPDATE SET
		add_position = CASE WHEN v.pinned THEN v.add_position ELSE excluded.add_position END,
		deprecated = excluded.deprecated,
		deleted = excluded.deleted,
		conflict = excluded.conflict,
		fetch_due_at = CASE
			WHEN v.held OR excluded.deleted THEN NULL
			WHEN v.pinned OR v.add_position = excluded.add_position THEN coalesce(v.fetch_due_at, excluded.fetch_due_at)
			ELSE excluded.fetch_due_at
		END`

// updateVersions brings the rows of the versions that the appended events speak of up to date. before are the versions of which
// the log held something already. One whose only event is an add needs no looking at other events: that is nearly every
// version of a first pull, and its state is plain. It returns those that are deleted now.
func updateVersions(tx *pop.Connection, appended []protocol.Logged, before map[moduleVersion]bool) (deleted []ModuleAtVersion, err error) {
	count := make(map[moduleVersion]int, len(appended))
	for i := range appended {
		count[moduleVersion{appended[i].Module, appended[i].Version}]++
	}
	var firstModules, firstVersions, modules, versions []string
	var firstPositions []int64
	for i := range appended {
		e := &appended[i]
		mv := moduleVersion{e.Module, e.Version}
		if count[mv] == 1 && !before[mv] && e.Kind == protocol.KindAdd {
			firstModules, firstVersions, firstPositions = append(firstModules, e.Module), append(firstVersions, e.Version), append(firstPositions, e.Position)
		} else if count[mv] > 0 {
			modules, versions = append(modules, mv.module), append(versions, mv.version)
			count[mv] = 0 // recomputed once, whatever the number of its events
		}
	}
	if len(firstModules) > 0 {
		_, err := exec(tx, "insert versions", `
			INSERT INTO versions (module, version, add_position, deprecated, deleted, conflict, fetch_due_at)
			SELECT module, version, add_position, false, false, false, now()
			FROM unnest(?::text[], ?::text[], ?::bigint[]) AS batch (module, version, add_position)`,
			firstModules, firstVersions, firstPositions)
		if err != nil {
			return nil, err
		}
	}
	if len(modules) == 0 {
		return nil, nil
	}
	var updated []struct {
		ModuleAtVersion
		Deleted bool `db:"deleted"`
	}
	err = all(tx, &updated, "update versions", `
		WITH state AS (
			SELECT batch.module, batch.version, s.*
			FROM unnest(?::text[], ?::text[]) AS batch (module, version),
				LATERAL (SELECT `+stateOfEvents+` FROM events e WHERE e.module = batch.module AND e.version = batch.version) s
		)`+applyState+`
		RETURNING v.module, v.version, v.deleted`, modules, versions)
	for _, v := range updated {
		if v.Deleted {
			deleted = append(deleted, v.ModuleAtVersion)
		}
	}
	return deleted, err
}
