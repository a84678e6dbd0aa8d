package models

import "github.com/gobuffalo/pop/v6"

// Standing is what an import needs to know of a version at first.
type Standing struct {
	Index   int    `db:"index"` // in the question, from 0
	Deleted bool   `db:"deleted"`
	Held    bool   `db:"held"`
	ZipHash string `db:"zip_hash"` // of the add that is served, empty if there is none
}

// Standings returns what is known of versions, each of them named by what stands at one index; nothing of those that no event speaks of.
func Standings(tx *pop.Connection, modules, versions []string) ([]Standing, error) {
	var rows []Standing
	err := all(tx, &rows, "look for versions to import", `
		SELECT batch.index::int - 1 AS index, v.deleted, v.held, v.zip_hash
		FROM unnest(?::text[], ?::text[]) WITH ORDINALITY AS batch (module, version, index),
			LATERAL (
				SELECT v.deleted, v.held, coalesce(e.zip_hash, '') AS zip_hash FROM versions v LEFT JOIN events e ON e.position = v.add_position
				WHERE v.module = batch.module AND v.version = batch.version OFFSET 0 -- a look-up each, never a scan of the table
			) v`, modules, versions)
	return rows, err
}
