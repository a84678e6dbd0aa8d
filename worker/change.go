package worker

import (
	"time"

	"github.com/gobuffalo/pop/v6"

	"olympus/internal/protocol"
	"olympus/models"
)

// Deprecate hides a version from lists; it is still served by its exact version. Delete bars it for good. Both may come before
// anybody has added the version. Either reports false when the log held the same already.
func (d *Deployment) Deprecate(actor, path, version, reason string) (bool, error) {
	return d.change(actor, protocol.KindDeprecate, path, version, reason)
}

// Delete bars a version for good: see Deprecate.
func (d *Deployment) Delete(actor, path, version, reason string) (bool, error) {
	return d.change(actor, protocol.KindDelete, path, version, reason)
}

func (d *Deployment) change(actor string, kind protocol.Kind, path, version, reason string) (bool, error) {
	event := protocol.Event{
		Kind: kind, Module: path, Version: version, Origin: d.Name, Time: time.Now().UTC().Truncate(time.Microsecond), Reason: reason,
	}
	if err := event.Validate(); err != nil {
		return false, err
	}
	before, err := models.EventsOf(d.DB, path, version)
	if err != nil {
		return false, err
	}
	for i := range before {
		if before[i].Kind == kind {
			return false, nil
		}
	}
	err = d.Append(true, []protocol.Event{event}, func(tx *pop.Connection) error {
		return models.Audit(tx, actor, string(kind), path+"@"+version, reason)
	})
	return err == nil, err
}
