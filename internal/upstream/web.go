package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"olympus/internal/circuit"
)

const (
	maxRedirects = 5
	// progress is how many bytes must come in each Timeouts.Stall. Some byte now and then is not progress: whoever
	// sends so little keeps a worker for days.
	progress = 256 << 10
	// maxReason is how many bytes of the body of an error are read.
	maxReason = 1 << 10
)

// webClient makes requests to HTTP servers and, in the same way, to file trees.
type webClient struct {
	web, files    *http.Client
	header, stall time.Duration
	circuits      *circuit.Set // by host
	seconds       *prometheus.HistogramVec
}

func newWebClient(opts Options) *webClient {
	transport := opts.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy:               opts.ProxyFunc,
			DialContext:         (&net.Dialer{Timeout: orDefault(opts.Timeouts.Dial, 5*time.Second)}).DialContext,
			TLSHandshakeTimeout: 10 * time.Second,
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 16,
			IdleConnTimeout:     90 * time.Second,
		}
	}
	return &webClient{
		web:    &http.Client{Transport: transport, CheckRedirect: checkRedirect},
		files:  &http.Client{Transport: http.NewFileTransport(http.Dir("/")), CheckRedirect: checkRedirect},
		header: orDefault(opts.Timeouts.Header, 30*time.Second),
		stall:  orDefault(opts.Timeouts.Stall, 30*time.Second),

		circuits: circuit.NewSet(circuit.Options{Failures: hostFailures, Pause: opts.Timeouts.Pause}),
		seconds:  newSeconds(),
	}
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// errRedirected is in the chain of errors about redirects that are not followed.
var errRedirected = errors.New("redirected")

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("%w: more than %d redirects", errRedirected, maxRedirects)
	}
	if via[0].URL.Scheme != req.URL.Scheme && req.URL.Scheme != "https" {
		return fmt.Errorf("%w from %s to %s", errRedirected, via[0].URL.Scheme, req.URL.Scheme)
	}
	return nil
}

// remote is a URL below which requests are made.
type remote struct {
	client *webClient
	base   *url.URL      // without credentials, so that no error of net/http can hold them
	user   *url.Userinfo // nil for none
}

func (c *webClient) at(base *url.URL) *remote {
	plain := *base
	plain.User = nil
	return &remote{client: c, base: &plain, user: base.User}
}

// below is the remote at a path below this one.
func (r *remote) below(path string) *remote {
	return &remote{client: r.client, base: r.base.JoinPath(path), user: r.user}
}

// get writes what is at the percent-encoded path below the base to w, at most limit bytes. The error is a *FailedError
// unless w failed; isMissing tells whether the path does not exist. A host that did not answer of late is not asked.
func (r *remote) get(ctx context.Context, path string, limit int64, w io.Writer) error {
	u := r.base.JoinPath(path)
	if r.base.Scheme == "file" {
		return r.getFrom(ctx, u, limit, w)
	}
	leave, err := r.client.circuits.Enter(hostOf(r.base))
	if err != nil {
		return &FailedError{URL: u.String(), Err: err}
	}
	err = r.getFrom(ctx, u, limit, w)
	leave(outcome(ctx, err), err)
	return err
}

func (r *remote) getFrom(asking context.Context, u *url.URL, limit int64, w io.Writer) (err error) {
	began := time.Now()
	defer func() { measure(asking, r.client.seconds, nameOf(r.base), began, err) }()
	failed := &FailedError{URL: u.String()}
	ctx, cancel := context.WithCancelCause(asking)
	defer cancel(nil)
	timer := time.AfterFunc(r.client.header, func() { cancel(errStalled) })
	defer timer.Stop()

	resp, err := r.do(ctx, u)
	if err != nil {
		failed.Err, failed.unreached = cause(ctx, err), !errors.Is(err, errRedirected)
		return failed
	}
	defer resp.Body.Close()
	timer.Reset(r.client.stall)
	body := &steadyReader{body: resp.Body, timer: timer, window: r.client.stall}
	if resp.StatusCode != http.StatusOK {
		return r.refused(failed, resp.StatusCode, body)
	}
	if resp.ContentLength > limit {
		failed.Err = fmt.Errorf("%w of %d bytes", ErrTooLarge, limit)
		return failed
	}
	out := &writer{to: w}
	n, err := io.Copy(out, io.LimitReader(body, limit))
	if err == nil && n == limit {
		// One byte more tells whether this was the end.
		if n, _ := io.ReadFull(body, make([]byte, 1)); n > 0 {
			err = fmt.Errorf("%w of %d bytes", ErrTooLarge, limit)
		}
	}
	switch {
	case out.err != nil:
		return fmt.Errorf("store the answer of %s: %w", failed.URL, out.err)
	case err != nil:
		failed.Err = cause(ctx, err)
		return failed
	}
	return nil
}

// read is get for answers that fit in memory.
func (r *remote) read(ctx context.Context, path string, limit int64) ([]byte, error) {
	var b bytes.Buffer
	if err := r.get(ctx, path, limit, &b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (r *remote) do(ctx context.Context, u *url.URL) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "olympus")
	if r.base.Scheme == "file" {
		return r.client.files.Do(req)
	}
	if r.user != nil {
		password, _ := r.user.Password()
		req.SetBasicAuth(r.user.Username(), password)
	}
	return r.client.web.Do(req)
}

// refused completes the error for an answer that is not 200.
func (r *remote) refused(failed *FailedError, status int, body io.Reader) error {
	if r.base.Scheme == "file" {
		// A tree that is not there, such as one on a disk that is not mounted, knows nothing about its modules.
		if _, err := os.Stat(filepath.FromSlash(r.base.Path)); err != nil {
			failed.Err = errors.New(err.Error()) // its text only: it must not match fs.ErrNotExist
			return failed
		}
	}
	failed.Status = status
	text, _ := io.ReadAll(io.LimitReader(body, maxReason))
	if line := firstLine(string(text)); line != "" && line[0] != '<' {
		failed.Err = errors.New(line)
	}
	return failed
}

// cause is why a request failed: without its URL, which after a redirect may hold a signature, and with the reason for
// which it was ended, if it was.
func cause(ctx context.Context, err error) error {
	if reason := context.Cause(ctx); reason != nil {
		return reason
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		return inner.Err
	}
	return err
}

// steadyReader winds up the timer again whenever enough has been read.
type steadyReader struct {
	body   io.Reader
	timer  *time.Timer
	window time.Duration
	got    int
}

func (r *steadyReader) Read(b []byte) (int, error) {
	n, err := r.body.Read(b)
	if r.got += n; r.got >= progress {
		r.got = 0
		r.timer.Reset(r.window)
	}
	return n, err
}

// writer remembers whether writing failed: that is not the fault of who sent the bytes.
type writer struct {
	to  io.Writer
	err error
}

func (w *writer) Write(b []byte) (int, error) {
	n, err := w.to.Write(b)
	w.err = err
	return n, err
}
