package peer

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"olympus/internal/protocol"
)

const (
	// maxWait is the longest a peer may be asked to hold back an empty page.
	maxWait = 30 * time.Second

	// maxPageBytes is what is read of a page from the wire. Compression does not make a page larger, so this is the
	// most that protocol.ReadPage takes in.
	maxPageBytes = protocol.MaxPageBytes + protocol.MaxLineBytes + 1<<20
)

// EventLog reads a page of at most limit events after a position of a peer's log. If there is none yet, the peer waits
// for one, up to wait (whole seconds, 30 at most).
//
// The page is complete and checked, or there is an error: a *ShortenedError if the log ends before after, another
// *StatusError, or what protocol.ReadPage returns.
func (c *Client) EventLog(ctx context.Context, t Target, after int64, limit int, wait time.Duration) (*protocol.Page, error) {
	base, err := ParseURL(t.URL)
	if err != nil {
		return nil, fmt.Errorf("read the event log of %s: %w", t.Name, err)
	}
	wait = min(max(wait, 0), maxWait).Truncate(time.Second)
	call := call{
		method: http.MethodGet,
		url:    fmt.Sprintf("%s/eventlog?after=%d&limit=%d&wait=%d", base, after, limit, int(wait.Seconds())),
		header: http.Header{"Accept": {"application/x-ndjson"}, "Accept-Encoding": {"gzip"}},
		wait:   wait,
	}
	resp, err := c.send(ctx, call)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusConflict:
		return nil, &ShortenedError{After: after, Head: shortenedHead(resp)}
	default:
		return nil, statusError(call, resp)
	}
	body, err := content(resp, maxPageBytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call, err)
	}
	page, err := protocol.ReadPage(body, after, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call, err)
	}
	return page, nil
}

// shortenedHead takes what it can get: the status has said what matters.
func shortenedHead(resp *http.Response) int64 {
	body, err := readAll(resp, maxErrorBody)
	if err != nil {
		return -1
	}
	var answer struct {
		Head *int64 `json:"head"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Head == nil || *answer.Head < 0 {
		return -1
	}
	return *answer.Head
}
