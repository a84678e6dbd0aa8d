package worker

import (
	"context"
	"time"

	"github.com/gobuffalo/pop/v6"

	"olympus/models"
)

// Elsewhere returns the base URL of a peer that holds the zip of a remote version, for a client to be sent there: the deployment it
// originated at if possible.
func (d *Deployment) Elsewhere(ctx context.Context, v *models.Version) (string, bool) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	peers, err := models.ActivePeers(d.db(ctx))
	if err != nil {
		return "", false
	}
	for _, p := range originFirst(peers, v.Origin) {
		if has, err := d.Peers.HasZip(ctx, target(p), v.Module, v.Version); err == nil && has {
			return p.URL, true
		}
	}
	return "", false
}

// Lost records that a zip we held is gone or damaged; it is fetched again from whoever has it.
func (d *Deployment) Lost(ctx context.Context, path, version string, reason error) {
	d.record(ctx, func(tx *pop.Connection) error { return models.MarkLost(tx, path, version, reason.Error()) })
}
