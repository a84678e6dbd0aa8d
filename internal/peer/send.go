package peer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"olympus/internal/protocol"
	"olympus/internal/tracing"
)

// call is a request to be sent, signed unless it says otherwise.
type call struct {
	method, url string
	header      http.Header
	body        []byte        // nil: none
	unsigned    bool          // for what is not a peer: storage, or someone who may become one
	wait        time.Duration // how long the answer may rightly be held back
}

// String names the call in errors. The query of a storage URL is a credential.
func (c call) String() string {
	url := c.url
	if c.unsigned {
		url, _, _ = strings.Cut(url, "?")
	}
	return c.method + " " + url
}

// send returns the answer, whatever its status; redirects are answers too. The caller closes its body, which keeps to
// the client's limits. Errors name the call.
func (c *Client) send(ctx context.Context, call call) (*http.Response, error) {
	resp, attempts, err := c.sendOnce(ctx, call)
	// The transport repeats a GET by itself when a kept connection turns out to be dead. If the peer had read the
	// first attempt, it must take the second one for a replay: sign once more.
	if err == nil && resp.StatusCode == http.StatusUnauthorized && attempts > 1 {
		_ = resp.Body.Close()
		resp, _, err = c.sendOnce(ctx, call)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call, err)
	}
	return resp, nil
}

// sendOnce signs and sends, and says how often the transport wrote the request.
func (c *Client) sendOnce(ctx context.Context, call call) (_ *http.Response, attempts int64, err error) {
	var written atomic.Int64
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { written.Add(1) }})
	ctx, cancel := context.WithCancelCause(ctx)
	defer func() {
		if err != nil {
			cancel(nil)
		}
	}()

	req, err := http.NewRequestWithContext(ctx, call.method, call.url, nil)
	if err != nil {
		return nil, 0, err
	}
	for name, values := range call.header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", "olympus")
	if !call.unsigned {
		req.Header.Add("Accept", protocol.ProblemType)
		if err := c.signer.Sign(req, call.body); err != nil {
			return nil, 0, err
		}
		if parent := tracing.Parent(ctx); parent != "" {
			req.Header.Set(tracing.Header, parent) // not signed: nobody may rely on it
		}
	}

	patience := c.options.HeaderTimeout + call.wait
	watch := newWatchdog(patience, func() {
		cancel(fmt.Errorf("%w: no answer for %s", ErrSlow, patience))
	})
	defer watch.stop()
	if call.body != nil {
		req.ContentLength = int64(len(call.body))
		req.GetBody = func() (io.ReadCloser, error) {
			return io.NopCloser(&watchedReader{r: bytes.NewReader(call.body), watch: watch}), nil
		}
		req.Body, _ = req.GetBody()
	}

	// The transport itself, not an http.Client: no cookies, no redirects, no Referer.
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, written.Load(), err
	}
	resp.Body = c.pace(ctx, cancel, resp.Body, call.wait)
	return resp, written.Load(), nil
}

// watchdog fires once when nothing has been heard of for a while.
type watchdog struct {
	mu       sync.Mutex
	timer    *time.Timer
	patience time.Duration
	stopped  bool
}

func newWatchdog(patience time.Duration, fire func()) *watchdog {
	return &watchdog{timer: time.AfterFunc(patience, fire), patience: patience}
}

// progress may come late: the transport goes on reading a request's body after an early answer.
func (w *watchdog) progress() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		w.timer.Reset(w.patience)
	}
}

func (w *watchdog) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
}

// watchedReader reports that the request's body is still wanted.
type watchedReader struct {
	r     io.Reader
	watch *watchdog
}

func (w *watchedReader) Read(p []byte) (int, error) {
	w.watch.progress()
	return w.r.Read(p)
}
