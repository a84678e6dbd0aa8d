// Package gate bounds how many are at something at a time, and how many wait for that. Further ones are turned away at once: they come
// again later, or go elsewhere, and leave room for those who want what is here. It knows nothing about what it bounds.
package gate

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// ErrFull is the error of those who are turned away.
var ErrFull = errors.New("too many requests of this kind are waiting")

// Gate lets a bounded number in. It is safe for concurrent use.
type Gate struct {
	places  chan struct{}
	most    int64 // in it or waiting
	entered atomic.Int64
}

// New returns a Gate with places, and room to wait for so many besides.
func New(places, waiting int) *Gate {
	return &Gate{places: make(chan struct{}, places), most: int64(places + waiting)}
}

// Enter waits for a place, which is kept until leave is called; it may be called more than once. The error is ErrFull, or that of ctx.
func (g *Gate) Enter(ctx context.Context) (leave func(), err error) {
	if g.entered.Add(1) > g.most {
		g.entered.Add(-1)
		return nil, ErrFull
	}
	select {
	case g.places <- struct{}{}:
		return sync.OnceFunc(func() { <-g.places; g.entered.Add(-1) }), nil
	case <-ctx.Done():
		g.entered.Add(-1)
		return nil, ctx.Err()
	}
}

// Await waits inside the gate until something is done, if it is not yet. The error is ErrFull, or that of ctx. A turn that ctx has is over
// with it.
func (g *Gate) Await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	default:
	}
	EndTurn(ctx)
	leave, err := g.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type turnKey struct{}

// WithTurn returns a context for what has a place in a gate, and may have to wait for something else further down: there EndTurn gives the
// place to others.
func WithTurn(ctx context.Context, leave func()) context.Context {
	return context.WithValue(ctx, turnKey{}, leave)
}

// EndTurn gives up the place that a context has, if it has one.
func EndTurn(ctx context.Context) {
	if leave, ok := ctx.Value(turnKey{}).(func()); ok {
		leave()
	}
}
