package gate_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/gate"
)

func TestGate(t *testing.T) {
	t.Parallel()
	g := gate.New(2, 1)
	first, err := g.Enter(t.Context())
	require.NoError(t, err)
	_, err = g.Enter(t.Context())
	require.NoError(t, err)
	entered := make(chan func(), 1)
	go func() {
		leave, err := g.Enter(context.Background())
		if err != nil {
			t.Error(err)
		}
		entered <- leave
	}()
	require.Eventually(t, func() bool {
		_, err := g.Enter(ended(t))
		return err == gate.ErrFull
	}, 10*time.Second, time.Millisecond, "nobody is turned away")
	first()
	first() // does not count twice
	leave := <-entered
	_, err = g.Enter(ended(t))
	require.ErrorIs(t, err, context.Canceled, "one may wait again, and has not got in")
	leave()
	leave, err = g.Enter(t.Context())
	require.NoError(t, err)
	leave()
}

func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestAwait(t *testing.T) {
	t.Parallel()
	g := gate.New(3, 0)
	done := make(chan struct{})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if err := g.Await(context.Background(), done); err != nil {
				t.Error(err)
			}
		})
	}
	require.Eventually(t, func() bool { return g.Await(ended(t), done) == gate.ErrFull }, 10*time.Second, time.Millisecond)
	close(done)
	all.Wait()
	full := gate.New(0, 0)
	require.NoError(t, full.Await(t.Context(), done), "what is done needs no place")
}

// A turn ends where something else is waited for.
func TestTurn(t *testing.T) {
	t.Parallel()
	turns, waits := gate.New(1, 0), gate.New(10, 0)
	leave, err := turns.Enter(t.Context())
	require.NoError(t, err)
	ctx := gate.WithTurn(t.Context(), leave)
	_, err = turns.Enter(t.Context())
	require.ErrorIs(t, err, gate.ErrFull)
	done := make(chan struct{})
	waited := make(chan error)
	go func() { waited <- waits.Await(ctx, done) }()
	require.Eventually(t, func() bool {
		leave, err := turns.Enter(t.Context())
		if err == nil {
			leave()
		}
		return err == nil
	}, 10*time.Second, time.Millisecond)
	close(done)
	require.NoError(t, <-waited)
	gate.EndTurn(t.Context()) // has none
}
