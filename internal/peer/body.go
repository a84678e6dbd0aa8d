package peer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/klauspost/compress/gzip"
)

// pacedBody is the body of an answer. It is cut when it stands still, or drips.
type pacedBody struct {
	body    io.ReadCloser
	ctx     context.Context // of the request; cancelling it ends a Read that hangs
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	options Options

	first  time.Duration // extra patience before the first byte
	read   int64
	waited time.Duration // in Read, since the first byte
}

func (c *Client) pace(ctx context.Context, cancel context.CancelCauseFunc, body io.ReadCloser, first time.Duration) *pacedBody {
	b := &pacedBody{body: body, ctx: ctx, cancel: cancel, options: c.options, first: first}
	b.timer = time.AfterFunc(time.Hour, func() {
		cancel(fmt.Errorf("%w: the body stood still for %s", ErrSlow, c.options.IdleTimeout))
	})
	b.timer.Stop()
	return b
}

func (b *pacedBody) Read(p []byte) (int, error) {
	limit := b.options.IdleTimeout
	if b.read == 0 {
		limit += b.first
	}
	start := time.Now()
	b.timer.Reset(limit)
	n, err := b.body.Read(p)
	b.timer.Stop()
	if b.read > 0 {
		b.waited += time.Since(start)
	}
	b.read += int64(n)

	switch {
	case err == io.EOF:
		return n, err
	case err != nil:
		if cause := context.Cause(b.ctx); cause != nil {
			err = cause
		}
		return n, err
	case b.waited > b.options.MinRateAfter && float64(b.read) < b.waited.Seconds()*float64(b.options.MinRate):
		err = fmt.Errorf("%w: %d bytes in %s", ErrSlow, b.read, b.waited.Round(time.Millisecond))
		b.cancel(err)
		return n, err
	}
	return n, nil
}

// Close ends the request. Unread bytes are not waited for: they cost the connection.
func (b *pacedBody) Close() error {
	err := b.body.Close()
	b.timer.Stop()
	b.cancel(nil)
	return err
}

// cappedReader fails once more than left bytes have come, where io.LimitReader would feign an end.
type cappedReader struct {
	r    io.Reader
	left int64
}

func (c *cappedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if int64(n) > c.left {
		n, err = int(c.left), ErrTooLarge
	}
	c.left -= int64(n)
	return n, err
}

// content is the body of an answer with its Content-Encoding undone. At most limit bytes are taken from the wire; how
// many come out of them is for the reader to bound.
func content(resp *http.Response, limit int64) (io.Reader, error) {
	body := &cappedReader{r: resp.Body, left: limit}
	switch encoding := resp.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return body, nil
	case "gzip":
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		return unzipped, nil
	default:
		return nil, fmt.Errorf("unknown content encoding %q", encoding)
	}
}

// readAll reads a small answer: at most limit bytes, before and after decompression.
func readAll(resp *http.Response, limit int64) ([]byte, error) {
	body, err := content(resp, limit)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(&cappedReader{r: body, left: limit})
}
