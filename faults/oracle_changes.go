package main

import (
	"maps"
	"slices"
	"time"

	"olympus/internal/protocol"
)

// willChange is called before an administrator asks a deployment to delete or deprecate a release.
func (o *oracle) willChange(deployment string, kind protocol.Kind, r release) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.of(r).change(kind)
	c.asked[deployment] = true
	if c.firstAsked.IsZero() {
		c.firstAsked = time.Now()
	}
}

// hasChanged is called when that was acknowledged.
func (o *oracle) hasChanged(deployment string, kind protocol.Kind, r release) {
	o.mu.Lock()
	defer o.mu.Unlock()
	first(o.of(r).change(kind).acknowledged, deployment, time.Now())
	o.events[string(kind)]++
}

// tally counts an outcome that is not one of the download protocol.
func (o *oracle) tally(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.outcomes[what]++
}

// all returns what is known now of every release that exists, in order.
func (o *oracle) all() []*record {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []*record
	for _, r := range slices.SortedFunc(maps.Keys(o.releases), compareReleases) {
		if rec := *o.releases[r]; rec.exists {
			rec.asked, rec.served = maps.Clone(rec.asked), maps.Clone(rec.served)
			rec.deletes = change{asked: maps.Clone(rec.deletes.asked), acknowledged: maps.Clone(rec.deletes.acknowledged)}
			all = append(all, &rec)
		}
	}
	return all
}
