package postgres

import (
	"database/sql"

	"github.com/gobuffalo/pop/v6"
)

// Stats tell how busy a pool of connections is.
func Stats(db *pop.Connection) (sql.DBStats, bool) {
	pool, ok := db.Store.(interface{ Stats() sql.DBStats })
	if !ok {
		return sql.DBStats{}, false
	}
	return pool.Stats(), true
}
