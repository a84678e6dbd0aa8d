package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"olympus/internal/peer"
)

// pushes are what this process sends to its peers, and what it knows of how they take it.
type pushes struct {
	places *places // at peers that answer
	slow   *places // at those that did not of late: one each

	mu        sync.Mutex
	isSlow    map[string]bool
	notBefore map[string]time.Time // when a peer that has had enough wants to hear more
}

func newPushes() *pushes {
	return &pushes{
		places: newPlaces(pushesPerPeer), slow: newPlaces(1), isSlow: make(map[string]bool), notBefore: make(map[string]time.Time),
	}
}

// enter takes a place for a push to a peer. The caller gives it back with the outcome. leave is nil when there is none, and again then
// says when to come back.
func (p *pushes) enter(ctx context.Context, name string) (leave func(error), again time.Duration) {
	p.mu.Lock()
	slow, wait := p.isSlow[name], time.Until(p.notBefore[name])
	p.mu.Unlock()
	aside := pushAside/2 + rand.N(pushAside)
	if wait > 0 {
		return nil, wait + aside // not all at the same moment
	}
	var free func()
	if slow {
		free = p.slow.enter(ctx, name, 0)
	} else {
		free = p.places.enter(ctx, name, pushPlaceWait)
	}
	if free == nil {
		return nil, aside
	}
	return func(err error) {
		p.note(name, err)
		free()
	}, 0
}

// note remembers how a peer took a push.
func (p *pushes) note(name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isSlow[name] = errors.Is(err, peer.ErrSlow) || errors.Is(err, context.DeadlineExceeded)
	if refused, ok := errors.AsType[*peer.StatusError](err); ok && refused.RetryAfter > 0 {
		p.notBefore[name] = time.Now().Add(min(refused.RetryAfter, pushPatience))
	}
}
