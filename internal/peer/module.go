package peer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/mod/module"

	"olympus/internal/protocol"
)

const (
	// maxModuleBytes is what a peer may say about one module version. All but a few versions need less than usualModuleBytes, and since
	// many are asked for at a time, only maxLarge larger answers are held in memory at once.
	maxModuleBytes   = 8 << 20
	usualModuleBytes = 64 << 10
	maxLarge         = 3
)

// Module asks a peer what it knows about a module version: the events of its log that are about it, in their order
// there, and whether it holds the zip. ErrNotFound if it knows nothing.
func (c *Client) Module(ctx context.Context, t Target, path, version string) (events []protocol.Logged, held bool, err error) {
	escaped, escapedVersion, err := escape(path, version)
	if err != nil {
		return nil, false, fmt.Errorf("ask %s: %w", t.Name, err)
	}
	base, err := ParseURL(t.URL)
	if err != nil {
		return nil, false, fmt.Errorf("ask %s for %s@%s: %w", t.Name, path, version, err)
	}
	call := call{
		method: http.MethodGet,
		url:    base + "/modules/" + escaped + "@" + escapedVersion,
		header: http.Header{"Accept": {"application/json"}},
	}
	resp, err := c.send(ctx, call)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	switch {
	case notFound(resp):
		return nil, false, fmt.Errorf("%s: %w", call, ErrNotFound)
	case resp.StatusCode != http.StatusOK:
		return nil, false, statusError(call, resp)
	}
	content, err := content(resp, maxModuleBytes)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", call, err)
	}
	body, err := io.ReadAll(io.LimitReader(content, usualModuleBytes))
	if err == nil && len(body) == usualModuleBytes {
		select {
		case c.large <- struct{}{}:
			defer func() { <-c.large }()
		case <-ctx.Done():
			return nil, false, fmt.Errorf("%s: wait to read a large answer: %w", call, ctx.Err())
		}
		var rest []byte
		rest, err = io.ReadAll(&cappedReader{r: content, left: maxModuleBytes - usualModuleBytes})
		body = append(body, rest...)
	}
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", call, err)
	}
	events, held, err = parseModule(body, path, version)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", call, err)
	}
	return events, held, nil
}

// parseModule checks the answer as strictly as a page of a log: its events are recorded in the same way.
func parseModule(body []byte, path, version string) ([]protocol.Logged, bool, error) {
	var answer struct {
		Module  string           `json:"module"`
		Version string           `json:"version"`
		Held    bool             `json:"held"`
		Events  []jsontext.Value `json:"events"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, false, fmt.Errorf("parse the answer: %w", err)
	}
	if answer.Module != path || answer.Version != version {
		return nil, false, fmt.Errorf("the answer is about %q at %q", answer.Module, answer.Version)
	}
	if len(answer.Events) > protocol.MaxPageEvents {
		return nil, false, fmt.Errorf("%d events: %w", len(answer.Events), ErrTooLarge)
	}
	events := make([]protocol.Logged, 0, len(answer.Events))
	var last int64
	for i, raw := range answer.Events {
		event, err := parseLogged(raw)
		switch {
		case err != nil:
			return nil, false, fmt.Errorf("event %d: %w", i, err)
		case event.Module != path || event.Version != version:
			return nil, false, fmt.Errorf("event %d is about %s@%s", i, event.Module, event.Version)
		case event.Position <= last:
			return nil, false, fmt.Errorf("event %d: position %d after %d", i, event.Position, last)
		}
		last = event.Position
		events = append(events, event)
	}
	return events, answer.Held, nil
}

// parseLogged reads one event as a page of one line: the protocol has one parser, and this keeps it so.
func parseLogged(raw jsontext.Value) (protocol.Logged, error) {
	var line struct {
		Position int64 `json:"position"`
	}
	if err := json.Unmarshal(raw, &line); err != nil {
		return protocol.Logged{}, fmt.Errorf("parse the position: %w", err)
	}
	if line.Position < 1 {
		return protocol.Logged{}, fmt.Errorf("position %d", line.Position)
	}
	if err := raw.Compact(); err != nil { // a line has no line breaks
		return protocol.Logged{}, fmt.Errorf("parse the event: %w", err)
	}
	page := protocol.AppendTail(append(raw, '\n'), line.Position, line.Position, "")
	parsed, err := protocol.ReadPage(bytes.NewReader(page), line.Position-1, 1)
	if err != nil {
		return protocol.Logged{}, err
	}
	return parsed.Events[0], nil
}

// escape returns a module path and version as they are written in URLs.
func escape(path, version string) (escapedPath, escapedVersion string, err error) {
	if escapedPath, err = module.EscapePath(path); err != nil {
		return "", "", err
	}
	if escapedVersion, err = module.EscapeVersion(version); err != nil {
		return "", "", err
	}
	return escapedPath, escapedVersion, nil
}
