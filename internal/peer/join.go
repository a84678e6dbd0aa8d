package peer

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"

	"olympus/internal/protocol"
)

// Join introduces this deployment, as self, to one that it wants as a peer, and returns what it is there now: "pending" until the operator
// there has approved, "active" and the like if it is a peer already. ErrNotFound if that deployment is of a release that takes no introductions.
func (c *Client) Join(ctx context.Context, t Target, self protocol.Join) (state string, err error) {
	return c.introduce(ctx, t, "/peer/join", protocol.AppendJoin(nil, self))
}

// AnnounceKey tells a peer which key this deployment will sign with, and returns "announced" until the operator there has taken it, then
// "accepted". ErrNotFound if the peer is of a release that takes no announcements.
func (c *Client) AnnounceKey(ctx context.Context, t Target, key protocol.NewKey) (state string, err error) {
	return c.introduce(ctx, t, "/peer/key", protocol.AppendNewKey(nil, key))
}

// introduce posts something about this deployment, and reads what has become of it.
func (c *Client) introduce(ctx context.Context, t Target, path string, body []byte) (state string, err error) {
	base, err := ParseURL(t.URL)
	if err != nil {
		return "", fmt.Errorf("introduce this deployment to %s: %w", t.Name, err)
	}
	call := call{method: http.MethodPost, url: base + path, header: http.Header{"Content-Type": {"application/json"}}, body: body}
	resp, err := c.send(ctx, call)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted:
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return "", fmt.Errorf("%s: %w", call, ErrNotFound)
	default:
		return "", statusError(call, resp)
	}
	answer, err := readAll(resp, maxDescriptionBytes)
	if err == nil {
		state, err = parseState(answer)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", call, err)
	}
	return state, nil
}

// parseState reads one word. It is shown to an operator, so it has to be one.
func parseState(body []byte) (string, error) {
	var answer struct {
		State string `json:"state"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", fmt.Errorf("parse the answer: %w", err)
	}
	if len(answer.State) > 40 {
		return "", errors.New("parse the answer: its state is longer than 40 bytes")
	}
	for _, c := range answer.State {
		if c < 'a' || c > 'z' {
			return "", fmt.Errorf("parse the answer: state %q is not a word", answer.State)
		}
	}
	if answer.State == "" {
		return "", errors.New("parse the answer: no state")
	}
	return answer.State, nil
}
