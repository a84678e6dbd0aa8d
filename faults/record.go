package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"olympus/internal/protocol"
)

// record is all that is known of one release.
type record struct {
	release
	exists bool // upstream has it
	files  expected

	asked  map[string]bool      // deployments that were asked to fill it
	served map[string]time.Time // deployments that have answered with any file of it, and when first
	held   map[string]time.Time // deployments that have answered with its zip, and when first
	denied map[string]time.Time // deployments that have answered 403, and when first

	deletes, deprecates change
}

// history is what was done to a release, as a remark.
func (r *record) history() string {
	s := ""
	for _, deployment := range slices.Sorted(maps.Keys(r.asked)) {
		s += fmt.Sprintf(" (%s was asked for it", deployment)
		if t, ok := r.held[deployment]; ok {
			s += ", and gave its zip at " + t.Format(clock)
		}
		s += ")"
	}
	for _, kind := range []protocol.Kind{protocol.KindDelete, protocol.KindDeprecate} {
		if c := r.change(kind); c.wanted() {
			s += fmt.Sprintf(" (%s asked of %v, first at %s", kind, slices.Sorted(maps.Keys(c.asked)), c.firstAsked.Format(clock))
			for deployment, t := range c.acknowledged {
				s += fmt.Sprintf(", acknowledged by %s at %s", deployment, t.Format(clock))
			}
			s += ")"
		}
	}
	return s
}

// change is what an administrator has asked for.
type change struct {
	asked        map[string]bool
	acknowledged map[string]time.Time
	firstAsked   time.Time
}

func (c *change) wanted() bool { return len(c.asked) > 0 }

func newRecord(r release) *record {
	return &record{
		release: r, asked: make(map[string]bool), served: make(map[string]time.Time), held: make(map[string]time.Time), denied: make(map[string]time.Time),
		deletes:    change{asked: make(map[string]bool), acknowledged: make(map[string]time.Time)},
		deprecates: change{asked: make(map[string]bool), acknowledged: make(map[string]time.Time)},
	}
}

// first keeps the first time of something.
func first(times map[string]time.Time, deployment string, t time.Time) {
	if times[deployment].IsZero() {
		times[deployment] = t
	}
}

// before is true if something had happened before t.
func before(times map[string]time.Time, deployment string, t time.Time) bool {
	return !times[deployment].IsZero() && times[deployment].Before(t)
}

func (r *record) change(kind protocol.Kind) *change {
	if kind == protocol.KindDelete {
		return &r.deletes
	}
	return &r.deprecates
}
