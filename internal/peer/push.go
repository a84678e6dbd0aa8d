package peer

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"olympus/internal/protocol"
)

// Push notifies a peer of events of ours, which must be valid and few enough for one push. It returns nil once the
// peer has promised to process them, a *StatusError if it did not, and an error that wraps protocol.ErrTooLarge,
// without asking the peer, for more bytes than a push may have.
func (c *Client) Push(ctx context.Context, t Target, events []protocol.Event) error {
	body := protocol.AppendPush(nil, events)
	if len(body) > protocol.MaxPushBytes {
		return fmt.Errorf("push %d events to %s: %d bytes: %w", len(events), t.Name, len(body), protocol.ErrTooLarge)
	}
	base, err := ParseURL(t.URL)
	if err != nil {
		return fmt.Errorf("push to %s: %w", t.Name, err)
	}
	call := call{
		method: http.MethodPost,
		url:    base + "/push",
		header: http.Header{"Content-Type": {"application/json"}},
		body:   body,
	}
	resp, err := c.send(ctx, call)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		return statusError(call, resp)
	}
	// The status is the promise. The rest is read only to keep the connection.
	if resp.ContentLength >= 0 && resp.ContentLength <= maxErrorBody {
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	return nil
}
