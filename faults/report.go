package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// report prints what was done and what came of it.
func (s *suite) report() {
	passed := make(map[string]int)
	for _, d := range s.deployments {
		for _, l := range d.proxy.links {
			for what, n := range l.counted() {
				passed[what] += n
			}
		}
	}
	w := s.out
	counts(w, "faults injected", s.faults)
	counts(w, "requests between deployments", passed)
	counts(w, "requests of clients and administrators", s.oracle.outcomes)
	s.upstream.mu.Lock()
	_, _ = fmt.Fprintf(w, "upstream: %d versions, %d requests disturbed\n", len(s.upstream.published), s.upstream.broken)
	s.upstream.mu.Unlock()
	for _, d := range s.deployments {
		_, _ = fmt.Fprintf(w, "%s: %d events; log:verify: %s\n", d.label, s.events[d.label], s.verified[d.label])
	}
	_, _ = fmt.Fprintf(w, "jobs tried again: %d; files of killed processes that wait to be collected: %d\n", s.retries, s.leftovers)
	_, _ = fmt.Fprintf(w, "most memory of a process: %d MiB\n", s.memory>>20)
	_, _ = fmt.Fprintf(w, "recoveries measured: %d\n", s.recoveries.count)
	for _, what := range slices.Sorted(maps.Keys(s.recoveries.longest)) {
		m := s.recoveries.longest[what]
		_, _ = fmt.Fprintf(w, "longest recovery until a %s: %s, after %s\n", what, m.took.Round(10*time.Millisecond), m.after)
	}
	_, _ = fmt.Fprintf(w, "settled after %s; %s in all\n", s.settled.Round(100*time.Millisecond), time.Since(s.began).Round(time.Second))
	_, _ = fmt.Fprintf(w, "violations: %d (seed %d)\n", len(s.oracle.violations), s.seed)
	for _, v := range s.oracle.violations {
		_, _ = fmt.Fprintln(w, "  "+v)
	}
}

// counts prints a table of counts in one line: their sum, and the kinds in order.
func counts[K cmp.Ordered](w io.Writer, what string, table map[K]int) {
	sum := 0
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(table)) {
		sum += table[k]
		parts = append(parts, fmt.Sprintf("%v %d", k, table[k]))
	}
	_, _ = fmt.Fprintf(w, "%s: %d (%s)\n", what, sum, strings.Join(parts, ", "))
}
