package actions

import (
	"net/http"

	"github.com/gobuffalo/buffalo"

	"olympus/models"
)

// prefetch makes a version held before anybody asks for it, and waits for that.
func (p *pages) prefetch(c buffalo.Context) error {
	var body struct {
		Module  string `json:"module"`
		Version string `json:"version"`
	}
	if err := readBody(c, &body); err != nil {
		return err
	}
	switch {
	case body.Module == "":
		return badRequest(`field "module" is missing`)
	case body.Version == "":
		return badRequest(`field "version" is missing: a version, or a query such as "latest"`)
	}
	version, err := p.Deployment.Prefetch(c, body.Module, body.Version)
	if err != nil {
		return err
	}
	db := p.Deployment.DB.WithContext(c)
	// On its own: what was prefetched may have been here before, and a client could have asked for it as well.
	if err := models.Audit(db, actorOf(c), "prefetch", body.Module+"@"+version, ""); err != nil {
		return err
	}
	v, err := models.FindVersion(db, body.Module, version)
	if err != nil {
		return err
	}
	return p.json(c, http.StatusOK, map[string]any{"module": v.Module, "version": v.Version, "state": v.State(), "held": v.Held})
}

// deprecate leaves a version out of lists from now on, on every deployment.
func (p *pages) deprecate(c buffalo.Context) error {
	return p.change(c, p.Deployment.Deprecate)
}

// delete bars a version for good, on every deployment.
func (p *pages) delete(c buffalo.Context) error {
	return p.change(c, p.Deployment.Delete)
}

func (p *pages) change(c buffalo.Context, change func(actor, path, version, reason string) (bool, error)) error {
	path, version, err := moduleVersion(c.Param("version"))
	if err != nil {
		return err
	}
	var body struct {
		Reason string `json:"reason"`
	}
	if err := readBody(c, &body); err != nil {
		return err
	}
	changed, err := change(actorOf(c), path, version, body.Reason)
	if err != nil {
		return err
	}
	v, err := models.FindVersion(p.Deployment.DB.WithContext(c), path, version)
	if err != nil {
		return err
	}
	return p.json(c, http.StatusOK, map[string]any{"module": path, "version": version, "state": v.State(), "changed": changed})
}
