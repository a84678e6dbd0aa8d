package actions

import (
	"net/http"
	"time"

	"olympus/internal/postgres"
)

const (
	// databasePatience bounds how long one request waits for the database, all that it asks together: after that it is 503, so that
	// requests do not pile up behind a database that is slow, locked or gone. What else a request waits for is not counted.
	databasePatience = 5 * time.Second
	// countPatience is the same for pages and metrics, which count all versions.
	countPatience = 8 * time.Second
)

// impatient gives a request that reads, or comes from a deployment, its time for the database. What an administrator changes may take longer.
func impatient(r *http.Request) *http.Request {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !reads && r.URL.Path != "/push" && r.URL.Path != "/peer/join" && r.URL.Path != "/peer/key" {
		return r
	}
	return r.WithContext(postgres.Impatient(r.Context(), databasePatience))
}
