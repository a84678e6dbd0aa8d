package main

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"time"
)

// inject does what the plan says, when it says so, and returns when all of it is over: at the latest when ctx has ended and what was
// begun has been put right.
func (s *suite) inject(ctx context.Context, plan []fault) {
	began := time.Now()
	var all sync.WaitGroup
	defer all.Wait()
	for _, f := range plan {
		if !pause(ctx, time.Until(began.Add(f.at))) {
			return
		}
		all.Go(func() { s.commit(ctx, f) })
	}
}

// commit lets one fault happen from its beginning to its end, and then sees how long it takes until all is well again.
func (s *suite) commit(ctx context.Context, f fault) {
	s.say("%s", f)
	subjects := f.subjects()
	switch {
	case slices.Contains(ofNetwork, f.kind):
		links := s.linksOf(f)
		s.calendar.begin(subjects...)
		for _, l := range links {
			l.begin(f)
		}
		pause(ctx, f.lasts)
		for _, l := range links {
			l.end(f)
		}
		s.calendar.end(subjects...)
	case slices.Contains(ofUpstream, f.kind):
		s.calendar.begin(subjects...)
		s.upstream.begin(f)
		pause(ctx, f.lasts)
		s.upstream.end(f)
		s.calendar.end(subjects...)
	default:
		d := s.labelled(f.deployment)
		d.processes.Lock()
		s.calendar.begin(subjects...)
		s.disturb(ctx, d, f)
		s.calendar.end(subjects...)
		d.processes.Unlock()
	}
	s.injected(f.kind)
	s.say("%s is over", f)
	s.awaitRecovery(f)
}

func (s *suite) linksOf(f fault) []*link {
	links := []*link{s.labelled(f.to).proxy.links[nameOf(f.from)]}
	if f.bothWays {
		links = append(links, s.labelled(f.from).proxy.links[nameOf(f.to)])
	}
	return links
}

// disturb does something to the processes or the database of a deployment, and puts it right. If ctx ends it does so at once.
func (s *suite) disturb(ctx context.Context, d *deployment, f fault) {
	one := d.slots[f.slot%len(d.slots)]
	always := s.ctx // which outlives the chaos
	var err error
	switch f.kind {
	case killProcess:
		one.kill()
		d.hurtNow()
		pause(ctx, f.lasts)
		err = one.start(always)
	case freeze:
		one.signal(syscall.SIGSTOP, false)
		pause(ctx, f.lasts)
		one.signal(syscall.SIGCONT, false)
	case rolling:
		for _, slot := range d.slots {
			slot.terminate()
			if err = slot.start(always); err != nil {
				break
			}
		}
	case killPostgres:
		d.cluster.kill()
		pause(ctx, f.lasts)
		err = d.cluster.start(always)
	case slowPostgres:
		d.cluster.signal(syscall.SIGSTOP)
		pause(ctx, f.lasts)
		d.cluster.signal(syscall.SIGCONT)
	case crash:
		var all sync.WaitGroup
		for _, slot := range d.slots {
			all.Go(slot.kill)
		}
		all.Go(d.cluster.kill)
		all.Wait()
		d.hurtNow()
		pause(ctx, f.lasts)
		if err = d.cluster.start(always); err == nil {
			err = d.startSlots(always, d.slots)
		}
	}
	if err != nil && s.ctx.Err() == nil {
		s.oracle.violate("after %s: %v", f, err)
	}
}
