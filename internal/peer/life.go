package peer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"olympus/internal/protocol"
)

// Bounds of what is taken of a peer's answer about the life of a version.
const (
	maxLifeBytes = 256 << 10
	maxSteps     = 500
)

// Explanation is what GET /explain/{module}@{version} answers: the life of a version at some deployments, the one that answers first.
type Explanation struct {
	Module      string `json:"module"`
	Version     string `json:"version"`
	Deployments []Life `json:"deployments"`
}

// Life is the life of one version at one deployment.
type Life struct {
	Deployment string `json:"deployment"`
	// State is live, deprecated, deleted or unknown; empty if the deployment could not be asked.
	State string `json:"state"`
	// Held: its zip is in the deployment's blob store.
	Held bool `json:"held"`
	// Position is that of the first event about it in the deployment's log; 0: there is none.
	Position int64 `json:"position"`
	// Reason says in a sentence why it is not served there, or why its zip is not there yet; empty if all is well.
	Reason string `json:"reason,omitempty"`
	// Steps are what happened, in the order of time.
	Steps []Step `json:"steps"`
	// Error says why the deployment could not be asked.
	Error string `json:"error,omitempty"`
}

// Step is one thing that happened to a version.
type Step struct {
	At time.Time `json:"at"` // by the clock of the deployment
	// What is one word: asked, add, deprecate, delete, held, push, served, failed, or administrator.
	What string `json:"what"`
	Says string `json:"says"`
}

// Explain asks a peer for the life of a version there. ErrNotFound if it is of a release that cannot tell. What it says is for people to
// read; nothing is done by it.
func (c *Client) Explain(ctx context.Context, t Target, path, version string) (*Life, error) {
	escaped, escapedVersion, err := escape(path, version)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", t.Name, err)
	}
	base, err := ParseURL(t.URL)
	if err != nil {
		return nil, fmt.Errorf("ask %s about %s@%s: %w", t.Name, path, version, err)
	}
	call := call{
		method: http.MethodGet,
		url:    base + "/explain/" + escaped + "@" + escapedVersion + "?here=true",
		header: http.Header{"Accept": {"application/json"}},
	}
	resp, err := c.send(ctx, call)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", call, ErrNotFound)
	default:
		return nil, statusError(call, resp)
	}
	body, err := readAll(resp, maxLifeBytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call, err)
	}
	life, err := parseExplanation(body, t.Name, path, version)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call, err)
	}
	return life, nil
}

// parseExplanation returns the life at the deployment that has answered.
func parseExplanation(body []byte, name, path, version string) (*Life, error) {
	var e Explanation
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, fmt.Errorf("parse the answer: %w", err)
	}
	switch {
	case e.Module != path || e.Version != version:
		return nil, fmt.Errorf("the answer is about %.300q at %.300q", e.Module, e.Version)
	case len(e.Deployments) == 0:
		return nil, errors.New("the answer says nothing")
	}
	life := e.Deployments[0]
	switch {
	case life.Deployment != name:
		return nil, fmt.Errorf("the answer is of %.300q", life.Deployment)
	case !isState(life.State):
		return nil, fmt.Errorf("the answer has the state %.50q", life.State)
	case life.Position < 0:
		return nil, fmt.Errorf("the answer has the position %d", life.Position)
	}
	life.Reason, life.Error = sentence(life.Reason), ""
	life.Steps = life.Steps[:min(len(life.Steps), maxSteps)]
	for i := range life.Steps {
		life.Steps[i].What, life.Steps[i].Says = sentence(life.Steps[i].What), sentence(life.Steps[i].Says)
	}
	return &life, nil
}

// States that a version may be in beside those that follow from its events.
const StateUnknown = "unknown"

func isState(s string) bool {
	return s == StateUnknown || s == "live" || s == string(protocol.KindDeprecate)+"d" || s == string(protocol.KindDelete)+"d"
}

// sentence is a text of somebody else's, in one line of bounded length.
func sentence(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
	if len(s) > maxMessageBytes {
		s = strings.ToValidUTF8(s[:maxMessageBytes], "") + " …"
	}
	return s
}
