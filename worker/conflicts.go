package worker

import (
	"context"
	"time"

	"olympus/internal/protocol"
	"olympus/models"
)

// Conflict is a version that has been added with different hashes.
type Conflict struct {
	Module  string     `json:"module"`
	Version string     `json:"version"`
	Held    bool       `json:"held"` // the zip of the add that is served is in our store
	Adds    []Disputed `json:"adds"`
	// Checked says what the checksum database that fills are checked against has to say: "confirmed", "neither" of the adds is what it has,
	// "unknown" to it or private, or why it could not be asked.
	Checked string `json:"checked"`
}

// Disputed is one side of a conflict.
type Disputed struct {
	Position  int64     `json:"position"`
	Origin    string    `json:"origin"`
	Time      time.Time `json:"time"`
	ZipHash   string    `json:"zip_hash"`
	Served    bool      `json:"served"`
	Confirmed bool      `json:"confirmed"` // by the checksum database
}

// Conflicts calls report for every version in conflict, in order of module and version.
func (d *Deployment) Conflicts(ctx context.Context, report func(*Conflict) error) error {
	page := models.VersionPage{State: models.VersionConflict, Limit: 100}
	for {
		versions, err := models.LatestVersions(d.db(ctx), page)
		if err != nil || len(versions) == 0 {
			return err
		}
		for i := range versions {
			c, err := d.conflict(ctx, &versions[i])
			if err != nil {
				return err
			}
			if err := report(c); err != nil {
				return err
			}
			page.Module, page.Version = c.Module, c.Version
		}
	}
}

func (d *Deployment) conflict(ctx context.Context, v *models.Version) (*Conflict, error) {
	c := &Conflict{Module: v.Module, Version: v.Version, Held: v.Held, Checked: "unknown"}
	events, err := models.EventsOf(d.db(ctx), v.Module, v.Version)
	if err != nil {
		return nil, err
	}
	known, err := d.Upstream.KnownSum(ctx, v.Module, v.Version)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		c.Checked = err.Error()
	case known != "":
		c.Checked = "neither"
	}
	for i := range events {
		e := &events[i]
		if e.Kind != protocol.KindAdd {
			continue
		}
		side := Disputed{
			Position: e.Position, Origin: e.Origin, Time: e.Time.UTC(), ZipHash: e.ZipHash,
			Served: e.Position == v.AddPosition, Confirmed: known != "" && e.ZipHash == known,
		}
		if side.Confirmed {
			c.Checked = "confirmed"
		}
		c.Adds = append(c.Adds, side)
	}
	return c, nil
}
