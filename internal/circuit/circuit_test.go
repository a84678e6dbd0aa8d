package circuit_test

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/circuit"
)

var errDown = errors.New("connection refused")

const om = "om.example.com"

// ask goes through a circuit once and reports whether it was let through.
func ask(s *circuit.Set, o circuit.Outcome) bool {
	leave, err := s.Enter(om)
	if err != nil {
		return false
	}
	leave(o, errDown)
	return true
}

func TestCircuitOpens(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		outcomes []circuit.Outcome
		open     bool
	}{
		"after some failures in a row":  {[]circuit.Outcome{circuit.Failed, circuit.Failed, circuit.Failed}, true},
		"not before":                    {[]circuit.Outcome{circuit.Failed, circuit.Failed}, false},
		"not with an answer in between": {[]circuit.Outcome{circuit.Failed, circuit.Failed, circuit.Answered, circuit.Failed, circuit.Failed}, false},
		"whoever gave up in between":    {[]circuit.Outcome{circuit.Failed, circuit.Neither, circuit.Failed, circuit.Neither, circuit.Failed}, true},
		"not of those who gave up":      {[]circuit.Outcome{circuit.Neither, circuit.Neither, circuit.Neither, circuit.Neither}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var opened []error
			s := circuit.NewSet(circuit.Options{Opened: func(name string, err error) {
				require.Equal(t, om, name)
				opened = append(opened, err)
			}})
			for _, o := range test.outcomes {
				require.True(t, ask(s, o))
			}
			require.Equal(t, test.open, s.IsOpen(om))
			require.Equal(t, map[string]bool{om: test.open}, s.All())
			leave, err := s.Enter(om)
			if !test.open {
				require.NoError(t, err)
				leave(circuit.Neither, nil)
				require.Empty(t, opened)
				return
			}
			require.ErrorIs(t, err, errDown)
			require.ErrorContains(t, err, om)
			var open *circuit.OpenError
			require.ErrorAs(t, err, &open)
			require.Equal(t, []error{errDown}, opened)
			_, err = s.Enter("oa.example.com")
			require.NoError(t, err, "the others have nothing to do with it")
		})
	}
}

// After the pause one question at a time is let through, however many want to ask.
func TestCircuitTries(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	s := circuit.NewSet(circuit.Options{
		Failures: 1, Pause: 50 * time.Millisecond, Opened: func(string, error) { opened.Add(1) },
	})
	require.True(t, ask(s, circuit.Failed))
	var leave func(circuit.Outcome, error)
	try := func() {
		require.Eventually(t, func() bool {
			l, err := s.Enter(om)
			leave = l
			return err == nil
		}, 10*time.Second, time.Millisecond)
	}
	try()
	var entered atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := s.Enter(om); err == nil {
				entered.Add(1)
			}
		})
	}
	all.Wait()
	require.Zero(t, entered.Load(), "a crowd follows the first")
	require.True(t, s.IsOpen(om), "one question is no answer")

	leave(circuit.Failed, os.ErrDeadlineExceeded)
	_, err := s.Enter(om)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "the failure of the trial")
	try()
	leave(circuit.Neither, nil) // gave up: the next one may try
	try()
	leave(circuit.Answered, nil)
	require.False(t, s.IsOpen(om))
	require.True(t, ask(s, circuit.Answered))
	require.EqualValues(t, 1, opened.Load(), "it is told once")
}

func TestCircuitIsClosedFromOutside(t *testing.T) {
	t.Parallel()
	s := circuit.NewSet(circuit.Options{Failures: 1})
	late, err := s.Enter(om)
	require.NoError(t, err)
	require.True(t, ask(s, circuit.Failed))
	require.False(t, ask(s, circuit.Answered))
	s.Close(om)
	require.True(t, ask(s, circuit.Answered))
	late(circuit.Failed, errDown)
	require.False(t, s.IsOpen(om), "what began before does not count")
	s.Close("unknown.example.com")
}
