package main

import (
	"sync"
	"time"
)

// calendar knows what is disturbed, and until when it was. Subjects are deployments (their processes and database), ways from one to
// another, and upstream as one deployment sees it.
type calendar struct {
	mu     sync.Mutex
	active map[string]int
	ended  map[string]time.Time
}

func newCalendar() *calendar {
	return &calendar{active: make(map[string]int), ended: make(map[string]time.Time)}
}

func (c *calendar) begin(subjects ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range subjects {
		c.active[s]++
	}
}

func (c *calendar) end(subjects ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range subjects {
		c.active[s]--
		c.ended[s] = time.Now()
	}
}

// undisturbedSince returns since when none of the subjects has been disturbed, and false if one is now.
func (c *calendar) undisturbedSince(subjects ...string) (since time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range subjects {
		if c.active[s] > 0 {
			return time.Time{}, false
		}
		if c.ended[s].After(since) {
			since = c.ended[s]
		}
	}
	return since, true
}
