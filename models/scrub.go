package models

import (
	"fmt"
	"time"

	"github.com/gobuffalo/pop/v6"
)

// Scrub is a held zip that is to be read again.
type Scrub struct {
	Module     string    `db:"module"`
	Version    string    `db:"version"`
	ScrubbedAt time.Time `db:"scrubbed_at"`
	ZipSHA256  string    `db:"zip_sha256"`
	ZipSize    int64     `db:"zip_size"` // bytes
}

// scrubDue is true of a row v with a zip that was not read within a number of seconds.
const scrubDue = `v.held AND NOT v.deleted AND v.scrubbed_at < now() - make_interval(secs => ?)`

// AnyScrubDue reports whether any held zip has not been read for so long.
func AnyScrubDue(tx *pop.Connection, age time.Duration) (bool, error) {
	var row struct {
		Due bool `db:"due"`
	}
	err := one(tx, &row, "look for zips to read again", `SELECT EXISTS (SELECT FROM versions v WHERE `+scrubDue+`) AS due`, age.Seconds())
	return row.Due, err
}

// ScrubsDue returns held zips that have not been read for so long, the longest first, after the given one.
func ScrubsDue(tx *pop.Connection, age time.Duration, after Scrub, limit int) ([]Scrub, error) {
	var rows []Scrub
	err := all(tx, &rows, "list zips to read again", `
		SELECT v.module, v.version, v.scrubbed_at, e.zip_sha256, e.zip_size
		FROM (
			SELECT module, version, add_position, scrubbed_at FROM versions v
			WHERE `+scrubDue+` AND (scrubbed_at, module, version) > (?, ?, ?) ORDER BY scrubbed_at, module, version LIMIT ?
		) v JOIN events e ON e.position = v.add_position
		ORDER BY v.scrubbed_at, v.module, v.version`, age.Seconds(), after.ScrubbedAt, after.Module, after.Version, limit)
	return rows, err
}

// MarkScrubbed records that the zip of a version has been read and is good.
func MarkScrubbed(tx *pop.Connection, module, version string) error {
	_, err := exec(tx, fmt.Sprintf("record that the zip of %s@%s is good", module, version), `
		UPDATE versions SET scrubbed_at = now() WHERE module = ? AND version = ? AND held`, module, version)
	return err
}

// OldestScrub returns how long ago that held zip was read whole which was not for the longest time; 0 when none is held.
func OldestScrub(tx *pop.Connection) (time.Duration, error) {
	var row struct {
		Seconds float64 `db:"seconds"`
	}
	err := one(tx, &row, "look for the zip that was not read for the longest time", `
		SELECT coalesce(extract(epoch FROM now() - min(scrubbed_at)), 0)::float8 AS seconds FROM versions WHERE held AND NOT deleted`)
	return time.Duration(row.Seconds * float64(time.Second)), err
}

// HeldBytes returns the size of all held zips together, in bytes.
func HeldBytes(tx *pop.Connection) (int64, error) {
	var row struct {
		Bytes int64 `db:"bytes"`
	}
	err := one(tx, &row, "measure what is held", `
		SELECT coalesce(sum(e.zip_size), 0)::bigint AS bytes FROM versions v JOIN events e ON e.position = v.add_position WHERE v.held`)
	return row.Bytes, err
}

// heldSums are the hashes of the zips that rows say are in the blob store, those about to be removed included.
const heldSums = `SELECT e.zip_sha256 FROM versions v JOIN events e ON e.position = v.add_position WHERE v.held`

// HeldSums returns the SHA-256 of every held zip whose digits begin with a prefix, in order.
func HeldSums(tx *pop.Connection, prefix string) ([]string, error) {
	var rows []struct {
		ZipSHA256 string `db:"zip_sha256"`
	}
	err := all(tx, &rows, "list what is held", heldSums+` AND starts_with(e.zip_sha256, ?) ORDER BY e.zip_sha256 COLLATE "C"`, prefix)
	sums := make([]string, len(rows))
	for i := range rows {
		sums[i] = rows[i].ZipSHA256
	}
	return sums, err
}

// HeldBySum returns the version whose held zip has a SHA-256, or ErrNotFound.
func HeldBySum(tx *pop.Connection, zipSHA256 string) (module, version string, err error) {
	var row struct {
		Module  string `db:"module"`
		Version string `db:"version"`
	}
	err = one(tx, &row, "look for who holds zip "+zipSHA256, `
		SELECT v.module, v.version FROM versions v JOIN events e ON e.position = v.add_position WHERE v.held AND e.zip_sha256 = ? LIMIT 1`, zipSHA256)
	return row.Module, row.Version, err
}

// WakeIdle makes every remote version due that would never be fetched, and returns how many there were. There should be none: it is
// what brings back a version whose row was written by hand or by a fault.
func WakeIdle(tx *pop.Connection) (int, error) {
	return exec(tx, "look for remote versions that nobody would fetch", `UPDATE versions v SET fetch_due_at = now() WHERE `+idle)
}
