package actions

import (
	"bufio"
	"encoding/json"
	"net/http"
	"time"

	"olympus/migrations"
	"olympus/models"
)

// maxIndex is the most lines that the feed of versions gives at once.
const maxIndex = 2000

// describe says who this deployment is, for an operator who adds it as a peer.
func (a *App) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]string{
		"name": a.Deployment.Name, "url": a.URL, "key": a.Deployment.Signer.VerifierKey(),
	})
}

// index answers the feed of versions: the format of Go's public module index, over this log.
func (a *App) index(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var since time.Time
	if s := query.Get("since"); s != "" {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, s); err != nil {
			a.fail(w, r, badRequest("since=%q: not a time as in RFC 3339", s))
			return
		}
	}
	limit, err := number(query, "limit", maxIndex, 1<<31)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	lines, err := models.Index(a.Deployment.DB.WithContext(r.Context()), since, int(min(max(limit, 1), maxIndex)))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	out := bufio.NewWriter(w)
	lineOf := json.NewEncoder(out)
	for _, line := range lines {
		line.Timestamp = line.Timestamp.UTC()
		if lineOf.Encode(line) != nil {
			return
		}
	}
	_ = out.Flush()
}

// healthz says that the process lives.
func (a *App) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// readyz says whether requests should come here: the database answers with the schema that this binary needs, and the store answers.
func (a *App) readyz(w http.ResponseWriter, r *http.Request) {
	if a.draining.Err() != nil {
		a.fail(w, r, &statusError{status: http.StatusServiceUnavailable, message: "this process is stopping"})
		return
	}
	pending, err := migrations.Pending(a.Deployment.DB.WithContext(r.Context()))
	switch {
	case err != nil:
		a.Log.Error("not ready", "error", err)
		err = &statusError{status: http.StatusServiceUnavailable, message: "the database does not answer"}
	case pending > 0:
		err = &statusError{status: http.StatusServiceUnavailable, message: "the database lacks migrations: run olympus migrate"}
	default:
		if err = a.Deployment.Store.Check(r.Context()); err != nil {
			err = &statusError{status: http.StatusServiceUnavailable, message: "the blob store does not answer: " + err.Error()}
		}
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.healthz(w, r)
}
