package actions

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/gobuffalo/buffalo"

	"olympus/models"
)

// jobID is the job that a path names.
func jobID(c buffalo.Context) (int64, error) {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil || id <= 0 {
		return 0, fmt.Errorf("job %q: %w", c.Param("id"), models.ErrNotFound)
	}
	return id, nil
}

// retryJob has a job tried at once that waits for its next attempt, or was given up.
func (p *pages) retryJob(c buffalo.Context) error {
	id, err := jobID(c)
	if err != nil {
		return err
	}
	if err := p.Deployment.RetryJob(c, actorOf(c), id); err != nil {
		return err
	}
	return p.json(c, http.StatusOK, map[string]any{"id": id})
}

// discardJob gives a job up for good. What it was to do is not forgotten: pulls bring what a push or a receive would have brought, and
// downloads and removals are queued anew while there is something to do.
func (p *pages) discardJob(c buffalo.Context) error {
	id, err := jobID(c)
	if err != nil {
		return err
	}
	var body struct {
		Reason string `json:"reason"`
	}
	if err := readBody(c, &body); err != nil {
		return err
	}
	if body.Reason == "" {
		return badRequest(`field "reason" is missing: why the job is given up`)
	}
	if err := p.Deployment.DiscardJob(c, actorOf(c), id, body.Reason); err != nil {
		return err
	}
	return p.json(c, http.StatusOK, map[string]any{"id": id})
}
