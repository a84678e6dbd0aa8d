// Package circuit leaves out, for a while, those who time and again do not answer, so that nobody waits for them over and over. It knows
// neither peers nor upstreams, and asks nobody itself: callers say whom they are about to ask, and how that went.
//
// A circuit is closed while its name is asked as usual. Some failures in a row open it: the name is left out. After a pause one question
// is let through; if it is answered the circuit closes, else the next pause begins. Pauses differ from process to process, and while
// nothing is known only that one question goes out: whoever comes back is not overrun.
package circuit

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Outcome is how a question went.
type Outcome int

const (
	// Neither says nothing about who was asked: the one who asks gave up, or failed for reasons of its own.
	Neither Outcome = iota
	// Answered is any answer, also that something is not there.
	Answered
	// Failed is no answer: no connection, a time-out, garbage, an error of the server's.
	Failed
)

// Options are the settings of a Set.
type Options struct {
	// Failures is how many in a row open a circuit. 0 stands for 3.
	Failures int
	// Pause is how long an open circuit stays so before a question is let through, give or take a quarter. 0 stands for 10 s.
	Pause time.Duration
	// Opened, if not nil, is told when a circuit opens, with the failure that did it; not when a question that was let through failed too.
	Opened func(name string, err error)
}

// OpenError says that somebody was not asked because of a circuit.
type OpenError struct {
	Name string
	Last error // why the circuit opened, or stayed so
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("%s is left out for the moment, because it failed several times in a row: %v", e.Name, e.Last)
}

func (e *OpenError) Unwrap() error { return e.Last }

// Set are the circuits of one process, one for each name that was ever asked. It is safe for concurrent use.
type Set struct {
	options  Options
	mu       sync.Mutex
	circuits map[string]*circuit
}

// circuit is replaced by a new one when it is closed from outside: the library has no way to do that.
type circuit struct {
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	opened  atomic.Bool // since this was last looked at
	last    atomic.Pointer[error]
}

// NewSet returns a Set in which all circuits are closed.
func NewSet(options Options) *Set {
	options.Failures = cmp.Or(options.Failures, 3)
	options.Pause = cmp.Or(options.Pause, 10*time.Second)
	return &Set{options: options, circuits: make(map[string]*circuit)}
}

var (
	errFailed  = errors.New("failed")
	errNeither = errors.New("neither")
)

func (s *Set) of(name string) *circuit {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.circuits[name]
	if !ok {
		c = &circuit{}
		c.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			Name:        name,
			MaxRequests: 1,
			Timeout:     s.options.Pause*3/4 + rand.N(s.options.Pause/2+1),
			ReadyToTrip: func(n gobreaker.Counts) bool { return int(n.ConsecutiveFailures) >= s.options.Failures },
			IsExcluded:  func(err error) bool { return errors.Is(err, errNeither) },
			OnStateChange: func(_ string, from, to gobreaker.State) {
				// Under the lock of the breaker: only noted here.
				if from == gobreaker.StateClosed && to == gobreaker.StateOpen {
					c.opened.Store(true)
				}
			},
		})
		s.circuits[name] = c
	}
	return c
}

// Enter is called before a name is asked. The caller then says with leave, once, how it went and what the error was; of Answered and
// Neither the error does not matter. If the name is left out, leave is nil and err an *OpenError.
func (s *Set) Enter(name string) (leave func(Outcome, error), err error) {
	c := s.of(name)
	done, refused := c.breaker.Allow()
	if refused != nil {
		return nil, &OpenError{Name: name, Last: c.why()}
	}
	return func(o Outcome, err error) {
		switch o {
		case Answered:
			done(nil)
		case Neither:
			done(errNeither)
		case Failed:
			if err == nil {
				err = errFailed
			}
			c.last.Store(&err)
			done(errFailed)
			if c.opened.Swap(false) && s.options.Opened != nil {
				s.options.Opened(name, err)
			}
		}
	}, nil
}

func (c *circuit) why() error {
	if last := c.last.Load(); last != nil {
		return *last
	}
	return errFailed
}

// Close closes the circuit of a name: it is known to be back from what is asked of it in any case.
func (s *Set) Close(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.circuits, name)
}

// IsOpen reports whether a name is left out at the moment.
func (s *Set) IsOpen(name string) bool {
	s.mu.Lock()
	c, ok := s.circuits[name]
	s.mu.Unlock()
	return ok && c.isOpen()
}

func (c *circuit) isOpen() bool { return c.breaker.State() != gobreaker.StateClosed }

// All returns the names that were asked so far, and whether each is left out, or on trial, at the moment.
func (s *Set) All() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]bool, len(s.circuits))
	for name, c := range s.circuits {
		all[name] = c.isOpen()
	}
	return all
}
