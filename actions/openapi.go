package actions

import (
	"net/http"
	"slices"
	"strings"

	"olympus/internal/openapi"
)

// openapi answers the description of the routes.
func (a *App) openapi(w http.ResponseWriter, r *http.Request) {
	description, err := openapi.Describe(a.URL)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(description)
}

// Routes are the routes of this deployment but for those of the download protocol, as METHOD /path, in order: what the description must have.
func (a *App) Routes() []string {
	all := slices.Clone(a.machineRoutes)
	for _, route := range a.pages.(*pages).buffalo.Routes() {
		path := strings.TrimSuffix(route.Path, "/")
		if path == "" {
			path = "/"
		}
		all = append(all, route.Method+" "+path)
	}
	slices.Sort(all)
	return all
}
