package upstream

import (
	"context"
	"errors"
	"net/http"

	"olympus/internal/circuit"
)

// hostFailures is how many questions in a row a host must leave unanswered before it is left out for a while: every miss would wait for
// its time-out otherwise.
const hostFailures = 5

// Circuits tells of every upstream host that was asked so far whether it is left out at the moment.
func (u *Upstream) Circuits() map[string]bool { return u.web.circuits.All() }

// outcome tells whether a host has answered, going by the error of a request. An error that may be one module's, such as a 500 or an answer
// that is cut off, must not close the door for the others.
func outcome(ctx context.Context, err error) circuit.Outcome {
	failed, ok := errors.AsType[*FailedError](err)
	switch {
	case err == nil:
		return circuit.Answered
	case !ok, errors.Is(context.Cause(ctx), context.Canceled):
		return circuit.Neither // the file that is written to, or who asks gave up
	case failed.unreached, failed.Status == http.StatusBadGateway, failed.Status == http.StatusServiceUnavailable, failed.Timeout():
		return circuit.Failed
	case failed.Status != 0:
		return circuit.Answered
	}
	return circuit.Answered
}
