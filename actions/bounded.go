package actions

import (
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"olympus/internal/postgres"
)

const (
	// databasePatience is how long one request waits for the database unless the options say otherwise.
	databasePatience = 5 * time.Second
	// countPatience is the same for pages and metrics, which count all versions.
	countPatience = 8 * time.Second
)

// newOutages bounds what the log says while the database is gone, where every request fails: one line a second.
func newOutages() *rate.Limiter { return rate.NewLimiter(1, 5) }

// impatient gives a request that reads, or comes from a deployment, its time for the database. What an administrator changes may take longer.
func (a *App) impatient(r *http.Request) *http.Request {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !reads && r.URL.Path != "/push" && r.URL.Path != "/peer/join" && r.URL.Path != "/peer/key" {
		return r
	}
	return r.WithContext(postgres.Impatient(r.Context(), a.DatabasePatience))
}
