package peer

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"olympus/internal/protocol"
)

// Greeting is what a deployment answers to one that asks whether the two can speak with each other.
type Greeting struct {
	Name  string    `json:"name"`
	Time  time.Time `json:"time"`  // by its clock
	You   string    `json:"you"`   // the peer that has signed the request; empty if it is none there
	Fault string    `json:"fault"` // why that peer cannot be reached from there, or is not who it should be; empty if all is well

	Pending bool `json:"pending"` // whoever has signed the request waits for the operator to approve it as a peer
}

// Greet asks a peer whether it knows us and reaches us. ErrNotFound if it is of a release that cannot tell.
func (c *Client) Greet(ctx context.Context, t Target) (Greeting, error) {
	base, err := ParseURL(t.URL)
	if err != nil {
		return Greeting{}, fmt.Errorf("greet %s: %w", t.Name, err)
	}
	call := call{method: http.MethodGet, url: base + "/peer/greeting", header: http.Header{"Accept": {"application/json"}}}
	resp, err := c.send(ctx, call)
	if err != nil {
		return Greeting{}, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return Greeting{}, fmt.Errorf("%s: %w", call, ErrNotFound)
	default:
		return Greeting{}, statusError(call, resp)
	}
	body, err := readAll(resp, maxDescriptionBytes)
	if err != nil {
		return Greeting{}, fmt.Errorf("%s: %w", call, err)
	}
	greeting, err := parseGreeting(body)
	if err != nil {
		return Greeting{}, fmt.Errorf("%s: %w", call, err)
	}
	return greeting, nil
}

func parseGreeting(body []byte) (Greeting, error) {
	var g Greeting
	if err := json.Unmarshal(body, &g); err != nil {
		return Greeting{}, fmt.Errorf("parse the answer: %w", err)
	}
	if err := protocol.ValidateName(g.Name); err != nil {
		return Greeting{}, err
	}
	if len(g.Fault) > maxMessageBytes {
		g.Fault = g.Fault[:maxMessageBytes]
	}
	return g, nil
}
