package worker

import (
	"context"
	"sync"
	"time"
)

// places bound what this process does with one peer at a time, so that one that hangs leaves room for the others.
type places struct {
	perPeer int
	mu      sync.Mutex
	taken   map[string]chan struct{} // by peer
}

func newPlaces(perPeer int) *places {
	return &places{perPeer: perPeer, taken: make(map[string]chan struct{})}
}

// enter takes one of the places at a peer, waiting for one if need be. leave is nil when there is none.
func (p *places) enter(ctx context.Context, peer string, wait time.Duration) (leave func()) {
	p.mu.Lock()
	taken, ok := p.taken[peer]
	if !ok {
		taken = make(chan struct{}, p.perPeer)
		p.taken[peer] = taken
	}
	p.mu.Unlock()
	leave = func() { <-taken }
	select {
	case taken <- struct{}{}:
		return leave
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	select {
	case taken <- struct{}{}:
		return leave
	case <-ctx.Done():
		return nil
	}
}
