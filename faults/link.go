package main

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// weather is what happens to pushes all the time, faults or not. Each is a probability.
type weather struct {
	lost       float64 // swallowed
	unanswered float64 // delivered, the answer swallowed
	duplicated float64 // delivered twice
	late       float64 // delivered later, also if the sender has given up by then
}

// latest is how much later than sent a push may come.
const latest = 4 * time.Second

// link is the way of the requests from one deployment to another.
type link struct {
	from, to string

	mu      sync.Mutex
	rng     *rand.Rand
	weather weather
	faults  map[int]fault
	changed chan struct{} // closed and replaced when a fault begins or ends
	counts  map[string]int
}

func newLink(from, to string, seed uint64, w weather) *link {
	l := &link{from: from, to: to, weather: w, faults: make(map[int]fault), changed: make(chan struct{}), counts: make(map[string]int)}
	stream := uint64(0)
	for _, b := range []byte(way(from, to)) {
		stream = stream*31 + uint64(b)
	}
	l.rng = rand.New(rand.NewPCG(seed, stream))
	return l
}

func (l *link) begin(f fault) { l.change(func() { l.faults[f.number] = f }) }
func (l *link) end(f fault)   { l.change(func() { delete(l.faults, f.number) }) }

// heal ends whatever there is, the weather too.
func (l *link) heal() { l.change(func() { clear(l.faults); l.weather = weather{} }) }

func (l *link) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.changed)
	l.changed = make(chan struct{})
}

// kind is the fault that requests meet now, empty if there is none, and a channel that is closed when this changes. Of several at a time
// the one that lets least through counts.
func (l *link) kind() (kind, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range ofNetwork { // from the worst on
		for _, f := range l.faults {
			if f.kind == k {
				return k, l.changed
			}
		}
	}
	return "", l.changed
}

// severed reports whether nothing goes through.
func severed(k kind) bool { return slices.Contains([]kind{partition, refusal, blackhole}, k) }

// fate is what happens to one push that gets through at all.
type fate struct {
	lost, unanswered, duplicated bool
	delay                        time.Duration
}

func (l *link) fate() fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	chance := func(p float64) bool { return l.rng.Float64() < p }
	f := fate{lost: chance(l.weather.lost), unanswered: chance(l.weather.unanswered), duplicated: chance(l.weather.duplicated)}
	if late := below(l.rng, latest); chance(l.weather.late) {
		f.delay = late
	}
	return f
}

// count counts what has happened to requests.
func (l *link) count(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[what]++
}

func (l *link) counted() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := make(map[string]int, len(l.counts))
	for what, n := range l.counts {
		counts[what] = n
	}
	return counts
}
