package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"olympus/internal/download"
)

// recoverWithin is how long a deployment may take to work again once nothing disturbs it any more.
const recoverWithin = time.Minute

// recoveries are the measurements of how long it takes until all is well again after a fault.
type recoveries struct {
	wg sync.WaitGroup

	mu      sync.Mutex
	longest map[string]measured // by what had to recover
	count   int
}

type measured struct {
	took  time.Duration
	after fault
}

// watch measures beside what goes on.
func (r *recoveries) watch(measure func()) { r.wg.Go(measure) }

func (r *recoveries) record(what string, after fault, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	if r.longest == nil {
		r.longest = make(map[string]measured)
	}
	if took > r.longest[what].took {
		r.longest[what] = measured{took, after}
	}
}

// awaitRecovery waits until what a fault has disturbed works again. The time counts from when nothing disturbed it any more: other faults
// may have come on top.
func (s *suite) awaitRecovery(f fault) {
	ctx := s.ctx
	var ways [][2]string // of pulls that have to go on
	switch {
	case f.bothWays:
		ways = [][2]string{{f.from, f.to}, {f.to, f.from}}
	case f.from != "":
		ways = [][2]string{{f.from, f.to}}
	default:
		s.recoveries.watch(func() {
			subjects := append(work(f.deployment), upstreamOf(f.deployment))
			s.await(ctx, f, "fill", subjects, func(ctx context.Context) error { return s.probe(ctx, f.deployment) })
		})
		for _, other := range labels {
			if other != f.deployment && slices.Contains(ofProcesses, f.kind) {
				ways = append(ways, [2]string{f.deployment, other}, [2]string{other, f.deployment})
			}
		}
	}
	for _, w := range ways {
		s.recoveries.watch(func() { s.awaitPull(ctx, f, w[0], w[1]) })
	}
}

// awaitPull waits until a deployment has taken what is in the log of another now.
func (s *suite) awaitPull(ctx context.Context, f fault, from, to string) {
	puller, pulled := s.labelled(from), s.labelled(to)
	head := int64(-1)
	subjects := append(slices.Concat(work(from), work(to)), way(from, to))
	s.await(ctx, f, "pull", subjects, func(ctx context.Context) (err error) {
		if head < 0 {
			if head, err = pulled.head(ctx); err != nil {
				return err
			}
		}
		at, err := puller.pointer(ctx, pulled)
		if err == nil && at < head {
			err = fmt.Errorf("%s has taken %d of the %d events of %s", puller.label, at, head, pulled.label)
		}
		return err
	})
}

// await repeats works until it succeeds, and records how long that took.
func (s *suite) await(ctx context.Context, f fault, what string, subjects []string, works func(context.Context) error) {
	for {
		bounded, cancel := context.WithTimeout(ctx, recoverWithin)
		err := works(bounded)
		cancel()
		now := time.Now()
		since, calm := s.calendar.undisturbedSince(subjects...)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && calm:
			s.recoveries.record(what, f, now.Sub(since))
			return
		case err == nil:
			return // it works although it is disturbed again: there is nothing to measure
		case calm && now.Sub(since) > recoverWithin:
			s.oracle.violate("%s has not recovered %s after it was over (nothing has disturbed %v since %s): %v",
				f, now.Sub(since).Round(time.Second), subjects, since.Format(clock), err)
			return
		}
		if !pause(ctx, 100*time.Millisecond) {
			return
		}
	}
}

// probe has a deployment fill a version that nobody has asked for before.
func (s *suite) probe(ctx context.Context, label string) error {
	r, err := s.load.newRelease("example.com/faults/probe")
	if err != nil {
		return err
	}
	a := s.load.get(ctx, s.labelled(label), r, download.Zip, false)
	if a.err != nil || a.status != http.StatusOK {
		return fmt.Errorf("fill %s at %s: %s", r, label, a)
	}
	return nil
}

// head is the position of the last event in the log.
func (d *deployment) head(ctx context.Context) (head int64, err error) {
	err = d.db.QueryRow(ctx, "SELECT head FROM event_log").Scan(&head)
	return head, err
}

// pointer is how far the log of another deployment has been taken.
func (d *deployment) pointer(ctx context.Context, of *deployment) (at int64, err error) {
	err = d.db.QueryRow(ctx, "SELECT pull_position FROM peers WHERE name = $1", of.name).Scan(&at)
	return at, err
}

func (s *suite) labelled(label string) *deployment {
	return s.deployments[slices.IndexFunc(s.deployments, func(d *deployment) bool { return d.label == label })]
}
